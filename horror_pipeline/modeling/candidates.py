"""The estimators that compete to be a model, as scikit-learn pipelines.

What belongs here: how each is built. What does not: choosing among them (train.py), scoring (evaluate.py).

A *component* is one estimator of prepared films; a *candidate* is a pipeline that prepares films and averages one
component or several. Averages are scored from their components' predictions: one candidate more costs nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin, clone
from sklearn.dummy import DummyRegressor
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, Ridge, TweedieRegressor
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from horror_pipeline.modeling.missing_runtime import LengthEffect, Marginal
from horror_pipeline.modeling.preprocessing import RUNTIME, Inputs, Prepare, Select, Smooth
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

    def fit(self, X: Floats, y: Floats, sample_weight: Floats | None = None) -> Positive:
        """Fit to the scaled target."""
        self.scale_ = float(np.mean(y)) or 1.0
        self.regressor_ = clone(self.regressor).fit(X, np.maximum(y / self.scale_, 1e-3), sample_weight=sample_weight)
        return self

    def predict(self, X: Floats) -> Floats:
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

    def fit(self, X: Floats, y: Floats, sample_weight: Floats | None = None) -> Unweighted:
        """Fit without the weights."""
        self.regressor_ = clone(self.regressor).fit(X, y)
        return self

    def predict(self, X: Floats) -> Floats:
        """Predict."""
        return np.asarray(self.regressor_.predict(X), dtype="float64")


class Seen(RegressorMixin, BaseEstimator):
    """A regressor that sees the films through a transformer, and takes weights as any regressor does.

    Args:
        transformer: what it sees them through.
        regressor: the regressor.
    """

    def __init__(self, transformer: Any, regressor: Any) -> None:
        """Keep both."""
        self.transformer, self.regressor = transformer, regressor

    def fit(self, X: Floats, y: Floats, sample_weight: Floats | None = None) -> Seen:
        """Fit the transformer, then the regressor."""
        self.transformer_ = clone(self.transformer)
        terms = self.transformer_.fit_transform(X, y)
        self.regressor_ = clone(self.regressor).fit(terms, y, sample_weight=sample_weight)
        return self

    def predict(self, X: Floats) -> Floats:
        """Predict."""
        return np.asarray(self.regressor_.predict(self.transformer_.transform(X)), dtype="float64")


class Blend(RegressorMixin, BaseEstimator):
    """The weighted average of several components' predictions.

    Args:
        members: name and estimator of each.
        weights: weight of each; they need not add up to one.
    """

    def __init__(self, members: list[tuple[str, Any]], weights: list[float]) -> None:
        """Keep members and weights."""
        self.members, self.weights = members, weights

    def fit(self, X: Floats, y: Floats, sample_weight: Floats | None = None) -> Blend:
        """Fit every member to all rows."""
        self.members_ = [(name, clone(member).fit(X, y, sample_weight)) for name, member in self.members]
        return self

    def predict(self, X: Floats) -> Floats:
        """Average the members' predictions."""
        predictions = [member.predict(X) for _, member in self.members_]
        return np.asarray(np.average(predictions, axis=0, weights=self.weights))


def components(spec: ModelSpec, inputs: Inputs, rows: int, seed: int) -> dict[str, Any]:
    """Every component of a model, unfitted; each takes prepared films, targets and weights.

    Args:
        spec: the model.
        inputs: the columns it may use.
        rows: how many films there are to learn from, in all: more of them bear larger trees.
        seed: of everything random.
    """
    built: dict[str, Any] = {
        CONSTANT: Unweighted(DummyRegressor(strategy="median")),
        LINEAR: Unweighted(_predecessor_linear(inputs)),
    }
    growth = next(growth for most, growth in GROWTH if rows < most)
    if spec.name == "popularity_after_release":
        return built | _popularity_after(inputs, growth, seed)
    if spec.name == "popularity_before_release":
        return built | _popularity_before(inputs, growth, seed)
    return built | _rating(inputs, growth, seed)


@dataclass(frozen=True)
class Growth:
    """How far boosting goes: leaves of a tree, trees, and the share of each that counts."""

    leaves: int
    trees: int
    learning_rate: float


GROWTH = ((4_000, Growth(4, 100, 0.1)), (10_000, Growth(8, 50, 0.15)), (float("inf"), Growth(16, 50, 0.15)))
"""By the number of films below which it goes so far: more films bear larger trees."""

BLENDS: dict[str, dict[str, float]] = {
    "popularity_after_release": {"spline": 1, "boosting": 1},
    "popularity_before_release": {"boosting": 1, "poisson": 1},
    "rating_after_release": {"spline": 1, "boosting": 2},
    "rating_before_release": {"spline": 1, "boosting": 2},
}
"""Different kinds err differently. Plain weights: a stack learns them at twelve times the cost, and gains nothing."""


