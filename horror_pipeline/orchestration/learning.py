"""What the machine-learning assets share: the features as a data frame, and whether a step has anything to do.

In `training_state`, each step records the fingerprint of the features that it last processed.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Engine

from horror_pipeline.domain import GENRE_NAMES, HORROR_GENRE_ID, MODEL_NAMES, Stage
from horror_pipeline.modeling.artifacts import CODE_VERSION, library_versions
from horror_pipeline.orchestration.frames import read_frame
from horror_pipeline.warehouse import features, models, other_movies, snapshot_stats

if TYPE_CHECKING:
    import pandas as pd

    from horror_pipeline.modeling.specs import Inputs

SEED = 0
CHAMPIONS_STEP = "champions"


def read_features(warehouse: Engine) -> pd.DataFrame:
    """Read all features and targets: features in single precision, `release_date` datetime64.

    The seven assets that read the features in a run share one query, and one frame as long as none modifies it.
    """
    with warehouse.connect() as connection:
        fingerprint = features.state(connection, features.FEATURES_STEP)
    return _features_as_of(warehouse, fingerprint).copy(deep=False)


def read_training_films(warehouse: Engine, learns_from_others: bool) -> pd.DataFrame:
    """Read the features of all films that models learn from: `read_features` and, if wanted, films of other genres."""
    import pandas as pd

    films = read_features(warehouse)
    if not learns_from_others or films.empty:
        return films
    with warehouse.connect() as connection:
        fingerprint = features.state(connection, features.FEATURES_STEP)
    return pd.concat([films, _others_as_of(warehouse, fingerprint, films["as_of"].max())], ignore_index=True)


@lru_cache(maxsize=1)
def _others_as_of(warehouse: Engine, _fingerprint: str | None, as_of: dt.datetime) -> pd.DataFrame:
    from horror_pipeline.transform.features import build_listed_features

    with warehouse.connect() as connection:
        query = other_movies.others_to_learn_from(snapshot_stats.latest_scale_break(connection))
        frame = build_listed_features(read_frame(connection, query), as_of)
    return frame.astype(dict.fromkeys(_single_precision(), "float32"))


@lru_cache(maxsize=1)
def _features_as_of(warehouse: Engine, _fingerprint: str | None) -> pd.DataFrame:
    import pandas as pd

    with warehouse.connect() as connection:
        frame = read_frame(connection, features.described_films(), _single_precision())
    frame["release_date"] = pd.to_datetime(frame["release_date"]).astype("datetime64[s]")
    return frame


def _single_precision() -> list[str]:
    """Return the features for which single precision is enough: all but categories and `vote_count`, an exact count."""
    from horror_pipeline.transform.features import FEATURES

    return [feature.name for feature in FEATURES if feature.kind != "category" and feature.name != "vote_count"]


def inputs_of(
    stage: Stage, genres: tuple[str, ...] = (GENRE_NAMES[HORROR_GENRE_ID],), uses_history: bool = False
) -> Inputs:
    """Return the columns that a model of the stage may use.

    Args:
        stage: the stage.
        genres: names of the collected genres; empty if all are collected.
        uses_history: whether to include features of the kind `history`.
    """
    from horror_pipeline.modeling.specs import Inputs
    from horror_pipeline.transform.features import FEATURES, GENRES, feature_names

    allowed = set(feature_names(stage))
    numbers, flags, categories, history = (
        tuple(feature.name for feature in FEATURES if feature.kind == kind and feature.name in allowed)
        for kind in ("number", "flag", "category", "history")
    )
    numbers += history if uses_history else ()
    collected = tuple(feature for feature, genre in GENRES.items() if genre in genres)
    return Inputs(numbers, flags, categories, collected)


def records(frame: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """Yield the frame's rows one by one, to save the memory that all rows would take as Python objects."""
    names = list(frame.columns)
    for row in frame.itertuples(index=False, name=None):
        yield dict(zip(names, row, strict=True))


def pending_fingerprint(connection: Connection, step: str) -> str | None:
    """Return the fingerprint of the features if the step has yet to process them; None if it has done so."""
    fingerprint = f"{CODE_VERSION}|{features.state(connection, features.FEATURES_STEP)}"
    return None if fingerprint == features.state(connection, step) else fingerprint


def is_current(champion: Mapping[str, Any] | None) -> bool:
    """Whether a champion was fitted with the installed library versions; true for a model without a champion."""
    return champion is None or champion["library_versions"] == library_versions()


def read_champions(connection: Connection) -> dict[str, dict[str, Any] | None]:
    """Return the champion of each model as a row of `model_versions`; None for a model without one."""
    return {name: models.champion(connection, name) for name in MODEL_NAMES}


def versions_of(champions: Mapping[str, Mapping[str, Any] | None]) -> str:
    """Return the champions' versions as one text, which is stored to notice when one of them changes."""
    return "|".join(str(champion["model_version"]) if champion else "" for champion in champions.values())


def is_predicted(connection: Connection, champions: Mapping[str, Mapping[str, Any] | None]) -> bool:
    """Whether the newest predictions were made from the present features by the present champions."""
    if features.state(connection, features.PREDICTIONS_STEP) != features.state(connection, features.FEATURES_STEP):
        return False
    return versions_of(champions) == features.state(connection, CHAMPIONS_STEP)


def is_training_up_to_date(connection: Connection) -> bool:
    """Whether no step of a training has anything to do, as films, code and libraries are the same as in the last one.

    Every step is checked, so that the next training continues one that failed halfway.
    """
    if features.training_fingerprint(connection) != features.state(connection, features.FEATURES_STEP):
        return False
    steps = (*MODEL_NAMES, "rating_class", "movie_clusters", "similar_movies")
    if any(pending_fingerprint(connection, step) for step in steps):
        return False
    champions = read_champions(connection)
    return all(map(is_current, champions.values())) and is_predicted(connection, champions)
