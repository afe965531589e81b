"""Rules of the layout that neither import-linter's contracts nor ruff can state; both are in pyproject.toml."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import horror_pipeline

ROOT = Path(horror_pipeline.__file__).parent
HEAVY = {"matplotlib", "pandas", "plotly", "scipy", "skops", "sklearn"}


@pytest.mark.parametrize(
    ("statement", "unwanted"),
    [
        ("import horror_pipeline.cli", HEAVY | {"dagster", "numpy"}),
        ("from horror_pipeline.definitions import defs; defs()", HEAVY),
    ],
)
def test_heavy_libraries_are_imported_where_they_are_used(statement: str, unwanted: set[str]) -> None:
    code = f"import sys; {statement}; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)  # noqa: S603
    assert not unwanted & set(loaded.stdout.split())


@pytest.mark.parametrize(
    ("layers", "pattern"),
    [
        (("transform", "modeling"), r"\.(now|utcnow|today)\(|\btime\.time\("),
        (("tmdb", "transform", "modeling", "warehouse", "demo", "web"), r"\bos\.(environ|getenv)\b"),
    ],
    ids=["the clock", "the environment"],
)
def test_layers_take_as_arguments_what_programs_read_from(layers: tuple[str, ...], pattern: str) -> None:
    files = [path for layer in layers for path in (ROOT / layer).rglob("*.py")]
    libraries = [path for path in files if path.name != "__main__.py" and path.parent.name != "migrations"]
    assert libraries
    assert not [str(path) for path in libraries if re.search(pattern, path.read_text(encoding="utf-8"))]
