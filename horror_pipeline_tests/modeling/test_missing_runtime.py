"""Nothing can be learnt from a length that is missing: TMDB's users fill in what is well known."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.ensemble import ExtraTreesRegressor, HistGradientBoostingRegressor

from horror_pipeline.modeling.candidates import Seen, candidates, components
from horror_pipeline.modeling.missing_runtime import LengthEffect, Marginal
from horror_pipeline.modeling.preprocessing import Prepare, Select
from horror_pipeline.modeling.specs import MODELS, Floats
from horror_pipeline_tests.modeling.films import films, inputs


def betraying(count: int = 600) -> tuple[Floats, Floats]:
    """A target that hangs on nothing but whether the length (column 0) is missing; column 1 is noise."""
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
        Marginal(boosting(), 0),
        Marginal(ExtraTreesRegressor(30, random_state=0), 0),
        LengthEffect(Seen(Select([1]), boosting()), 0),
        LengthEffect(Seen(Select([1]), ExtraTreesRegressor(30, random_state=0)), 0),
    ],
    ids=["drawn, boosting", "drawn, trees", "effect, boosting", "effect, trees"],
)
def test_ours_cannot(estimator: Marginal | LengthEffect) -> None:
    X, y = betraying()
    found = estimator.fit(X[:400], y[:400]).predict(X[400:])
    missing = np.isnan(X[400:, 0])
    assert abs(found[missing].mean() - found[~missing].mean()) < 0.4  # of the 3 there are between them
    assert np.abs(found - y[400:]).mean() > 1.3


def test_what_a_known_length_says_is_learnt() -> None:
    X, _ = betraying()
    y = 5.0 + 0.1 * (np.nan_to_num(X[:, 0], nan=90.0) - 90)
    known = ~np.isnan(X[400:, 0])
    for estimator in (Marginal(boosting(), 0), LengthEffect(Seen(Select([1]), boosting()), 0)):
        found = estimator.fit(X[:400], y[:400]).predict(X[400:])
        assert np.corrcoef(found[known], y[400:][known])[0, 1] > 0.7


@pytest.mark.parametrize("name", MODELS)
def test_blanking_the_length_does_not_lift_or_lower_predictions(name: str) -> None:
    spec, known = MODELS[name], films(400)
    allowed = inputs(spec.stage)
    # Well known films, and only they, lack a length: what a careless model would thrive on.
    known.loc[known[spec.target] > known[spec.target].median(), "runtime_minutes"] = np.nan
    X = Prepare.of(allowed).fit_transform(known)
    blank = X.copy()
    blank[:, allowed.places(["runtime_minutes"])] = np.nan
    y, has_length = known[spec.target].to_numpy(), known["runtime_minutes"].notna().to_numpy()
    parts = components(spec, allowed, len(X), 0)
    for part in candidates(spec)["blend"]:
        fitted = parts[part].fit(X, y, spec.weights(known["vote_count"].to_numpy()))
        moved = (fitted.predict(blank) - fitted.predict(X))[has_length].mean()
        assert abs(moved) < 0.1 * (y[~has_length].mean() - y[has_length].mean())


def test_a_catalogue_without_any_length_is_learnt_from_all_the_same() -> None:
    X, y = betraying(100)
    X[:, 0] = np.nan
    for estimator in (Marginal(boosting(), 0), LengthEffect(Seen(Select([1]), boosting()), 0)):
        assert np.isfinite(estimator.fit(X, y).predict(X)).all()
