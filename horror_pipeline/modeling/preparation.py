"""From the columns of `movie_features` to what estimators take; everything here is fitted inside a pipeline.

What belongs here: imputing, encoding and the spline basis. What does not: estimators.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, RegressorMixin, clone
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, SplineTransformer, StandardScaler

from horror_pipeline.modeling.specs import Floats

TREND = ("release_year", "release_decade")
"""Features only the predecessor's regression uses: as plain terms they extrapolate, and age says the same."""

NEVER = 30.0
"""Years since the last earlier film where there is none."""

PLAUSIBLE_MINUTES = 40.0, 240.0
TYPICAL_MINUTES = 90.0
TYPICAL_QUANTILES = (0.1, 0.3, 0.5, 0.7, 0.9)

RARE_LANGUAGE = 8
"""Films a language needs to be told from the others."""


@dataclass(frozen=True)
class Inputs:
    """The columns a model may use, by kind.

    Args:
        numbers: numeric columns.
        flags: columns of 0 and 1.
        categories: text columns.
    """

    numbers: tuple[str, ...]
    flags: tuple[str, ...]
    categories: tuple[str, ...]

    @property
    def names(self) -> list[str]:
        """All of them, in order."""
        return [*self.numbers, *self.flags, *self.categories]


class Marginal(RegressorMixin, BaseEstimator):
    """Fits and predicts so that nothing can be learnt from a length that is missing.

    Whether TMDB's users have filled in a film's length betrays how well known it is, and a constant in its place would
    betray it just as well. While fitting, missing lengths are drawn from the observed ones; afterwards a film without
    one is predicted at several typical lengths, and the mean is taken.

    Args:
        pipeline: predicts from complete lengths.
        random_state: seed of the draws.
    """

    def __init__(self, pipeline: Any, random_state: int = 0) -> None:
        """Keep the settings."""
        self.pipeline, self.random_state = pipeline, random_state

    def fit(self, X: pd.DataFrame, y: Floats, sample_weight: Floats | None = None) -> Marginal:
        """Fit the pipeline; `sample_weight` goes to its last step."""
        minutes = _minutes(X)
        observed = minutes[~np.isnan(minutes)]
        source = observed if len(observed) else np.array([TYPICAL_MINUTES])
        self.typical_ = np.quantile(source, TYPICAL_QUANTILES)
        missing = np.isnan(minutes)
        minutes[missing] = np.random.default_rng(self.random_state).choice(source, missing.sum())
        weights = {} if sample_weight is None else {f"{self.pipeline.steps[-1][0]}__sample_weight": sample_weight}
        self.pipeline_ = clone(self.pipeline).fit(X.assign(runtime_minutes=minutes), y, **weights)
        return self

    def predict(self, X: pd.DataFrame) -> Floats:
        """Predict; the mean over typical lengths where the length is missing."""
        minutes = _minutes(X)
        missing = np.isnan(minutes)
        complete = X.assign(runtime_minutes=np.where(missing, self.typical_[len(self.typical_) // 2], minutes))
        predicted = np.array(self.pipeline_.predict(complete), dtype="float64")
        if missing.any():
            gaps = complete[missing]
            every = [self.pipeline_.predict(gaps.assign(runtime_minutes=typical)) for typical in self.typical_]
            predicted[missing] = np.mean(every, axis=0)
        return predicted


def _minutes(X: pd.DataFrame) -> Floats:
    return np.clip(np.array(X["runtime_minutes"], dtype="float64"), *PLAUSIBLE_MINUTES)


def prepared(inputs: Inputs) -> ColumnTransformer:
    """Every input as a number without gaps, as a frame whose columns keep their names; for trees.

    Columns: years since earlier films, the other numbers, flags, one column per language.
    """
    kept = [name for name in inputs.numbers if name not in TREND]
    years = [name for name in kept if name.endswith("_years_since_last")]
    plain = [name for name in kept if name not in years]
    languages = OneHotEncoder(handle_unknown="infrequent_if_exist", min_frequency=RARE_LANGUAGE, sparse_output=False)
    steps = [
        ("years", SimpleImputer(strategy="constant", fill_value=NEVER, keep_empty_features=True), years),
        ("plain", SimpleImputer(strategy="median", keep_empty_features=True), plain),
        ("flags", SimpleImputer(strategy="constant", fill_value=0.0, keep_empty_features=True), list(inputs.flags)),
        ("categories", languages, list(inputs.categories)),
    ]
    transformer = ColumnTransformer([step for step in steps if step[2]], verbose_feature_names_out=False)
    return transformer.set_output(transform="pandas")


def smooth(inputs: Inputs, votes_knots: int = 6) -> ColumnTransformer:
    """What `prepared` yields, as terms of a linear model: splines of votes and age, all else standardised.

    Beyond the training films the age spline stays level: the films to come are always younger than those learnt from.
    """
    curves: dict[str, Any] = {
        "log_vote_count": SplineTransformer(votes_knots, degree=3, knots="quantile", extrapolation="linear"),
        "log_vote_rate": SplineTransformer(5, degree=3, knots="quantile", extrapolation="linear"),
        "days_since_release": make_pipeline(
            FunctionTransformer(np.log1p, feature_names_out="one-to-one"),
            SplineTransformer(4, degree=2, knots="quantile", extrapolation="constant"),
        ),
    }
    here = {name: curve for name, curve in curves.items() if name in inputs.numbers}
    level = [name for name in inputs.names if name not in (*TREND, *here, *inputs.categories, "vote_count")]
    steps: list[tuple[str, Any, list[str]]] = [(name, curve, [name]) for name, curve in here.items()]
    return ColumnTransformer([*steps, ("level", StandardScaler(), level)])
