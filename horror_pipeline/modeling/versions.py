"""What a fitted model depends on besides data and seed; light to import, so that asking costs nothing.

What belongs here: this code's and the libraries' versions. What does not: anything that imports scikit-learn.
"""

from __future__ import annotations

import platform
from importlib.metadata import version

CODE_VERSION = "1"
"""Raise it when the same data would give another model."""


def library_versions() -> dict[str, str]:
    """Versions of everything the meaning of an artefact depends on."""
    libraries = ("scikit-learn", "numpy", "scipy", "skops")
    return {"python": ".".join(platform.python_version_tuple()[:2]), **{name: version(name) for name in libraries}}
