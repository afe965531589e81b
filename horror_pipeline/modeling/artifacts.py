"""Fitted models as bytes: written by skops, read back only if every type in them is known to be harmless.

What belongs here: the artefact's form, its allow-list and its library versions. What does not: storing the bytes.
"""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from skops.io import dumps, get_untrusted_types, loads

from horror_pipeline.errors import HorrorError
from horror_pipeline.modeling.versions import library_versions

ALLOWED_TYPES = frozenset(
    {
        "horror_pipeline.modeling.candidates.Blend",
        "horror_pipeline.modeling.candidates.Positive",
        "horror_pipeline.modeling.candidates.Seen",
        "horror_pipeline.modeling.candidates.Unweighted",
        "horror_pipeline.modeling.missing_runtime.LengthEffect",
        "horror_pipeline.modeling.missing_runtime.Marginal",
        "horror_pipeline.modeling.preprocessing.Prepare",
        "horror_pipeline.modeling.preprocessing.Select",
        "horror_pipeline.modeling.preprocessing.Smooth",
        "numpy.dtype",
        "scipy._lib.array_api_compat.numpy._aliases.asarray",
        "scipy.interpolate._bsplines.BSpline",
        "sklearn._loss.link.IdentityLink",
        "sklearn._loss.link.Interval",
        "sklearn._loss.link.LogLink",
        "sklearn._loss.loss.HalfGammaLoss",
        "sklearn._loss.loss.HalfPoissonLoss",
        "sklearn._loss.loss.HalfSquaredError",
        "sklearn._loss.loss.HalfTweedieLoss",
        "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
        "sklearn.tree._tree.Tree",
    }
)
"""Types beyond skops' own list that an artefact of ours may hold. They hold numbers; none runs code when it is read."""


class ArtifactError(HorrorError):
    """A stored model cannot be used: other library versions, or types that are not on the allow-list."""


@dataclass(frozen=True)
class Artifact:
    """What is stored of a fitted model.

    Args:
        estimator: the fitted pipeline.
        features: the columns it takes, in order.
        interval: fields of its `intervals.Interval`; empty for a classifier.
        training_ids: the films it was fitted on.
    """

    estimator: Any
    features: list[str]
    interval: dict[str, Any]
    training_ids: NDArray[np.int64]


def dump(artifact: Artifact) -> bytes:
    """Write an artefact, compressed."""
    content = {
        "estimator": artifact.estimator,
        "features": list(artifact.features),
        "interval": dict(artifact.interval),
        "training_ids": artifact.training_ids,
    }
    return bytes(dumps(content, compression=zipfile.ZIP_DEFLATED, compresslevel=6))


def load(data: bytes, written_with: dict[str, str]) -> Artifact:
    """Read an artefact.

    Args:
        data: what `dump` returned.
        written_with: `library_versions()` when it was written.

    Raises:
        ArtifactError: written with other library versions, damaged, or holding a type that is not allowed.
    """
    here = library_versions()
    if written_with != here:
        differ = ", ".join(
            f"{name} {written_with.get(name, 'none')} → {here.get(name, 'none')}"
            for name in sorted({*written_with, *here})
            if written_with.get(name) != here.get(name)
        )
        raise ArtifactError(f"the stored model was written with other library versions ({differ}); train it anew")
    try:
        untrusted = set(get_untrusted_types(data=data))
        if unknown := untrusted - ALLOWED_TYPES:
            raise ArtifactError(f"the stored model holds types that are not allowed: {', '.join(sorted(unknown))}")
        content = loads(data, trusted=sorted(untrusted))
    except ArtifactError:
        raise
    except Exception as error:
        raise ArtifactError(f"the stored model cannot be read ({type(error).__name__}); train it anew") from error
    return Artifact(content["estimator"], content["features"], content["interval"], content["training_ids"])
