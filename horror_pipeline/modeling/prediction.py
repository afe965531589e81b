"""Applying a champion's artifact to features: predictions with intervals, all of them finite."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from horror_pipeline.modeling.artifacts import Artifact
from horror_pipeline.modeling.intervals import Interval
from horror_pipeline.modeling.specs import Floats, ModelSpec

FILMS_A_BATCH = 10_000
"""Number of films predicted or explained at once. Larger intermediate arrays would take memory, and also time, because
the operating system hands out and takes back their memory page by page."""


def in_batches(estimator: Any, films: pd.DataFrame) -> Floats:
    """Predict films in batches; there must be at least one film."""
    starts = range(0, len(films), FILMS_A_BATCH)
    return np.concatenate([estimator.predict(films.iloc[start : start + FILMS_A_BATCH]) for start in starts])


def predict(spec: ModelSpec, artifact: Artifact, films: pd.DataFrame) -> pd.DataFrame:
    """Predict a target with its 80 % interval.

    Args:
        spec: the model.
        artifact: its champion.
        films: rows of `movie_features`, at least one; any value may be missing, and categories may be new.

    Returns:
        `predicted`, `lower` and `upper` with the index of `films`, finite and within the target's range.
    """
    with threadpool_limits(limits=1):
        predicted = spec.clip(in_batches(artifact.estimator, films[artifact.features]).astype("float64"))
    votes, age = (
        films[name].to_numpy(dtype="float64", na_value=np.nan) for name in ("vote_count", "days_since_release")
    )
    lower, upper = Interval(**artifact.interval).bounds(spec, predicted, votes, age)
    return pd.DataFrame({"predicted": predicted, "lower": lower, "upper": upper}, index=films.index)
