"""The version of the code on this host, compared with that of the host that starts runs.

Hosts with different versions would undo each other's work: a host refits models that were fitted with other libraries,
and may fill a table by another rule. The code server records its version in the warehouse, and each worker compares
its own version with it.
"""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.metadata import version
from pathlib import Path

from sqlalchemy import Engine

import horror_pipeline
from horror_pipeline.errors import HorrorError
from horror_pipeline.modeling.artifacts import library_versions
from horror_pipeline.warehouse import data_source


@cache
def code_version() -> str:
    """Return the package's version and a digest of its code and of the libraries that models depend on."""
    package = Path(horror_pipeline.__file__).parent
    digest = hashlib.sha256(repr(sorted(library_versions().items())).encode())
    for path in sorted(package.rglob("*.py")):
        digest.update(path.read_bytes())
    return f"{version('horror-pipeline')} ({digest.hexdigest()[:12]})"


def note_code_version(warehouse: Engine) -> None:
    """Record this process's code version in the warehouse, as the version of the host that starts runs."""
    with warehouse.begin() as connection:
        data_source.note_code_version(connection, code_version())


def require_same_code(warehouse: Engine) -> None:
    """Refuse to execute runs that are started by code of another version.

    Raises:
        HorrorError: the versions differ.
    """
    with warehouse.connect() as connection:
        theirs = data_source.noted_code_version(connection)
    if theirs not in (None, code_version()):
        raise HorrorError(
            f"this host has horror_pipeline {code_version()}, but runs are launched by {theirs}",
            "install the same code and library versions on every host, and start the code server first",
        )
