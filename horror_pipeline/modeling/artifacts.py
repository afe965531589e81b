"""Serialized models, written with skops and read only if every type in them is known to be harmless.

skops is imported inside the functions that need it, because its import is slow and the other functions do without.
"""

from __future__ import annotations

import hashlib
import json
import platform
import zipfile
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from horror_pipeline.errors import HorrorError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

CODE_VERSION = "11"
"""The version of this package's learning code. Raise it if the same data would now give another model or artifact."""

ALLOWED_TYPES = frozenset(
    {
        "horror_pipeline.modeling.estimators.CollectedRegressor",
        "horror_pipeline.modeling.estimators.LogRegressor",
        "horror_pipeline.modeling.estimators.ScaledLogRegressor",
        "horror_pipeline.modeling.estimators.TransformedRegressor",
        "horror_pipeline.modeling.missing_runtime.RuntimeEffect",
        "horror_pipeline.modeling.missing_runtime.RuntimeImputer",
        "horror_pipeline.modeling.prerelease.PrereleaseEffect",
        "horror_pipeline.modeling.preprocessing.ColumnSelector",
        "horror_pipeline.modeling.preprocessing.Preprocessor",
        "horror_pipeline.modeling.preprocessing.SplineTerms",
        "horror_pipeline.modeling.specs.Inputs",
        "numpy.dtype",
        "scipy._lib.array_api_compat.numpy._aliases.asarray",
        "scipy.interpolate._bsplines.BSpline",
        "sklearn._loss.link.IdentityLink",
        "sklearn._loss.link.Interval",
        "sklearn._loss.link.LogLink",
        "sklearn._loss.loss.AbsoluteError",
        "sklearn._loss.loss.HalfGammaLoss",
        "sklearn._loss.loss.HalfPoissonLoss",
        "sklearn._loss.loss.HalfSquaredError",
        "sklearn._loss.loss.HalfTweedieLoss",
        "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
        "sklearn.tree._tree.Tree",
        "sklearn.utils._bunch.Bunch",
    }
)
"""Types that an artifact may hold in addition to those that skops trusts.

They hold numbers, and reading them runs no code."""


class ArtifactError(HorrorError):
    """A stored model cannot be used: it is damaged, was written with other versions, or holds a type not allowed."""


@dataclass(frozen=True)
class Artifact:
    """A fitted model as it is stored.

    Args:
        estimator: the fitted pipeline.
        features: the columns it takes, in order.
        interval: fields of its `intervals.Interval`.
        training_ids: the films it was fitted to.
    """

    estimator: Any
    features: list[str]
    interval: dict[str, Any]
    training_ids: NDArray[np.int64]


def library_versions() -> dict[str, str]:
    """Return the versions of this package's learning code, Python and the libraries that an artifact depends on."""
    libraries = ("scikit-learn", "numpy", "scipy", "skops")
    python = ".".join(platform.python_version_tuple()[:2])
    return {"horror_pipeline": CODE_VERSION, "python": python, **{name: version(name) for name in libraries}}


def version_id(*inputs: str) -> str:
    """Return the id of a fitted version. Equal inputs, learning code, Python and libraries give an equal id."""
    parts = [*inputs, json.dumps(library_versions())]
    return hashlib.blake2b("\n".join(parts).encode(), digest_size=8).hexdigest()


def dump(artifact: Artifact) -> bytes:
    """Serialize an artifact, compressed."""
    from skops.io import dumps

    return bytes(dumps(vars(artifact), compression=zipfile.ZIP_DEFLATED, compresslevel=6))


def load(data: bytes, written_with: dict[str, str]) -> Artifact:
    """Read an artifact.

    Args:
        data: what `dump` returned.
        written_with: what `library_versions` returned when it was written.

    Raises:
        ArtifactError: it was written with other versions, is damaged, or holds a type that is not allowed.
    """
    from skops.io import get_untrusted_types, loads

    here = library_versions()
    if written_with != here:
        differences = ", ".join(
            f"{name} {written_with.get(name, 'none')} → {here.get(name, 'none')}"
            for name in sorted({*written_with, *here})
            if written_with.get(name) != here.get(name)
        )
        raise ArtifactError(
            f"the stored model was written with other library versions ({differences})", "train it again"
        )
    try:
        untrusted = set(get_untrusted_types(data=data))
        if not untrusted - ALLOWED_TYPES:
            return Artifact(**loads(data, trusted=sorted(untrusted)))
    except Exception as error:
        raise ArtifactError(f"the stored model cannot be read ({type(error).__name__})", "train it again") from error
    unknown = ", ".join(sorted(untrusted - ALLOWED_TYPES))
    raise ArtifactError(f"the stored model holds types that are not allowed: {unknown}", "train it again")
