"""Compare forecasts with no change, with drift and with a plain boosting, and time them at growing numbers of films.

`python benchmarks/forecasts.py` uses the films of the made-up TMDB; with `--database-url`, or DATABASE_URL in the
environment (`eval "$(horror env)"` sets it), it uses the daily history of that warehouse. On each of several past days
a forecaster is fitted to the 90 days up to it and its forecasts are compared with what came; the others learn from the
same days. Only films with a popularity of 1 or more on the day of the forecast count. It prints tables, and JSON as the
last line. The ratios are what to read: absolute times depend on the machine.
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
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from horror_pipeline.domain import FORECAST_HORIZONS_DAYS
from horror_pipeline.modeling.forecasting.forecaster import fit_forecaster
from horror_pipeline.modeling.forecasting.history import History
from horror_pipeline.modeling.forecasting.prediction import forecast

TODAY = dt.date(2026, 11, 22)
HISTORY_DAYS = 90
LOWEST_POPULARITY = 1.0
SIZES = (5_000, 60_000)
RIVALS = ("forecast", "drift", "boosting")
LAGS = (1, 2, 3, 5, 7, 10, 14, 21, 28)
"""Days back to which the plain boosting compares."""


def main() -> None:
    """Read the history, forecast past days, time fitting and forecasting, and report."""
    options = _options()
    if options._size:
        print(json.dumps(_timing(options._size)))
        return
    frame, release_dates = _stored(options.database_url) if options.database_url else _made_up(options.days)
    with threadpool_limits(limits=1):  # as in the package
        scores = pd.DataFrame(_scores(frame, release_dates, options.days))
    if scores.empty:
        raise SystemExit(f"the history is too short: {HISTORY_DAYS} days and the longest horizon are needed")
    horizons = _by_horizon(scores)
    speed = _speed(options.sizes)
    print(pd.DataFrame(horizons).T.round(3).to_string(), "\n")
    print(pd.DataFrame(speed["sizes"]).T.round(1).to_string() if speed else "")
    print(json.dumps({"days": int(scores["day"].nunique()), "horizons": horizons, "speed": speed}))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--database-url", default=os.environ.get("DATABASE_URL"), help="warehouse to read history from")
    parser.add_argument("--days", type=int, default=4, help="days to forecast on, a week apart, ending with the newest")
    parser.add_argument("--sizes", type=_sizes, default=SIZES, help="films to time, comma separated; 0: none")
    parser.add_argument("--_size", type=int, help=argparse.SUPPRESS)
    return parser.parse_args()


def _sizes(text: str) -> tuple[int, ...]:
    return tuple(size for size in map(int, text.split(",")) if size)


# -- history -----------------------------------------------------------------------------------------------------------


def _stored(url: str) -> tuple[pd.DataFrame, pd.Series]:
    """Read the snapshots of a warehouse, and the release dates of its films."""
    from horror_pipeline.settings import postgres_url
    from horror_pipeline.warehouse import forecasts
    from horror_pipeline.warehouse.engine import opened

    with opened(postgres_url(url)) as engine, engine.connect() as connection:
        columns = forecasts.read_history(connection, dt.date.min, dt.date.max)
        return pd.DataFrame(columns), pd.Series(forecasts.release_dates(connection), dtype="object")


def _made_up(origins: int) -> tuple[pd.DataFrame, pd.Series]:
    """Generate as much history of the made-up films as the days to forecast on need."""
    from horror_pipeline.demo.catalogue import DEMO_SEED, Catalogue
    from horror_pipeline.demo.daily_state import popularity

    films = [film for film in Catalogue().known_on(TODAY) if film.is_horror]
    length = HISTORY_DAYS + 7 * (origins - 1) + 1 + max(FORECAST_HORIZONS_DAYS)
    days = [TODAY - dt.timedelta(days=back) for back in range(length)]
    rows = [(film.id, day, popularity(film, day, DEMO_SEED)) for film in films for day in days]
    release_dates = pd.Series({film.id: film.release_date for film in films}, dtype="object")
    return pd.DataFrame(rows, columns=["tmdb_id", "snapshot_date", "popularity"]), release_dates


# -- scores ------------------------------------------------------------------------------------------------------------


def _scores(frame: pd.DataFrame, release_dates: pd.Series, origins: int) -> Iterator[dict[str, Any]]:
    """Forecast on each day, and compare with what came: one row per day and horizon."""
    history = History.from_frame(frame)
    newest = len(history.days) - 1 - max(FORECAST_HORIZONS_DAYS)
    for place in (newest - 7 * weeks for weeks in range(origins)):
        if place < HISTORY_DAYS - 1:
            return
        day = history.days[place].astype(dt.date)
        start = place - HISTORY_DAYS + 1
        known = History(history.days[start : place + 1], history.tmdb_ids, history.popularity[:, start : place + 1])
        made = forecast(fit_forecaster(known, release_dates, day), known, release_dates, day).rows
        origin = known.popularity[:, -1].astype("float64")
        for horizon in FORECAST_HORIZONS_DAYS:
            ours = made[made["horizon_days"] == horizon].set_index("tmdb_id").reindex(history.tmdb_ids)
            actual = history.popularity[:, place + horizon].astype("float64")
            counted = (origin >= LOWEST_POPULARITY) & ~np.isnan(actual) & ours["forecast_popularity"].notna().to_numpy()
            rivals = {"forecast": ours["forecast_popularity"].to_numpy(), **_rivals(known, release_dates, horizon)}
            unchanged = np.abs(actual - origin)[counted].mean()
            inside = (ours["popularity_lower"] <= actual) & (actual <= ours["popularity_upper"])
            yield {
                "day": day,
                "horizon": horizon,
                "films": int(counted.sum()),
                "coverage": float(inside[counted].mean()),
                **{name: float(np.abs(actual - guess)[counted].mean() / unchanged) for name, guess in rivals.items()},
            }


def _rivals(known: History, release_dates: pd.Series, horizon: int) -> dict[str, np.ndarray[Any, Any]]:
    """Forecast by simple methods from the same days: the usual change, and a boosting with scikit-learn's defaults."""
    from sklearn.ensemble import HistGradientBoostingRegressor

    level = np.log(np.where(known.popularity > 0, known.popularity, np.nan))
    change = level[:, horizon:] - level[:, :-horizon]
    film, day = np.nonzero(~np.isnan(change))
    released = pd.to_datetime(release_dates).reindex(known.tmdb_ids).to_numpy().astype("datetime64[D]")
    model = HistGradientBoostingRegressor(loss="absolute_error", random_state=0)
    model.fit(_plain_features(known, level, released, film, day), change[film, day])
    films = np.arange(len(level))
    today = _plain_features(known, level, released, films, np.full(len(films), level.shape[1] - 1))
    with np.errstate(invalid="ignore"):
        return {
            "drift": np.exp(level[:, -1] + np.median(change[film, day])),
            "boosting": np.exp(level[:, -1] + model.predict(today)),
        }


