"""Imports only point inward, and other rules of the layout that a reader of one file cannot see.

A module's layer is the first part of its name below `horror_pipeline`. Modules not named in `MAY_IMPORT` are those of
the `horror` command: they put everything together and may import all layers, but nothing imports them.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import horror_pipeline

PACKAGE = "horror_pipeline"
ROOT = Path(horror_pipeline.__file__).parent

MAY_IMPORT: dict[str, set[str]] = {
    "errors": set(),
    "settings": {"errors"},
    "tmdb": {"errors"},
    "transform": {"errors"},
    "modeling": {"errors"},
    "warehouse": {"errors"},
    "demo": {"errors"},
    "web": {"errors", "warehouse.tables"},
    "embedded": {"errors", "embedded_account", "embedded_server"},
    "embedded_server": {"errors", "embedded_account"},
    "embedded_account": {"errors"},
    "guardian": set(),
    "supervisor": {"errors", "guardian"},
    "defs": {"errors", "settings", "tmdb", "transform", "modeling", "warehouse", "demo", "definitions"},
    "definitions": {"errors", "settings", "defs"},
}
"""What each layer may import, besides itself: a layer, or one module of it."""

PURE = {"transform", "modeling"}
WITHOUT_DAGSTER = set(MAY_IMPORT) - {"defs", "definitions"}
WITHOUT_ENVIRONMENT = {"tmdb", "transform", "modeling", "warehouse", "demo", "defs", "web"}
HEAVY = {"pandas", "numpy", "scipy", "sklearn", "skops", "plotly", "matplotlib"}


@dataclass(frozen=True)
class Import:
    """A name some module imports, and when: as it is imported itself, or only later, inside a function."""

    name: str
    line: int
    is_at_import: bool


@dataclass(frozen=True)
class Module:
    """A parsed source file."""

    name: str
    tree: ast.Module

    @property
    def layer(self) -> str:
        return self.name.removeprefix(f"{PACKAGE}.").split(".")[0]

    @property
    def is_program(self) -> bool:
        """Whether it is run rather than imported: what it needs comes from outside, what it says goes there."""
        return self.name.endswith((".cli", ".__main__", ".migrations.env"))

    @property
    def imports(self) -> list[Import]:
        return list(_imports(self.tree, is_at_import=True))


def _imports(node: ast.AST, is_at_import: bool) -> Iterator[Import]:
    if isinstance(node, ast.Import):
        yield from (Import(alias.name, node.lineno, is_at_import) for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        base = "." * node.level + (node.module or "")
        yield from (Import(f"{base}.{alias.name}", node.lineno, is_at_import) for alias in node.names)
    elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
        for statement in node.body:
            yield from _imports(statement, is_at_import=False)
        for statement in node.orelse:
            yield from _imports(statement, is_at_import)
    else:
        is_function = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        for child in ast.iter_child_nodes(node):
            yield from _imports(child, is_at_import and not is_function)


def load() -> list[Module]:
    modules = []
    for path in sorted(ROOT.rglob("*.py")):
        parts = [PACKAGE, *path.relative_to(ROOT).with_suffix("").parts]
        if parts[-1] == "__init__":
            parts.pop()
        modules.append(Module(".".join(parts), ast.parse(path.read_text(encoding="utf-8"), str(path))))
    return modules


MODULES = load()


def below(name: str, parent: str) -> bool:
    return name == parent or name.startswith(f"{parent}.")


def names_dagster(name: str) -> bool:
    return name.split(".")[0].startswith("dagster")


# -- the rules, each a function of modules, so that they can be tested on made-up ones ---------------------------------


def outward_imports(modules: Iterable[Module]) -> list[str]:
    found = []
    for module in modules:
        allowed = MAY_IMPORT.get(module.layer)
        if module.name == PACKAGE or allowed is None:
            continue
        permitted = [f"{PACKAGE}.{name}" for name in {module.layer, *allowed}]
        for one in module.imports:
            if below(one.name, PACKAGE) and not any(below(one.name, name) for name in permitted):
                found.append(f"{module.name}:{one.line} imports {one.name}")
    return found


def dagster_imports(modules: Iterable[Module]) -> list[str]:
    """Dagster outside `defs`: never in a layer; in the command's modules only where it is used."""
    return [
        f"{module.name}:{one.line} imports {one.name}"
        for module in modules
        if module.layer not in {"defs", "definitions"}
        for one in module.imports
        if names_dagster(one.name) and (one.is_at_import or module.layer in WITHOUT_DAGSTER)
    ]


