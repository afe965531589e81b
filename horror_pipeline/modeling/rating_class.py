"""Classification of films as high or low rated, from what is known before release."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import Pipeline
from threadpoolctl import threadpool_limits

from horror_pipeline.domain import MIN_VOTES_SCORED
from horror_pipeline.modeling.artifacts import library_versions
from horror_pipeline.modeling.missing_runtime import RuntimeImputer
from horror_pipeline.modeling.prediction import in_batches
from horror_pipeline.modeling.preprocessing import Preprocessor
from horror_pipeline.modeling.specs import RUNTIME, Floats, Inputs

MIN_FILMS = 60
TRAINING_SHARE = 0.8
"""The scored classifier is trained on this share of the films, the earliest ones, and scored on the later ones."""


@dataclass(frozen=True)
class Classification:
    """The classes of films, and the classifier's metrics.

    Args:
        films: `tmdb_id`, `is_high_rated` (None where votes are too few), `predicted_is_high_rated` and
            `high_rated_probability`.
        threshold: the rating from which a film counts as high rated.
        version: digest of the data, code and libraries.
        metrics: accuracy, AUC and confusion counts on later films, and the accuracy of always predicting the commoner
            class.
    """

    films: pd.DataFrame
    version: str
    threshold: float
    metrics: dict[str, float]


def classify(inputs: Inputs, films: pd.DataFrame, seed: int = 0) -> Classification | str:
    """Fit to released films with enough votes, the newest fifth of which gives the metrics, and classify every film.

    Args:
        inputs: the columns that are known before release.
        films: rows of `movie_features`, with targets.
        seed: seed of everything random.

    Returns:
        The classification; or the reason, in words, why there is none.
    """
    voted = films["vote_count"].fillna(0).ge(MIN_VOTES_SCORED) & films["vote_average"].notna()
    known = films[voted & films["stage"].eq("after_release") & films["release_date"].notna()]
    known = known.sort_values(["release_date", "tmdb_id"], kind="stable")
    if len(known) < MIN_FILMS:
        return f"{len(known)} released films have {MIN_VOTES_SCORED} votes or more; {MIN_FILMS} are needed"
    cut = known["release_date"].iloc[int(len(known) * TRAINING_SHARE)]
    earlier, later = known[known["release_date"] < cut], known[known["release_date"] >= cut]
    threshold = float(earlier["vote_average"].median()) if len(earlier) else 0.0
    is_high = known["vote_average"] >= threshold
    if is_high[earlier.index].nunique() < 2 or is_high[later.index].nunique() < 2:
        return "the films' ratings are all on one side of their median: there is nothing to tell apart"
    with threadpool_limits(limits=1):
        metrics = _scores(is_high[later.index].to_numpy(), _fit(inputs, earlier, is_high, seed).predict(later))
        probabilities = np.clip(in_batches(_fit(inputs, known, is_high, seed), films), 0.0, 1.0)
    actual = (films["vote_average"] >= threshold).astype("object").where(voted, None)
    classes = pd.DataFrame(
        {
            "tmdb_id": films["tmdb_id"],
            "is_high_rated": actual,
            "predicted_is_high_rated": probabilities >= 0.5,
            "high_rated_probability": probabilities,
        }
    )
    return Classification(classes, _version(inputs, known, seed), threshold, metrics)


class ProbabilityRegressor(HistGradientBoostingClassifier):
    """A classifier that predicts the probability of the positive class, so that it can be used as a regressor."""

    def predict(self, X: Floats) -> Floats:
        """Predict the probability of the positive class."""
        return np.asarray(self.predict_proba(X)[:, 1])


def _version(inputs: Inputs, known: pd.DataFrame, seed: int) -> str:
    hashed = pd.util.hash_pandas_object(known[["tmdb_id", *inputs.numbers, *inputs.flags, "vote_average"]], index=False)
    digest = hashlib.blake2b(hashed.to_numpy().tobytes(), digest_size=8)
    digest.update(f"rating_class {seed} {library_versions()}".encode())
    return digest.hexdigest()


def _fit(inputs: Inputs, films: pd.DataFrame, is_high: pd.Series, seed: int) -> Pipeline:
    booster = ProbabilityRegressor(
        max_iter=120,
        learning_rate=0.05,
        max_leaf_nodes=4,
        l2_regularization=1.0,
        early_stopping=False,
        random_state=seed,
    )
    estimator = RuntimeImputer(booster, inputs.positions([RUNTIME])[0], random_state=seed)
    pipeline = Pipeline([("preprocessor", Preprocessor(inputs)), ("estimator", estimator)])
    return pipeline.fit(films, is_high[films.index].to_numpy(dtype="float64"))


def _scores(actual: np.ndarray[Any, Any], probability: Floats) -> dict[str, float]:
    predicted = probability >= 0.5
    return {
        "films": float(len(actual)),
        "accuracy": float((predicted == actual).mean()),
        "commoner_accuracy": float(max(actual.sum(), (~actual).sum()) / len(actual)),
        "auc": float(roc_auc_score(actual, probability)),
        "true_high": float((predicted & actual).sum()),
        "false_high": float((predicted & ~actual).sum()),
        "true_low": float((~predicted & ~actual).sum()),
        "false_low": float((~predicted & actual).sum()),
    }
