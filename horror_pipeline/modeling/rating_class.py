"""High or low rating: is a film among the better half, from what is known before release?

What belongs here: the classifier and its scores. What does not: predicting the rating itself (train.py).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import rankdata
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.pipeline import Pipeline

from horror_pipeline.modeling.missing_runtime import Marginal
from horror_pipeline.modeling.preprocessing import RUNTIME, Inputs, Prepare
from horror_pipeline.modeling.specs import MIN_VOTES_SCORED, Floats
from horror_pipeline.modeling.threads import one_thread
from horror_pipeline.modeling.versions import CODE_VERSION, library_versions

FEWEST_FILMS = 60
TRAINING_SHARE = 0.8
"""Share of the films, the earliest, that the scored classifier learns from; the later ones score it."""


@dataclass(frozen=True)
class Classification:
    """A classifier's films and scores.

    Args:
        films: `tmdb_id`, `is_high_rated` (None: too few votes), `predicted_is_high_rated`, `high_rated_probability`.
        threshold: the rating from which a film counts as high.
        metrics: accuracy, AUC and confusion counts on later films, and the accuracy of always saying the commoner.
        version: digest of what it was fitted on.
    """

    films: pd.DataFrame
    version: str
    threshold: float
    metrics: dict[str, float]


def classify(inputs: Inputs, films: pd.DataFrame, seed: int = 0) -> Classification | str:
    """Fit on released films of enough votes, score on the newest fifth of them, and classify every film.

    Args:
        inputs: the columns it may use: those known before release.
        films: rows of `movie_features`, with targets.
        seed: of everything random.

    Returns:
        The classification; or, in words, why there is none.
    """
    with one_thread():
        return _classify(inputs, films, seed)


def _classify(inputs: Inputs, films: pd.DataFrame, seed: int) -> Classification | str:
    voted = films["vote_count"].fillna(0).ge(MIN_VOTES_SCORED) & films["vote_average"].notna()
    known = films[voted & films["stage"].eq("after_release") & films["release_date"].notna()]
    known = known.sort_values(["release_date", "tmdb_id"], kind="stable")
    if len(known) < FEWEST_FILMS:
        return f"{len(known)} released films have {MIN_VOTES_SCORED} votes or more; {FEWEST_FILMS} are needed"
    cut = known["release_date"].iloc[int(len(known) * TRAINING_SHARE)]
    earlier, later = known[known["release_date"] < cut], known[known["release_date"] >= cut]
    threshold = float(earlier["vote_average"].median()) if len(earlier) else 0.0
    is_high = known["vote_average"] >= threshold
    if is_high[earlier.index].nunique() < 2 or is_high[later.index].nunique() < 2:
        return "the films' ratings are all on one side of their median: there is nothing to tell apart"
    probability = _fit(inputs, earlier, is_high, seed).predict(later)
    metrics = _scores(is_high[later.index].to_numpy(), probability)
    everyone = _fit(inputs, known, is_high, seed).predict(films)
    everyone = np.clip(everyone, 0.0, 1.0)
    actual = (films["vote_average"] >= threshold).astype("object").where(voted, None)
    found = pd.DataFrame(
        {
            "tmdb_id": films["tmdb_id"],
            "is_high_rated": actual,
            "predicted_is_high_rated": everyone >= 0.5,
            "high_rated_probability": everyone,
        }
    )
    return Classification(found, _version(inputs, known, seed), threshold, metrics)


class Probability(HistGradientBoostingClassifier):
    """Predicts the probability of the positive class, so that it fits where a regressor does."""

    def predict(self, X: Floats) -> Floats:
        """The probability of the positive class."""
        return np.asarray(self.predict_proba(X)[:, 1])


def _version(inputs: Inputs, known: pd.DataFrame, seed: int) -> str:
    hashed = pd.util.hash_pandas_object(known[["tmdb_id", *inputs.numbers, *inputs.flags, "vote_average"]], index=False)
    digest = hashlib.blake2b(hashed.to_numpy().tobytes(), digest_size=8)
    digest.update(f"rating_class {CODE_VERSION} {seed} {library_versions()}".encode())
    return digest.hexdigest()


def _fit(inputs: Inputs, films: pd.DataFrame, is_high: pd.Series, seed: int) -> Pipeline:
    booster = Probability(
        max_iter=120,
        learning_rate=0.05,
        max_leaf_nodes=4,
        l2_regularization=1.0,
        early_stopping=False,
        random_state=seed,
    )
    whole = Marginal(booster, inputs.places([RUNTIME])[0], random_state=seed)
    pipeline = Pipeline([("prepare", Prepare.of(inputs)), ("estimator", whole)])
    return pipeline.fit(films, is_high[films.index].to_numpy(dtype="float64"))


def _scores(actual: np.ndarray[Any, Any], probability: Floats) -> dict[str, float]:
    said, positive = probability >= 0.5, actual.sum()
    negative = len(actual) - positive
    ranks = rankdata(probability)
    return {
        "films": float(len(actual)),
        "accuracy": float((said == actual).mean()),
        "commoner_accuracy": float(max(positive, negative) / len(actual)),
        "auc": float((ranks[actual].sum() - positive * (positive + 1) / 2) / (positive * negative)),
        "true_high": float((said & actual).sum()),
        "false_high": float((said & ~actual).sum()),
        "true_low": float((~said & ~actual).sum()),
        "false_low": float((~said & actual).sum()),
    }
