from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from horror_pipeline.modeling.artifacts import Artifact
from horror_pipeline.modeling.expectation_parts import columns_of, explain_expectations, scaled
from horror_pipeline.modeling.explanation import contributions
from horror_pipeline.modeling.prediction import predict
from horror_pipeline.modeling.specs import MODELS
from horror_pipeline.modeling.training import Training
from horror_pipeline_tests.modeling.films import films


@pytest.fixture(params=list(MODELS))
def fitted(request: pytest.FixtureRequest, trained: Callable[[str], Training]) -> tuple[str, Artifact]:
    version = trained(request.param).version
    assert version is not None
    return request.param, version.artifact


def test_whatever_a_film_lacks_its_prediction_is_a_number(fitted: tuple[str, Artifact]) -> None:
    name, artifact = fitted
    spec, odd = MODELS[name], films(60, upcoming=10)
    odd.loc[:20, "original_language"] = "tlh"
    odd.loc[20:30, "original_language"] = None
    odd.loc[30:40, odd.columns[3:-2].drop("original_language")] = np.nan
    odd.loc[50, ["vote_count", "log_vote_count", "log_vote_rate"]] = [1e9, 20.0, 15.0]
    found = predict(spec, artifact, odd)
    assert np.isfinite(found.to_numpy()).all()
    assert (found["lower"] <= found["predicted"]).all()
    assert (found["predicted"] <= found["upper"]).all()
    assert (found >= 0).all(axis=None)
    if not spec.is_popularity:
        assert (found <= 10).all(axis=None)


def test_a_prediction_does_not_hang_on_the_films_beside_it(fitted: tuple[str, Artifact]) -> None:
    name, artifact = fitted
    spec, known = MODELS[name], films()
    alone = pd.concat([predict(spec, artifact, known.iloc[[place]]) for place in (3, 50)])
    pd.testing.assert_frame_equal(alone, predict(spec, artifact, known).loc[[3, 50]])


def test_the_parts_of_a_thousand_predictions_add_up_to_them(fitted: tuple[str, Artifact]) -> None:
    name, artifact = fitted
    spec, many = MODELS[name], films(1_000, seed=5, upcoming=1_000)
    rows = many[many["stage"] == spec.stage]
    predicted = scaled(spec, predict(spec, artifact, rows)["predicted"].to_numpy())
    found = explain_expectations(spec, artifact, rows)
    added_up = found["base"] + found["parts"].map(lambda parts: sum(effect for _, effect in parts))
    assert len(found) == 1_000
    assert np.abs(added_up - predicted).max() < 1e-6
    assert found["base"].iloc[0] == pytest.approx(predicted.mean())


def test_turning_one_input_changes_its_own_part(trained: Callable[[str], Training]) -> None:
    version, known = trained("rating_after_release").version, films(seed=6)
    assert version is not None
    preprocessor, estimator = version.artifact.estimator[0], version.artifact.estimator[-1]
    columns = columns_of(preprocessor.inputs.preprocessed_names)
    rows, other = (
        preprocessor.transform(each[preprocessor.inputs.names])
        for each in (known, known.assign(is_drama=1 - known["is_drama"]))
    )
    before, after = (contributions(estimator.predict, each, rows[:2], list(columns.values())) for each in (rows, other))
    moved = dict(zip(columns, np.abs(after - before).mean(axis=0), strict=True))
    assert moved["genres"] > 0.5
    assert max(size for group, size in moved.items() if group != "genres") < 0.1 * moved["genres"]
