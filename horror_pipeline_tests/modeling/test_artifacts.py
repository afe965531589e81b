from __future__ import annotations

import numpy as np
import pytest
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer
from skops.io import dumps

from horror_pipeline.modeling import artifacts
from horror_pipeline.modeling.artifacts import Artifact, ArtifactError, library_versions
from horror_pipeline.modeling.candidates import candidates, fit
from horror_pipeline.modeling.specs import MODELS
from horror_pipeline_tests.modeling.films import films, others, problem

EVERY = [(name, algorithm) for name in MODELS for algorithm in candidates(problem(name, others=others()))]


@pytest.mark.usefixtures("few_trees")
@pytest.mark.parametrize(("name", "algorithm"), EVERY)
def test_every_candidate_predicts_the_same_once_read_back(name: str, algorithm: str) -> None:
    known = films(80)
    learned = problem(name, known, others=others(60))
    estimator, names = fit(learned, algorithm), learned.inputs.names
    stored = artifacts.dump(Artifact(estimator, names, {"half_width": 1.0}, known["tmdb_id"].to_numpy()))
    read = artifacts.load(stored, library_versions())
    np.testing.assert_array_equal(read.estimator.predict(known), estimator.predict(known))
    np.testing.assert_array_equal(read.training_ids, known["tmdb_id"])
    assert (read.features, read.interval) == (names, {"half_width": 1.0})


def test_other_library_versions_are_refused_and_named() -> None:
    stored = artifacts.dump(Artifact(None, [], {}, np.array([], dtype="int64")))
    with pytest.raises(ArtifactError, match=r"scikit-learn 0\.24 → .*train it again"):
        artifacts.load(stored, {**library_versions(), "scikit-learn": "0.24"})


def test_a_model_of_older_code_is_refused_in_words() -> None:
    older = {name: text for name, text in library_versions().items() if name != "horror_pipeline"}
    with pytest.raises(ArtifactError, match=r"horror_pipeline none → \d+\); train it again"):
        artifacts.load(b"whatever it holds", older)


def test_a_type_that_is_not_on_the_list_is_refused() -> None:
    stored = dumps({"estimator": Pipeline([("call", FunctionTransformer(func=np.save))])})
    with pytest.raises(ArtifactError, match=r"not allowed: .*save"):
        artifacts.load(stored, library_versions())


@pytest.mark.parametrize("data", [b"", b"\x80\x04N.", b"PK not really"])
def test_damaged_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(ArtifactError, match="cannot be read"):
        artifacts.load(data, library_versions())
