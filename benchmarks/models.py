"""Compare the models' errors on later films, and the time of their training, with the predecessor's.

`python benchmarks/models.py` uses the films of the made-up TMDB; with `--database-url`, or DATABASE_URL in the
environment (`eval "$(horror env)"` sets it), it uses the films of that warehouse. Films count that are released, have
ten votes or more, and whose popularity and rating are known. Every model is fitted to the same earlier films and scored
on the same later ones: the five newest tenths by release date. It prints tables, and JSON as the last line. The ratios
are what to read: absolute times depend on the machine.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import resource
import subprocess
import sys
import time
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

TODAY = dt.date(2026, 11, 22)
MIN_VOTES = 10
SEED = 0
SIZES = (5_000, 32_000, 320_000)
GAUSSIAN_Z = 1.2816


def main() -> None:
    """Read the films, score the models, time their training, and report."""
    options = _options()
    if options._size:
        print(json.dumps(_training_of(options._size, options._predecessor)))
        return
    movies = _films(options)
    as_of = _moment(movies, options.as_of)
    horror = int(movies["genres"].map(lambda names: "Horror" in names).sum())
    result: dict[str, Any] = {"films": horror, "as_of": as_of.isoformat()}
    with threadpool_limits(limits=1):  # as in the package
        result["models"] = {name: _score(name, movies, as_of) for name in _names()}
    result["speed"] = _speed(options.sizes)
    _print(result)
    print(json.dumps(result))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--database-url", default=os.environ.get("DATABASE_URL"), help="warehouse to read films from")
    parser.add_argument("--as-of", type=dt.date.fromisoformat, help="the day the films were observed; see README")
    parser.add_argument(
        "--sizes", type=_sizes, default=SIZES, help="films to time training with, comma separated; 0: none"
    )
    parser.add_argument("--_size", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--_predecessor", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


def _sizes(text: str) -> tuple[int, ...]:
    return tuple(size for size in map(int, text.split(",")) if size)


def _names() -> tuple[str, ...]:
    from horror_pipeline.domain import MODEL_NAMES

    return MODEL_NAMES


# -- films -------------------------------------------------------------------------------------------------------------


def _films(options: argparse.Namespace) -> pd.DataFrame:
    movies = _stored_films(options.database_url) if options.database_url else _demo_films()
    movies["release_date"] = pd.to_datetime(movies["release_date"]).astype("datetime64[s]")
    known = movies[["release_date", "popularity", "vote_average"]].notna().all(axis=1)
    return movies[known & (movies["vote_count"].fillna(0) >= MIN_VOTES)].reset_index(drop=True)


def _stored_films(url: str) -> pd.DataFrame:
    from horror_pipeline.orchestration.frames import read_frame
    from horror_pipeline.settings import postgres_url
    from horror_pipeline.warehouse import features, other_movies
    from horror_pipeline.warehouse.engine import connect

    engine = connect(postgres_url(url))
    with engine.connect() as connection:
        queries = (features.films_to_describe(None), other_movies.others_to_learn_from(None))
        films = [read_frame(connection, query) for query in queries]
    engine.dispose()
    return pd.concat(films, ignore_index=True)


def _demo_films() -> pd.DataFrame:
    """The made-up films, as the pipeline would have typed them."""
    from horror_pipeline.demo.catalogue import DEMO_SEED, Catalogue
    from horror_pipeline.demo.payloads import details, row
    from horror_pipeline.transform.movies import CleanMovie, clean_movie, clean_other

    films = list(Catalogue().known_on(TODAY))
    found = (
        clean_movie(details(film, TODAY, DEMO_SEED, ["credits"]), first_year=2010, collected=("Horror",))
        for film in films
    )
    others = (clean_other(row(film, TODAY, DEMO_SEED), ("Horror",)) for film in films)
    rows = [*(film.row for film in found if isinstance(film, CleanMovie)), *filter(None, others)]
    return pd.DataFrame(rows).assign(prerelease_popularity=None)


def _moment(movies: pd.DataFrame, observed: dt.date | None) -> dt.date:
    """The day that popularity and votes describe."""
    if observed is not None:
        return observed
    stored: dt.date = movies["observed_at"].max().date() if "observed_at" in movies else TODAY
    return stored


def _features(movies: pd.DataFrame, as_of: dt.date) -> pd.DataFrame:
    from horror_pipeline.transform.features import build_features, build_listed_features

    moment, horror = (
        dt.datetime.combine(as_of, dt.time(), dt.UTC),
        movies["genres"].map(lambda names: "Horror" in names),
    )
    built = [build_features(movies[horror], moment), build_listed_features(movies[~horror], moment)]
    return pd.concat([frame for frame in built if len(frame)], ignore_index=True)


def _inputs(spec: Any) -> Any:
    from horror_pipeline.orchestration.learning import inputs_of

    return inputs_of(spec.stage, uses_history=spec.uses_history)


# -- scores ------------------------------------------------------------------------------------------------------------


def _score(name: str, movies: pd.DataFrame, as_of: dt.date) -> dict[str, Any]:
    """Score the project's candidates and the predecessor's models on the same blocks."""
    from horror_pipeline.modeling import backtest, chances, intervals, training
    from horror_pipeline.modeling.specs import MODELS, Problem

    spec, known = MODELS[name], _features(movies, as_of).sort_values(["release_date", "tmdb_id"])
    films, others = (known[rows].reset_index(drop=True) for rows in (known["is_horror"] == 1, known["is_horror"] == 0))
    compared = training.compare(Problem(spec, _inputs(spec), films, SEED, others), first=-2)
    if compared is None:
        raise SystemExit(f"{len(films)} films with {MIN_VOTES} votes or more are too few to score on later ones")
    problem, walk, ours = compared
    frame = walk.frame
    best = min((one for one in ours if one != "constant"), key=lambda one: training.judged(spec, ours[one]))
    theirs = _predecessor(spec, films)
    mae = {algorithm: scores["mean"]["mae"] for algorithm, scores in ours.items()}
    by_origin = {block: figures["mae"] for block, figures in ours[best]["origins"].items()}
    blanked = backtest.walk_forward(replace(problem, films=films.assign(runtime_minutes=np.nan)), [best])
    stated = chances.of_walk(spec, frame, best)
    without = backtest.score(spec, blanked.frame, best)["mean"]["mae"] if blanked else None
    return {
        "champion": best,
        "serves": training.is_better_than_constant(spec, frame, best),
        "films_of_other_genres": len(problem.others),
        "mae": mae,
        "predecessor_mae": {kind: float(np.mean(theirs[kind])) for kind in ("linear", "forest")},
        "ratio_to_linear": mae[best] / float(np.mean(theirs["linear"])),
        "log_ratio_to_linear": ours[best]["mean"].get("log_mae", np.nan) / float(np.mean(theirs["log_linear"])),
        "ratio_to_forest": mae[best] / float(np.mean(theirs["forest"])),
        "worst_origin_ratio_to_linear": max(
            value / linear for value, linear in zip(by_origin.values(), theirs["linear"], strict=True)
        ),
        "ratio_to_linear_without_length": None if without is None else without / float(np.mean(theirs["linear"])),
        "origins": by_origin,
        "linear_origins": dict(zip(by_origin, theirs["linear"], strict=True)),
        "forest_origins": dict(zip(by_origin, theirs["forest"], strict=True)),
        "metrics": ours[best]["mean"],
        "interval": intervals.coverage(spec, frame, best),
        "chances": chances.reliability(stated["chance"], stated["came"]).to_dict("records"),
        "predecessor_interval": {key: float(np.mean(theirs[key])) for key in ("coverage", "width")},
    }


def _predecessor(spec: Any, films: pd.DataFrame) -> dict[str, list[float]]:
    """Score the predecessor's linear regression and forest by block; its interval is Gaussian, from training errors."""
    from sklearn.ensemble import RandomForestRegressor
    from sklearn.linear_model import LinearRegression
    from sklearn.preprocessing import StandardScaler

    from horror_pipeline.modeling.backtest import rolling_origins

    x, y = _predecessor_features(films, votes=spec.stage == "after_release"), films[spec.target].to_numpy()
    found: dict[str, list[float]] = {"linear": [], "log_linear": [], "forest": [], "coverage": [], "width": []}
    for block in rolling_origins(films["release_date"], np.ones(len(films), dtype=bool)):
        scaler = StandardScaler().fit(x.iloc[block.train])
        train, test = scaler.transform(x.iloc[block.train]), scaler.transform(x.iloc[block.test])
        linear = LinearRegression().fit(train, y[block.train])
        forest = RandomForestRegressor(n_estimators=100, max_depth=10, random_state=42).fit(train, y[block.train])
        error = y[block.test] - linear.predict(test)
        reach = GAUSSIAN_Z * float(np.std(y[block.train] - linear.predict(train)))
        found["linear"].append(float(np.abs(error).mean()))
        found["log_linear"].append(float(spec.loss(y[block.test], spec.clip(linear.predict(test))).mean()))
        found["forest"].append(float(np.abs(y[block.test] - forest.predict(test)).mean()))
        found["coverage"].append(float((np.abs(error) <= reach).mean()))
        found["width"].append(2 * reach)
    return found