def private_dagster_imports(modules: Iterable[Module]) -> list[str]:
    return [
        f"{module.name}:{one.line} imports {one.name}"
        for module in modules
        for one in module.imports
        if names_dagster(one.name) and any(part.startswith("_") for part in one.name.split("."))
    ]


def relative_imports(modules: Iterable[Module]) -> list[str]:
    return [
        f"{module.name}:{one.line} imports {one.name}"
        for module in modules
        for one in module.imports
        if one.name.startswith(".")
    ]


def loaded_with(start: Module, modules: Iterable[Module]) -> dict[str, str]:
    """Every module and library that importing one module loads by our own imports, with the chain that leads there."""
    known = {module.name: module for module in modules}
    reached = {start.name: start.name}
    waiting = [start]
    while waiting:
        module = waiting.pop()
        for one in module.imports:
            if not one.is_at_import:
                continue
            # `from package.module import name` loads package.module; if name is a module, that too.
            target = one.name if one.name in known else one.name.rpartition(".")[0] or one.name
            target = target if below(target, PACKAGE) else one.name.split(".")[0]
            if target not in reached:
                reached[target] = f"{reached[module.name]} → {target}"
                if target in known:
                    waiting.append(known[target])
    return reached


def heavy_at_import(modules: list[Module], layer: str) -> list[str]:
    return sorted(
        {
            chain
            for module in modules
            if module.layer == layer
            for name, chain in loaded_with(module, modules).items()
            if name in HEAVY
        }
    )


def calls(modules: Iterable[Module], names: set[str]) -> list[str]:
    """Calls of a plain name (`print`) or of an attribute (`.now`)."""
    found = []
    for module in modules:
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Call):
                name = node.func.id if isinstance(node.func, ast.Name) else ""
                name = f".{node.func.attr}" if isinstance(node.func, ast.Attribute) else name
                if name in names:
                    found.append(f"{module.name}:{node.lineno} calls {name}()")
    return found


def environment_reads(modules: Iterable[Module]) -> list[str]:
    return [
        f"{module.name}:{node.lineno} uses {ast.unparse(node)}"
        for module in modules
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Attribute | ast.Name) and ast.unparse(node) in {"os.environ", "os.getenv", "environ"}
    ]


# -- what must hold ----------------------------------------------------------------------------------------------------


def test_imports_only_point_inward() -> None:
    assert outward_imports(MODULES) == []


def test_nothing_but_the_command_imports_the_command() -> None:
    command = {module.name for module in MODULES if module.layer not in MAY_IMPORT and module.name != PACKAGE}
    assert f"{PACKAGE}.cli" in command
    users = [module for module in MODULES if module.layer in MAY_IMPORT]
    assert not [
        f"{module.name} imports {one.name}"
        for module in users
        for one in module.imports
        if any(below(one.name, name) for name in command)
    ]


def test_only_defs_know_dagster_and_the_command_imports_it_where_it_is_used() -> None:
    assert dagster_imports(MODULES) == []


def test_private_modules_of_dagster_are_left_alone() -> None:
    assert private_dagster_imports(MODULES) == []


def test_imports_are_absolute() -> None:
    assert relative_imports(MODULES) == []


def test_the_package_itself_imports_nothing() -> None:
    assert [module.imports for module in MODULES if module.name == PACKAGE] == [[]]


