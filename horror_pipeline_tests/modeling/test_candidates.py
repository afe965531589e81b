from __future__ import annotations

from typing import get_args

import numpy as np
import pytest

from horror_pipeline.domain import MODEL_NAMES, Stage
from horror_pipeline.modeling import candidates
from horror_pipeline.modeling.preprocessing import Preprocessor
from horror_pipeline.modeling.specs import MODELS
from horror_pipeline_tests.modeling.films import films, others, problem


@pytest.mark.usefixtures("few_trees")
@pytest.mark.parametrize("name", MODELS)
def test_a_blend_is_exactly_the_weighted_mean_of_its_components(name: str) -> None:
    learned = problem(name, films(80))
    parts, recipe = candidates.components(learned), candidates.candidates(learned)["blend"]
    X, weights = Preprocessor(learned.inputs).fit_transform(learned.films), candidates.weights(learned, "blend")
    predicted = [parts[part].fit(X, learned.target, weights).predict(X) for part in recipe]
    expected = np.average(predicted, axis=0, weights=[*recipe.values()])
    np.testing.assert_array_equal(candidates.fit(learned, "blend").predict(learned.films), expected)


@pytest.mark.usefixtures("few_trees")
@pytest.mark.parametrize("name", MODELS)
def test_no_boosting_is_large_where_tests_ask_for_few_trees(name: str) -> None:
    for component in candidates.components(problem(name, films(80), others=others(60))).values():
        trees = [value for key, value in component.get_params().items() if key.endswith("regressor__max_iter")]
        assert all(number is None or number <= 15 for number in trees)


def test_baselines_are_fitted_to_all_films_alike() -> None:
    learned = problem("rating_after_release")
    assert candidates.weights(learned, "constant") is None
    assert candidates.weights(learned, "linear") is None
    assert candidates.weights(learned, "spline") is not None
    constant = candidates.fit(learned, "constant").predict(learned.films.head(1))
    assert constant[0] == learned.films["vote_average"].median()


def test_every_model_is_of_the_stage_and_target_its_name_says() -> None:
    assert tuple(MODELS) == MODEL_NAMES
    assert {(spec.target, spec.stage) for spec in MODELS.values()} == {
        (target, stage) for target in ("popularity", "vote_average") for stage in get_args(Stage)
    }
    assert MODELS["rating_before_release"].clip(np.array([-1.0, 11.0])).tolist() == [0.0, 10.0]