def _predecessor_features(films: pd.DataFrame, votes: bool) -> pd.DataFrame:
    from horror_pipeline.modeling.candidates import PREDECESSOR_FEATURES

    x = films[list(PREDECESSOR_FEATURES)].astype("float64")
    x["runtime_minutes"] = x["runtime_minutes"].fillna(90.0)
    return x if votes else x.drop(columns="vote_count")


# -- speed -------------------------------------------------------------------------------------------------------------


def _speed(sizes: tuple[int, ...]) -> dict[str, Any]:
    """Time training and predicting of all four models at each size, each in a process of its own."""
    found: dict[str, Any] = {}
    for place, size in enumerate(sizes):
        command = [sys.executable, __file__, "--_size", str(size), *(["--_predecessor"] if place == 0 else [])]
        found[str(size)] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    if found:
        first, last = found[str(sizes[0])], found[str(sizes[-1])]
        found["times_the_predecessors"] = first["seconds"] / first["predecessor_seconds"]
        found["growth"] = (last["seconds"] / first["seconds"]) / (sizes[-1] / sizes[0])
    return found


def _training_of(size: int, with_predecessor: bool) -> dict[str, float]:
    """Measure seconds and memory of all four models on as many films, resampled from the made-up ones."""
    from horror_pipeline.modeling.prediction import predict
    from horror_pipeline.modeling.specs import MODELS
    from horror_pipeline.modeling.training import train

    films = _drawn(size)
    started = time.perf_counter()
    for spec in MODELS.values():
        now = dt.datetime.combine(TODAY, dt.time(), dt.UTC)
        training = train(spec, _inputs(spec), films, None, now, SEED)
        if training.version is None:
            raise SystemExit(f"{spec.name} was not trained: {training.reason}")
        predict(spec, training.version.artifact, films)
    found = {"seconds": time.perf_counter() - started}
    found["most_memory_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    if with_predecessor:
        found["predecessor_seconds"] = _predecessor_seconds(films)
    return found


def _drawn(size: int) -> pd.DataFrame:
    random = np.random.default_rng(SEED)
    known = _demo_films()
    known = known[known["release_date"].notna() & (known["vote_count"].fillna(0) >= MIN_VOTES)]
    movies = known.dropna(subset=["popularity", "vote_average"]).sample(size, replace=True, random_state=SEED)
    movies = movies.assign(
        tmdb_id=np.arange(size),
        release_date=pd.to_datetime(movies["release_date"]) - pd.to_timedelta(random.integers(0, 365, size), unit="D"),
        popularity=movies["popularity"] * np.exp(random.normal(0, 0.2, size)),
        vote_average=(movies["vote_average"] + random.normal(0, 0.4, size)).clip(0, 10),
    )
    return _features(movies, TODAY)


def _predecessor_seconds(films: pd.DataFrame) -> float:
    """Time the predecessor's three random forests (popularity, rating, high or low rating) and its k-means."""
    from sklearn.cluster import KMeans
    from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
    from sklearn.preprocessing import StandardScaler

    x = StandardScaler().fit_transform(_predecessor_features(films, votes=True))
    popularity, rating = films["popularity"].to_numpy(), films["vote_average"].to_numpy()
    started = time.perf_counter()
    settings = {"n_estimators": 100, "max_depth": 10, "random_state": 42}
    for model, y in (
        (RandomForestRegressor(**settings), popularity),
        (RandomForestRegressor(**settings), rating),
        (RandomForestClassifier(**settings), rating >= np.median(rating)),
    ):
        model.fit(x, y).predict(x)
    KMeans(n_clusters=5, n_init=10, random_state=42).fit(x)
    return time.perf_counter() - started


# -- report ------------------------------------------------------------------------------------------------------------


def _print(result: dict[str, Any]) -> None:
    print(f"{result['films']:,} films, as of {result['as_of']}; mean absolute errors are means over five origins\n")
    columns = (
        *("champion", "serves", "others", "MAE", "linear", "forest", "÷linear", "log ÷", "÷forest", "worst ÷", "rank"),
        *("covered", "lowest", "width", "theirs"),
    )
    print(f"{'model':<28}" + "".join(f"{column:>9}" for column in columns))
    for name, scores in result["models"].items():
        interval, gaussian = scores["interval"], scores["predecessor_interval"]
        figures = (
            scores["mae"][scores["champion"]],
            *scores["predecessor_mae"].values(),
            scores["ratio_to_linear"],
            scores["log_ratio_to_linear"],
            scores["ratio_to_forest"],
            scores["worst_origin_ratio_to_linear"],
            scores["metrics"]["spearman"],
            interval["coverage"],
            min(origin["coverage"] for origin in interval["origins"].values()),
            interval["width"],
        )
        theirs = f"{gaussian['coverage']:.2f}/{gaussian['width']:.1f}"
        served = f"{scores['champion']:>9}{'yes' if scores['serves'] else 'no':>9}{scores['films_of_other_genres']:>9,}"
        print(f"{name:<28}{served}" + "".join(f"{figure:>9.3f}" for figure in figures) + f"{theirs:>10}")
    for size, timing in result["speed"].items():
        if isinstance(timing, dict):
            print(f"\n{int(size):>9,} films: {timing['seconds']:.1f} s, {timing['most_memory_mb']:.0f} MB", end="")
        else:
            print(f"\n{size}: {timing:.2f}", end="")
    print("\n")


if __name__ == "__main__":
    main()