def candidates(spec: ModelSpec) -> dict[str, dict[str, float]]:
    """The weights of the components in every candidate."""
    single = {name: {name: 1.0} for name in (CONSTANT, LINEAR, "spline", "boosting")}
    return {**single, "blend": BLENDS[spec.name]}


def build(spec: ModelSpec, inputs: Inputs, algorithm: str, rows: int, seed: int) -> Pipeline:
    """The unfitted pipeline of a candidate; weights go to its step `estimator`."""
    parts, recipe = components(spec, inputs, rows, seed), candidates(spec)[algorithm]
    estimator = (
        parts[algorithm] if len(recipe) == 1 else Blend([(name, parts[name]) for name in recipe], [*recipe.values()])
    )
    return Pipeline([("prepare", Prepare.of(inputs)), ("estimator", estimator)])


def _predecessor_linear(inputs: Inputs) -> Pipeline:
    """Standardised plain terms, and least squares: what this project's predecessor predicted with."""
    used = inputs.places(name for name in PREDECESSOR_FEATURES if name in inputs.names)
    filled = SimpleImputer(strategy="constant", fill_value=PREDECESSOR_RUNTIME, keep_empty_features=True)
    return make_pipeline(Select(used), filled, StandardScaler(), LinearRegression())


TREND = ("release_year", "release_decade")
"""Only the predecessor uses them: as plain terms they extrapolate, and trees learn the same from age."""


def _popularity_after(inputs: Inputs, growth: Growth, seed: int) -> dict[str, Any]:
    """Losses that get the mean right: popularity spreads over two orders of magnitude. More votes never mean less."""
    return {
        "spline": Seen(_smooth(inputs), Positive(_tweedie(0.001))),
        "boosting": _boosting(
            inputs,
            growth,
            seed,
            unseen=(RUNTIME,),
            rising=("log_vote_count", "log_vote_rate"),
            max_bins=255,
            loss="gamma",
        ),
    }


def _popularity_before(inputs: Inputs, growth: Growth, seed: int) -> dict[str, Any]:
    runtime = inputs.places([RUNTIME])[0]
    boosted = {
        name: Marginal(_boosting(inputs, growth, seed, loss=loss), runtime, random_state=seed)
        for name, loss in (("boosting", "gamma"), ("poisson", "poisson"))
    }
    return {"spline": Seen(_smooth(inputs), Positive(_tweedie(0.01))), **boosted}


def _rating(inputs: Inputs, growth: Growth, seed: int) -> dict[str, Any]:
    runtime = inputs.places([RUNTIME])[0]
    brief = replace(growth, trees=min(growth.trees, 60), learning_rate=0.15)
    estimators = {
        "spline": Seen(_smooth(inputs), Ridge(10.0)),
        "boosting": _boosting(inputs, brief, seed, unseen=(RUNTIME,)),
    }
    return {name: LengthEffect(estimator, runtime) for name, estimator in estimators.items()}


def _boosting(
    inputs: Inputs,
    growth: Growth,
    seed: int,
    *,
    unseen: tuple[str, ...] = (),
    rising: tuple[str, ...] = (),
    loss: str = "squared_error",
    max_bins: int = 64,
) -> Seen:
    """Boosted small trees; each split looks at a third of the columns, so that none leads throughout."""
    columns = _columns(inputs, without=unseen)
    order = [inputs.prepared_names[place] for place in columns]
    booster = HistGradientBoostingRegressor(
        loss=loss,
        max_iter=growth.trees,
        learning_rate=growth.learning_rate,
        max_leaf_nodes=growth.leaves,
        max_bins=max_bins,
        min_samples_leaf=20,
        l2_regularization=1.0,
        max_features=0.3,
        monotonic_cst=[int(name in rising) for name in order],
        early_stopping=False,
        random_state=seed,
    )
    if loss == "squared_error":  # the ratings' loss: their films have weights
        return Seen(Select(columns, steps=max_bins), booster)
    return Seen(Select(columns), Positive(booster))


def _tweedie(alpha: float) -> TweedieRegressor:
    return TweedieRegressor(power=1.5, alpha=alpha, link="log", max_iter=1000)


def _smooth(inputs: Inputs) -> Smooth:
    votes, rate, age = (
        inputs.places(name for name in inputs.numbers if name == wanted)
        for wanted in ("log_vote_count", "log_vote_rate", "days_since_release")
    )
    curved = {*votes, *rate, *age}
    level = [place for place in _columns(inputs, without=(RUNTIME, "vote_count")) if place not in curved]
    return Smooth(level, votes, rate, age)


def _columns(inputs: Inputs, without: tuple[str, ...]) -> list[int]:
    """The prepared columns our own estimators see."""
    return inputs.places(name for name in inputs.prepared_names if name not in (*TREND, *without))
