"""The estimators that compete to be a model, as scikit-learn pipelines.

What belongs here: how each is built. What does not: choosing among them (train.py), scoring (evaluate.py).

A *component* is one pipeline; a *candidate* is a component or an average of several. Averages are scored from their
components' predictions, so trying a candidate more costs nothing.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, RegressorMixin, clone
from sklearn.compose import ColumnTransformer
from sklearn.dummy import DummyRegressor
from sklearn.ensemble import ExtraTreesRegressor, HistGradientBoostingRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, Ridge, TweedieRegressor
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from horror_pipeline.modeling.preparation import Inputs, Marginal, prepared, smooth
from horror_pipeline.modeling.specs import Floats, ModelSpec

CONSTANT, LINEAR = "constant", "linear"
BASELINES = (CONSTANT, LINEAR)
"""What a champion is held against: the training films' median, and the predecessor's linear regression."""

PREDECESSOR_FEATURES = (
    "runtime_minutes",
    "vote_count",
    "release_year",
    "release_month",
    "release_decade",
    "is_october",
    "is_summer",
    "is_holiday_season",
    "genre_count",
    "is_thriller",
    "is_mystery",
    "is_science_fiction",
    "is_fantasy",
    "is_english",
)
PREDECESSOR_RUNTIME = 90.0

MOST_ROWS_A_TREE = 20_000
"""Films a tree of the extra trees is grown on: beyond, growth stops paying and memory does not."""


class Positive(RegressorMixin, BaseEstimator):
    """Fits a regressor with a log link to a positive target, whatever the target's scale.

    The target is divided by its mean while fitting: TMDB's popularity has changed scale before, and a penalty must not
    depend on it. Zeros become a thousandth of the mean.

    Args:
        regressor: the regressor to fit.
    """

    def __init__(self, regressor: Any) -> None:
        """Keep the regressor."""
        self.regressor = regressor

    def fit(self, X: pd.DataFrame, y: Floats, sample_weight: Floats | None = None) -> Positive:
        """Fit to the scaled target."""
        self.scale_ = float(np.mean(y)) or 1.0
        self.regressor_ = clone(self.regressor).fit(X, np.maximum(y / self.scale_, 1e-3), sample_weight=sample_weight)
        return self

    def predict(self, X: pd.DataFrame) -> Floats:
        """Predict on the target's own scale."""
        return np.asarray(self.regressor_.predict(X) * self.scale_)


class Unweighted(RegressorMixin, BaseEstimator):
    """Fits a baseline to all films alike, whatever their weights.

    Args:
        regressor: the baseline.
    """

    def __init__(self, regressor: Any) -> None:
        """Keep the baseline."""
        self.regressor = regressor

    def fit(self, X: pd.DataFrame, y: Floats, sample_weight: Floats | None = None) -> Unweighted:
        """Fit without the weights."""
        self.regressor_ = clone(self.regressor).fit(X, y)
        return self

    def predict(self, X: pd.DataFrame) -> Floats:
        """Predict."""
        return np.asarray(self.regressor_.predict(X), dtype="float64")


class Blend(RegressorMixin, BaseEstimator):
    """The weighted average of several pipelines' predictions.

    Args:
        members: name and pipeline of each.
        weights: weight of each; they need not add up to one.
    """

    def __init__(self, members: list[tuple[str, Any]], weights: list[float]) -> None:
        """Keep members and weights."""
        self.members, self.weights = members, weights

    def fit(self, X: pd.DataFrame, y: Floats, sample_weight: Floats | None = None) -> Blend:
        """Fit every member to all rows."""
        self.members_ = [(name, clone(member).fit(X, y, sample_weight)) for name, member in self.members]
        return self

    def predict(self, X: pd.DataFrame) -> Floats:
        """Average the members' predictions."""
        predictions = [member.predict(X) for _, member in self.members_]
        return np.asarray(np.average(predictions, axis=0, weights=self.weights))