@pytest.mark.parametrize("layer", ["defs", "definitions", "cli"])
def test_heavy_libraries_are_imported_where_they_are_used(layer: str) -> None:
    assert heavy_at_import(MODULES, layer) == []


def test_the_command_starts_without_dagster() -> None:
    [cli] = [module for module in MODULES if module.name == f"{PACKAGE}.cli"]
    assert not [chain for name, chain in loaded_with(cli, MODULES).items() if names_dagster(name)]


def test_only_programs_print() -> None:
    assert calls([module for module in MODULES if not module.is_program], {"print"}) == []


def test_pure_layers_do_not_ask_the_clock() -> None:
    clock = {".now", ".utcnow", ".today", ".time"}
    assert calls([module for module in MODULES if module.layer in PURE], clock) == []


def test_settings_come_as_arguments_not_from_the_environment() -> None:
    layers = [module for module in MODULES if module.layer in WITHOUT_ENVIRONMENT and not module.is_program]
    assert environment_reads(layers) == []


# -- the rules see what they are meant to see --------------------------------------------------------------------------


def module(name: str, source: str) -> Module:
    return Module(f"{PACKAGE}.{name}", ast.parse(source))


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("transform.clean", "from horror_pipeline.warehouse import tables"),
        ("transform.clean", "import horror_pipeline.tmdb.client"),
        ("transform.clean", "def f():\n    from horror_pipeline.defs import raw"),
        ("web.app", "from horror_pipeline.warehouse import store"),
        ("web.app", "from horror_pipeline import warehouse"),
        ("modeling.train", "from horror_pipeline.settings import Settings"),
        ("errors", "from horror_pipeline.settings import Settings"),
        ("defs.raw", "from horror_pipeline.web import app"),
        ("defs.raw", "from horror_pipeline.cli import main"),
    ],
)
def test_an_outward_import_is_found(name: str, source: str) -> None:
    assert len(outward_imports([module(name, source)])) == 1


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("web.queries", "from horror_pipeline.warehouse.tables import movies"),
        ("web.queries", "from horror_pipeline.warehouse import tables"),
        ("defs.core", "from horror_pipeline.transform.movies import clean"),
        ("cli", "from horror_pipeline.defs import launch"),
    ],
)
def test_an_inward_import_is_allowed(name: str, source: str) -> None:
    assert outward_imports([module(name, source)]) == []


@pytest.mark.parametrize(
    ("name", "source", "count"),
    [
        ("tmdb.client", "import dagster as dg", 1),
        ("tmdb.client", "def f():\n    import dagster", 1),
        ("cli", "import dagster as dg", 1),
        ("cli", "from dagster_postgres import x", 1),
        ("cli", "def f():\n    import dagster", 0),
        ("cli", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import dagster", 0),
        ("defs.raw", "import dagster as dg", 0),
    ],
)
def test_dagster_is_found_where_it_does_not_belong(name: str, source: str, count: int) -> None:
    assert len(dagster_imports([module(name, source)])) == count


def test_a_private_module_of_dagster_is_found() -> None:
    sources = ["from dagster._core.storage import x", "import dagster._utils", "from dagster import _core"]
    assert len(private_dagster_imports([module("defs.raw", source) for source in sources])) == 3


def test_a_heavy_library_is_found_behind_another_module() -> None:
    modules = [
        module("defs.core", "from horror_pipeline.transform import clean"),
        module("defs.lazy", "def asset():\n    from horror_pipeline.transform import clean"),
        module("transform", ""),
        module("transform.clean", "import pandas as pd"),
    ]
    assert heavy_at_import(modules, "defs") == [
        "horror_pipeline.defs.movies → horror_pipeline.transform.movies → pandas",
    ]


def test_calls_and_environment_reads_are_found() -> None:
    one = module("transform.x", "import os, datetime as dt\nprint(dt.datetime.now(), os.environ['X'])")
    assert len(calls([one], {"print", ".now"})) == 2
    assert len(environment_reads([one])) == 1
