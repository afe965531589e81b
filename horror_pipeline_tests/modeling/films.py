"""Invented films for the tests of learning: features and targets as `movie_features` has them."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd

from horror_pipeline.domain import Stage
from horror_pipeline.modeling.specs import MODELS, Inputs, Problem
from horror_pipeline.transform.features import FEATURES, build_features, build_listed_features, feature_names

AS_OF = dt.datetime(2026, 11, 22, 12, tzinfo=dt.UTC)
NOW = dt.datetime(2026, 11, 22, 13, tzinfo=dt.UTC)
GENRES = ("Thriller", "Comedy", "Drama", "Mystery", "Science Fiction")


def movies(count: int = 240, seed: int = 1, upcoming: int = 0) -> pd.DataFrame:
    """Rows of `movies`: ratings depend on genre and language, popularity on votes and age, votes on another genre."""
    random = np.random.default_rng(seed)
    total = count + upcoming
    age = np.sort(random.integers(5, 3_000, count))[::-1]
    days = np.concatenate([-age, random.integers(5, 300, upcoming)])
    genres = [["Horror", *random.choice(GENRES, random.integers(0, 3), replace=False).tolist()] for _ in range(total)]
    english = random.random(total) < 0.7
    drama, thriller = (np.array([genre in names for names in genres]) for genre in ("Drama", "Thriller"))
    votes = np.exp(random.normal(3.5, 0.8, total) + 2.0 * thriller + 0.5 * english).astype(int) + 10
    rating = 5.5 + 1.2 * drama + 0.6 * ~english + random.normal(0, 0.5, total)
    popularity = 0.2 * votes**0.7 * np.exp(1.0 / (1 + np.maximum(-days, 0) / 300) + random.normal(0, 0.2, total))
    minutes = random.normal(92, 9, total).round()
    frame = pd.DataFrame(
        {
            "tmdb_id": random.permutation(total) + 1_000,
            "title": [f"The {word} of Night" for word in random.choice(["House", "Curse", "Voice"], total)],
            "original_title": [f"The {word} of Night" for word in random.choice(["House", "Curse"], total)],
            "original_language": np.where(english, "en", "es"),
            "release_date": [AS_OF.date() + dt.timedelta(days=int(day)) for day in days],
            "runtime_minutes": np.where(random.random(total) < 0.2, np.nan, minutes),
            "genres": genres,
            "directors": [[f"Director {number}"] for number in random.integers(0, total // 2, total)],
            "collection_id": np.where(random.random(total) < 0.1, random.integers(0, 20, total), np.nan),
            "popularity": popularity,
            "vote_average": rating.clip(0, 10),
            "vote_count": votes.astype(float),
        }
    )
    if upcoming:
        frame.loc[frame.index[count:], ["vote_average"]] = np.nan
        frame.loc[frame.index[count:], ["vote_count"]] = 0.0
    return frame


def described(count: int = 240, seed: int = 1, upcoming: int = 0) -> pd.DataFrame:
    """The same with what history tells of them before their release, which is nothing."""
    return movies(count, seed, upcoming).assign(prerelease_popularity=np.nan)


def films(count: int = 240, seed: int = 1, upcoming: int = 0) -> pd.DataFrame:
    """The same as rows of `movie_features`."""
    return build_features(described(count, seed, upcoming), AS_OF)


def inputs(stage: Stage) -> Inputs:
    """The columns a model of a stage may use."""
    allowed = set(feature_names(stage))
    kinds = ("number", "flag", "category")
    return Inputs(*(tuple(f.name for f in FEATURES if f.kind == kind and f.name in allowed) for kind in kinds))


def others(count: int = 240, seed: int = 2) -> pd.DataFrame:
    """Films of other genres, of which the listing is known."""
    listed = movies(count, seed).assign(genres=lambda rows: rows["genres"].map(lambda names: names[1:]))
    return build_listed_features(listed.assign(tmdb_id=lambda rows: rows["tmdb_id"] + 100_000), AS_OF)


def problem(name: str, known: pd.DataFrame | None = None, seed: int = 0, others: pd.DataFrame | None = None) -> Problem:
    """The learning problem of a model, on `films()` unless others are given."""
    spec = MODELS[name]
    films_of_others = pd.DataFrame() if others is None else others
    return Problem(spec, inputs(spec.stage), films() if known is None else known, seed, films_of_others)