def components(spec: ModelSpec, inputs: Inputs, seed: int) -> dict[str, Any]:
    """Every component of a model, unfitted.

    Args:
        spec: the model.
        inputs: the columns it may use.
        seed: of everything random.
    """
    built: dict[str, Any] = {
        CONSTANT: Unweighted(DummyRegressor(strategy="median")),
        LINEAR: Unweighted(_predecessor_linear(inputs)),
    }
    estimators = _popularity(spec, seed) if spec.is_popularity else _rating(seed)
    for name, estimator in estimators.items():
        steps: list[tuple[str, Any]] = [("prepared", prepared(inputs))]
        if name == "spline":
            steps.append(("smooth", smooth(inputs)))
        built[name] = Marginal(Pipeline([*steps, (name, estimator)]), random_state=seed)
    return built


def candidates(spec: ModelSpec) -> dict[str, dict[str, float]]:
    """The weights of the components in every candidate."""
    single = {name: {name: 1.0} for name in (CONSTANT, LINEAR, "spline", "boosting")}
    return {**single, "blend": BLENDS[spec.name]}


BLENDS: dict[str, dict[str, float]] = {
    "popularity_after_release": {"spline": 1, "boosting": 1, "trees": 0.5},
    "popularity_before_release": {"boosting": 3, "trees": 1},
    "rating_after_release": {"spline": 1, "boosting": 2, "trees": 1},
    "rating_before_release": {"spline": 1, "boosting": 3},
}


def build(spec: ModelSpec, inputs: Inputs, algorithm: str, seed: int) -> Any:
    """The unfitted estimator of a candidate."""
    parts, recipe = components(spec, inputs, seed), candidates(spec)[algorithm]
    if len(recipe) == 1:
        return parts[algorithm]
    return Blend([(name, parts[name]) for name in recipe], list(recipe.values()))


def _predecessor_linear(inputs: Inputs) -> Pipeline:
    """Standardised plain terms, and least squares: what this project's predecessor predicted with."""
    used = [name for name in PREDECESSOR_FEATURES if name in inputs.names]
    rest = [name for name in used if name != "runtime_minutes"]
    filled = ColumnTransformer(
        [
            (
                "runtime",
                SimpleImputer(strategy="constant", fill_value=PREDECESSOR_RUNTIME, keep_empty_features=True),
                ["runtime_minutes"],
            ),
            ("rest", SimpleImputer(strategy="median", keep_empty_features=True), rest),
        ]
    )
    return Pipeline([("filled", filled), ("scaled", StandardScaler()), (LINEAR, LinearRegression())])


def _popularity(spec: ModelSpec, seed: int) -> dict[str, Any]:
    """Losses that get the mean right (Tweedie, gamma): popularity spreads over two orders of magnitude."""
    after = spec.stage == "after_release"
    rising = {"log_vote_count": 1, "log_vote_rate": 1} if after else None
    boosting = HistGradientBoostingRegressor(
        loss="gamma",
        max_iter=300 if after else 200,
        learning_rate=0.05,
        max_leaf_nodes=4,
        min_samples_leaf=20,
        l2_regularization=1.0,
        max_features=0.3,
        monotonic_cst=rising,
        early_stopping=False,
        random_state=seed,
    )
    tweedie = TweedieRegressor(power=1.5, alpha=0.001 if after else 0.01, link="log", max_iter=1000)
    return {"spline": Positive(tweedie), "boosting": Positive(boosting), "trees": _trees(seed, leaf=3 if after else 5)}


def _rating(seed: int) -> dict[str, Any]:
    boosting = HistGradientBoostingRegressor(
        max_iter=200,
        learning_rate=0.05,
        max_leaf_nodes=4,
        min_samples_leaf=20,
        l2_regularization=1.0,
        max_features=0.3,
        early_stopping=False,
        random_state=seed,
    )
    return {"spline": Ridge(10.0), "boosting": boosting, "trees": _trees(seed, leaf=3)}


def _trees(seed: int, leaf: int) -> ExtraTreesRegressor:
    return ExtraTreesRegressor(
        n_estimators=60, max_depth=12, min_samples_leaf=leaf, max_features=0.4, n_jobs=1, random_state=seed
    )
