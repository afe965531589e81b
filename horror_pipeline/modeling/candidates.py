"""The candidates for each model, as scikit-learn pipelines.

A *component* is an estimator that takes preprocessed films. A *candidate* is a pipeline that preprocesses films and
averages the predictions of one or more components. In the backtest, averages are computed from the components'
predictions, so that a further candidate of the same components costs nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sklearn.dummy import DummyRegressor
from sklearn.ensemble import HistGradientBoostingRegressor, VotingRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from horror_pipeline.modeling.estimators import (
    CollectedRegressor,
    LogRegressor,
    ScaledLogRegressor,
    TransformedRegressor,
)
from horror_pipeline.modeling.missing_runtime import RuntimeEffect, RuntimeImputer
from horror_pipeline.modeling.preprocessing import ColumnSelector, Preprocessor, SplineTerms
from horror_pipeline.modeling.prerelease import PrereleaseEffect
from horror_pipeline.modeling.specs import PRERELEASE, RUNTIME, Floats, Inputs, Problem

CONSTANT, LINEAR = "constant", "linear"
BASELINES = (CONSTANT, LINEAR)
"""The baselines: the median of the training films, and the linear regression that this project's predecessor used."""

OWN, OWN_SPLINE = "own", "own_spline"
"""Boosting and spline fitted only to films of the collected genres, while other components learn from all genres."""

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


@dataclass(frozen=True)
class BoostingSize:
    """The size of a boosted ensemble: leaves per tree, number of trees, fewest films in a leaf, and learning rate."""

    leaves: int
    trees: int
    smallest_leaf: int = 20
    learning_rate: float = 0.15


BOOSTING_SIZES = (
    (4_000, BoostingSize(4, 60)),
    (8_000, BoostingSize(8, 50)),
    (float("inf"), BoostingSize(16, 50)),
)
"""Each size is listed with the number of films below which it is used. More films support larger trees."""

ADDITIVE, AFTER_RELEASE = BoostingSize(2, 200), BoostingSize(8, 75, smallest_leaf=40)
"""Sizes for popularity after release, which depends closely on votes and age. Smooth functions of each, built from
trees of a single split (`ADDITIVE`), already predict well. The trees of `AFTER_RELEASE` combine columns, and average
over more films in each leaf to be as smooth."""

TREND = ("release_year", "release_decade")
"""Columns that only the linear baseline uses. In other models, their linear terms would extrapolate, and trees learn
the same from age."""

BLENDS: dict[str, dict[str, float]] = {
    "popularity_after_release": {"spline": 1, "additive": 1, "boosting": 1},
    "popularity_before_release": {"boosting": 1, "robust": 1},
    "rating_after_release": {"spline": 1, "boosting": 2},
    "rating_before_release": {"spline": 1, "boosting": 2},
}
"""Weights of the components in each model's average. The errors of different methods partly cancel out in an average
(Bates and Granger, 1969). The weights are fixed, because learning them by stacking takes twelve times as long and is no
better."""


def candidates(problem: Problem) -> dict[str, dict[str, float]]:
    """Return every candidate by name, as the weights of its components."""
    blend = BLENDS[problem.spec.name]
    names = dict.fromkeys((CONSTANT, LINEAR, "spline", "boosting", *blend))
    recipes = {**{name: {name: 1.0} for name in names}, "blend": blend}
    if problem.others.empty:
        return recipes
    mixture = {**blend, OWN: 1.0}
    return {**recipes, OWN: {OWN: 1.0}, "mixture": mixture, "wide_mixture": {**mixture, OWN_SPLINE: 1.0}}


def components(problem: Problem) -> dict[str, Any]:
    """Build every component of a model, unfitted; each takes preprocessed films, targets and weights."""
    own = {CONSTANT: DummyRegressor(strategy="median"), LINEAR: _predecessor_linear(problem.inputs)}
    if not problem.others.empty:
        parts = _components(problem, len(problem.films))
        own |= {OWN: parts["boosting"], OWN_SPLINE: parts["spline"]}
    columns = problem.inputs.positions(problem.inputs.collected)
    wrapped = {name: CollectedRegressor(estimator, columns) for name, estimator in own.items()}
    return wrapped | _components(problem, problem.rows)


def _components(problem: Problem, rows: int) -> dict[str, Any]:
    size = next(size for limit, size in BOOSTING_SIZES if rows < limit)
    if problem.spec.name == "popularity_after_release":
        return _popularity_after(problem)
    if problem.spec.name == "popularity_before_release":
        return _popularity_before(problem, size)
    return _rating(problem, size)


def weights(problem: Problem, algorithm: str) -> Floats | None:
    """Return the weights of films for a component or candidate; None for equal weights, as for the baselines."""
    return None if algorithm in BASELINES else problem.spec.weights(problem.votes)


