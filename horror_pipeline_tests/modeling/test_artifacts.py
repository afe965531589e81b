from __future__ import annotations

import numpy as np
import pytest
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer
from skops.io import dumps

from horror_pipeline.modeling import artifacts
from horror_pipeline.modeling.artifacts import Artifact, ArtifactError
from horror_pipeline.modeling.candidates import build, candidates
from horror_pipeline.modeling.specs import MODELS
from horror_pipeline.modeling.versions import library_versions
from horror_pipeline_tests.modeling.films import films, inputs

EVERY = [(name, algorithm) for name, spec in MODELS.items() for algorithm in candidates(spec)]


@pytest.mark.usefixtures("few_trees")
@pytest.mark.parametrize(("name", "algorithm"), EVERY)
def test_every_candidate_predicts_the_same_once_read_back(name: str, algorithm: str) -> None:
    spec, known = MODELS[name], films(80)
    allowed = inputs(spec.stage)
    weights = spec.weights(known["vote_count"].to_numpy())
    estimator = build(spec, allowed, algorithm, len(known), 0)
    estimator.fit(known, known[spec.target].to_numpy(), estimator__sample_weight=weights)
    stored = artifacts.dump(Artifact(estimator, allowed.names, {"half_width": 1.0}, known["tmdb_id"].to_numpy()))
    read = artifacts.load(stored, library_versions())
    np.testing.assert_array_equal(read.estimator.predict(known), estimator.predict(known))
    np.testing.assert_array_equal(read.training_ids, known["tmdb_id"])
    assert (read.features, read.interval) == (allowed.names, {"half_width": 1.0})


def test_other_library_versions_are_refused_and_named() -> None:
    stored = artifacts.dump(Artifact(None, [], {}, np.array([], dtype="int64")))
    with pytest.raises(ArtifactError, match=r"scikit-learn 0\.24 → .*train it anew"):
        artifacts.load(stored, {**library_versions(), "scikit-learn": "0.24"})


def test_a_type_that_is_not_on_the_list_is_refused() -> None:
    stored = dumps({"estimator": Pipeline([("call", FunctionTransformer(func=np.save))])})
    with pytest.raises(ArtifactError, match=r"not allowed: .*save"):
        artifacts.load(stored, library_versions())


@pytest.mark.parametrize("data", [b"", b"\x80\x04N.", b"PK not really"])
def test_damaged_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(ArtifactError, match="cannot be read"):
        artifacts.load(data, library_versions())
