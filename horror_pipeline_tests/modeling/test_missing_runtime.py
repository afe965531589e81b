"""Nothing can be learned from a runtime that is missing: TMDB's users fill in what is well known."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.ensemble import ExtraTreesRegressor, HistGradientBoostingRegressor

from horror_pipeline.modeling.candidates import candidates, components
from horror_pipeline.modeling.estimators import TransformedRegressor
from horror_pipeline.modeling.missing_runtime import RuntimeEffect, RuntimeImputer
from horror_pipeline.modeling.preprocessing import ColumnSelector, Preprocessor
from horror_pipeline.modeling.specs import MODELS, Floats
from horror_pipeline_tests.modeling.films import films, problem


def betraying(count: int = 600) -> tuple[Floats, Floats]:
    """A target that depends on nothing but whether the runtime (column 0) is missing; column 1 is noise."""
    random = np.random.default_rng(0)
    X = np.column_stack([random.normal(90, 8, count), random.normal(size=count)])
    missing = random.random(count) < 0.5
    X[missing, 0] = np.nan
    return X, 5.0 + 3.0 * missing + random.normal(0, 0.1, count)


def boosting() -> HistGradientBoostingRegressor:
    return HistGradientBoostingRegressor(max_iter=60, early_stopping=False, random_state=0)


def test_an_estimator_left_to_itself_would_learn_it() -> None:
    X, y = betraying()
    found = boosting().fit(X[:400], y[:400]).predict(X[400:])
    assert np.abs(found - y[400:]).mean() < 0.3


@pytest.mark.parametrize(
    "estimator",
    [
        RuntimeImputer(boosting(), 0),
        RuntimeImputer(ExtraTreesRegressor(30, random_state=0), 0),
        RuntimeEffect(TransformedRegressor(ColumnSelector([1]), boosting()), 0),
        RuntimeEffect(TransformedRegressor(ColumnSelector([1]), ExtraTreesRegressor(30, random_state=0)), 0),
    ],
    ids=["drawn, boosting", "drawn, trees", "effect, boosting", "effect, trees"],
)
def test_ours_cannot(estimator: RuntimeImputer | RuntimeEffect) -> None:
    X, y = betraying()
    found = estimator.fit(X[:400], y[:400]).predict(X[400:])
    missing = np.isnan(X[400:, 0])
    assert abs(found[missing].mean() - found[~missing].mean()) < 0.4  # the target differs by 3
    assert np.abs(found - y[400:]).mean() > 1.3


def test_what_a_known_runtime_says_is_learned() -> None:
    X, _ = betraying()
    y = 5.0 + 0.1 * (np.nan_to_num(X[:, 0], nan=90.0) - 90)
    known = ~np.isnan(X[400:, 0])
    for estimator in (
        RuntimeImputer(boosting(), 0),
        RuntimeEffect(TransformedRegressor(ColumnSelector([1]), boosting()), 0),
    ):
        found = estimator.fit(X[:400], y[:400]).predict(X[400:])
        assert np.corrcoef(found[known], y[400:][known])[0, 1] > 0.7


@pytest.mark.parametrize("name", MODELS)
def test_blanking_the_runtime_does_not_lift_or_lower_predictions(name: str) -> None:
    spec, known = MODELS[name], films(400)
    learned = problem(name, known)
    # Well known films, and only those, lack a runtime: a careless model would exploit that.
    known.loc[known[spec.target] > known[spec.target].median(), "runtime_minutes"] = np.nan
    X = Preprocessor(learned.inputs).fit_transform(known)
    blank = X.copy()
    blank[:, learned.inputs.positions(["runtime_minutes"])] = np.nan
    y, has_runtime = known[spec.target].to_numpy(), known["runtime_minutes"].notna().to_numpy()
    parts = components(learned)
    for part in candidates(learned)["blend"]:
        fitted = parts[part].fit(X, y, spec.weights(known["vote_count"].to_numpy()))
        moved = (fitted.predict(blank) - fitted.predict(X))[has_runtime].mean()
        assert abs(moved) < 0.1 * (y[~has_runtime].mean() - y[has_runtime].mean())


def test_a_catalogue_without_any_runtime_is_learned_from_all_the_same() -> None:
    X, y = betraying(100)
    X[:, 0] = np.nan
    for estimator in (
        RuntimeImputer(boosting(), 0),
        RuntimeEffect(TransformedRegressor(ColumnSelector([1]), boosting()), 0),
    ):
        assert np.isfinite(estimator.fit(X, y).predict(X)).all()