def fit(problem: Problem, algorithm: str) -> Pipeline:
    """Fit the pipeline of a candidate to all films of a problem."""
    parts, recipe = components(problem), candidates(problem)[algorithm]
    blend = VotingRegressor([(name, parts[name]) for name in recipe], weights=[*recipe.values()])
    estimator = parts[algorithm] if len(recipe) == 1 else blend
    pipeline = Pipeline([("preprocessor", Preprocessor(problem.inputs)), ("estimator", estimator)])
    training = problem.training()
    films = training.films[problem.inputs.names]
    return pipeline.fit(films, training.target, estimator__sample_weight=weights(training, algorithm))


def _predecessor_linear(inputs: Inputs) -> TransformedRegressor:
    """Build the predecessor's model: least squares on standardized columns."""
    used = inputs.positions(name for name in PREDECESSOR_FEATURES if name in inputs.names)
    filled = SimpleImputer(strategy="constant", fill_value=PREDECESSOR_RUNTIME, keep_empty_features=True)
    return TransformedRegressor(make_pipeline(ColumnSelector(used), filled, StandardScaler()), LinearRegression())


def _popularity_after(problem: Problem) -> dict[str, Any]:
    """Build the components for released films. Boosting is constrained: more votes never lower the prediction."""
    boosted = {
        name: _boosting(
            problem, size, loss="gamma", bins=255, excluded=(RUNTIME,), increasing=("log_vote_count", "log_vote_rate")
        )
        for name, size in (("additive", ADDITIVE), ("boosting", AFTER_RELEASE))
    }
    return {"spline": _log_spline(problem.inputs), **boosted}


def _popularity_before(problem: Problem, size: BoostingSize) -> dict[str, Any]:
    runtime = problem.inputs.positions([RUNTIME])[0]
    boosted = {
        name: RuntimeImputer(_boosting(problem, size, loss=loss), runtime, random_state=problem.seed)
        for name, loss in (("boosting", "gamma"), ("robust", "absolute_error"))
    }
    parts = {"spline": _log_spline(problem.inputs), **boosted}
    if PRERELEASE not in problem.inputs.names:
        return parts
    columns = problem.inputs.positions([PRERELEASE, "days_since_release"])
    return {name: PrereleaseEffect(part, *columns) for name, part in parts.items()}


def _log_spline(inputs: Inputs) -> TransformedRegressor:
    return TransformedRegressor(_spline_terms(inputs), LogRegressor(Ridge(10.0)))


def _rating(problem: Problem, size: BoostingSize) -> dict[str, Any]:
    runtime = problem.inputs.positions([RUNTIME])[0]
    estimators = {
        "spline": TransformedRegressor(_spline_terms(problem.inputs), Ridge(10.0)),
        "boosting": _boosting(problem, size, excluded=(RUNTIME,)),
    }
    return {name: RuntimeEffect(estimator, runtime) for name, estimator in estimators.items()}


def _boosting(
    problem: Problem,
    size: BoostingSize,
    *,
    loss: str = "squared_error",
    bins: int = 64,
    excluded: tuple[str, ...] = (),
    increasing: tuple[str, ...] = (),
) -> TransformedRegressor:
    """Build a gradient boosting of small trees (Friedman, 2001) on histograms, as in LightGBM (Ke et al., 2017).

    Each split considers a random third of the columns, so that no column dominates.
    """
    columns = _columns(problem.inputs, without=excluded)
    names = [problem.inputs.preprocessed_names[column] for column in columns]
    booster = HistGradientBoostingRegressor(
        loss=loss,
        max_iter=size.trees,
        learning_rate=size.learning_rate,
        max_leaf_nodes=size.leaves,
        max_bins=bins,
        min_samples_leaf=size.smallest_leaf,
        l2_regularization=1.0,
        max_features=0.3,
        monotonic_cst=[int(name in increasing) for name in names],
        early_stopping=False,
        random_state=problem.seed,
    )
    if loss == "squared_error":  # for ratings, whose weighted films would make boosting's own binning slow
        return TransformedRegressor(ColumnSelector(columns, bins=bins), booster)
    # The gamma loss has a log link and predicts the mean; absolute errors of the logarithm predict the median.
    scaled = ScaledLogRegressor(booster) if loss == "gamma" else LogRegressor(booster)
    return TransformedRegressor(ColumnSelector(columns), scaled)


def _spline_terms(inputs: Inputs) -> SplineTerms:
    votes, rate, age = (
        inputs.positions(name for name in inputs.numbers if name == wanted)
        for wanted in ("log_vote_count", "log_vote_rate", "days_since_release")
    )
    splines = {*votes, *rate, *age}
    linear = [column for column in _columns(inputs, without=(RUNTIME, "vote_count")) if column not in splines]
    return SplineTerms(linear, votes, rate, age)


def _columns(inputs: Inputs, without: tuple[str, ...]) -> list[int]:
    """Return the positions of the preprocessed columns for estimators other than the baselines, except `without`."""
    return inputs.positions(name for name in inputs.preprocessed_names if name not in (*TREND, PRERELEASE, *without))