def _plain_features(known: History, level: Any, released: Any, film: Any, day: Any) -> Any:
    padded = np.pad(level, ((0, 0), (max(LAGS), 0)), constant_values=np.nan)
    now = level[film, day]
    age = (known.days[day] - released[film]).astype("timedelta64[D]")
    days = np.where(np.isnat(age), np.nan, age.astype("int64").clip(-400, 4_000))
    return np.column_stack([now, *(now - padded[film, day + max(LAGS) - lag] for lag in LAGS), days])


def _by_horizon(scores: pd.DataFrame) -> dict[str, dict[str, float]]:
    """Mean over the days, and the worst day, by horizon in days."""
    found: dict[str, dict[str, float]] = {}
    for horizon, rows in scores.groupby("horizon"):
        found[str(horizon)] = {
            "films": float(rows["films"].mean()),
            **{f"{name}_ratio_to_no_change": float(rows[name].mean()) for name in RIVALS},
            "worst_forecast_ratio": float(rows["forecast"].max()),
            "coverage": float(rows["coverage"].mean()),
            "lowest_coverage": float(rows["coverage"].min()),
        }
    return found


# -- speed -------------------------------------------------------------------------------------------------------------


def _speed(sizes: tuple[int, ...]) -> dict[str, Any]:
    """Time fitting and forecasting at each size, each in a process of its own."""
    timed: dict[str, dict[str, float]] = {}
    for size in sizes:
        command = [sys.executable, __file__, "--_size", str(size)]
        timed[str(size)] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    if not timed:
        return {}
    first, last = timed[str(sizes[0])], timed[str(sizes[-1])]
    return {"sizes": timed, "times_as_long": last["seconds"] / first["seconds"]}


def _timing(films: int) -> dict[str, float]:
    """Measure seconds and memory of fitting and forecasting as many films of which 90 days are known."""
    random = np.random.default_rng(0)
    level = random.normal(-0.5, 1.5, films)[:, None] + random.normal(0, 0.1, (films, HISTORY_DAYS)).cumsum(axis=1)
    days = np.arange(HISTORY_DAYS) + (np.datetime64(TODAY) - (HISTORY_DAYS - 1))
    released = days[-1] - random.integers(-365, 4_000, films)
    release_dates = pd.Series(released.astype("datetime64[s]"), index=np.arange(films))
    columns = {
        "tmdb_id": np.tile(np.arange(films), HISTORY_DAYS),
        "snapshot_date": np.repeat(days, films),
        "popularity": np.exp(level).T.ravel(),
    }
    started = time.perf_counter()
    history = History.from_frame(pd.DataFrame(columns))
    rows = len(forecast(fit_forecaster(history, release_dates, TODAY), history, release_dates, TODAY).rows)
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"seconds": seconds, "most_memory_mb": peak, "forecasts": float(rows)}


if __name__ == "__main__":
    main()
