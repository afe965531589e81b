"""The graph as a reviewable text: a change of an asset, job or schedule shows as a diff of `graph.txt`.

Write it anew with: WRITE_GRAPH=1 python -m pytest horror_pipeline_tests/test_defs.py
"""

from __future__ import annotations

import ast
import importlib
import os
import pkgutil
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

import horror_pipeline
from horror_pipeline import defs as defs_package
from horror_pipeline.definitions import defs
from horror_pipeline.warehouse.tables import TABLES

GRAPH = Path(__file__).parent / "graph.txt"

MODELS = {
    "popularity_before_release",
    "popularity_after_release",
    "rating_before_release",
    "rating_after_release",
    "popularity_forecaster",
}


@pytest.fixture(scope="module")
def loaded() -> dg.Definitions:
    return dg.Definitions.merge(defs())


@pytest.fixture(scope="module")
def specs(loaded: dg.Definitions) -> dict[str, dg.AssetSpec]:
    return {spec.key.to_user_string(): spec for spec in loaded.resolve_all_asset_specs()}


def describe(loaded: dg.Definitions) -> Iterator[str]:
    for spec in sorted(loaded.resolve_all_asset_specs(), key=lambda spec: spec.key.to_user_string()):
        yield f"asset {spec.key.to_user_string()}"
        yield f"  group {spec.group_name}; kinds {', '.join(sorted(spec.kinds))}; owners {', '.join(spec.owners)}"
        yield f"  partitions {_partitions(spec.partitions_def)}"
        yield f"  needs {', '.join(sorted(dep.asset_key.to_user_string() for dep in spec.deps)) or 'nothing'}"
    repository = loaded.get_repository_def()
    for job in sorted(repository.get_all_jobs(), key=lambda job: job.name):
        if not job.name.startswith("__"):
            yield f"job {job.name}: executor {job.executor_def.name}; {', '.join(_selected(job)) or 'an op job'}"
    for schedule in sorted(repository.schedule_defs, key=lambda schedule: schedule.name):
        yield f"schedule {schedule.name}: {schedule.cron_schedule} {schedule.execution_timezone or 'UTC'}"
        yield f"  launches {schedule.job_name}; {schedule.default_status.value}"
    for sensor in sorted(repository.sensor_defs, key=lambda sensor: sensor.name):
        yield f"sensor {sensor.name}: {sensor.default_status.value}"


def _partitions(definition: dg.PartitionsDefinition | None) -> str:
    if not isinstance(definition, dg.TimeWindowPartitionsDefinition):
        return "none"
    return f"{definition.cron_schedule} from {definition.start:%Y-%m-%d}, {definition.end_offset} ahead"


def _selected(job: dg.JobDefinition) -> list[str]:
    return sorted(key.to_user_string() for key in job.asset_layer.executable_asset_keys)


def test_the_graph_is_the_one_reviewed(loaded: dg.Definitions) -> None:
    now = "\n".join(describe(loaded)) + "\n"
    if os.environ.get("WRITE_GRAPH"):
        GRAPH.write_text(now)
    assert now == GRAPH.read_text()


def test_every_asset_tells_its_reader_what_it_is(specs: dict[str, dg.AssetSpec]) -> None:
    for key, spec in specs.items():
        assert spec.description and len(spec.description) > 60, key
        assert spec.owners and spec.kinds and spec.code_version, key
        assert spec.freshness_policy is not None, key
        assert "dagster/column_schema" in spec.metadata, key


def test_an_asset_s_key_is_its_table(specs: dict[str, dg.AssetSpec]) -> None:
    assert {key.replace("/", ".") for key in specs} - MODELS <= set(TABLES)


def test_whatever_calls_tmdb_is_in_its_pool(loaded: dg.Definitions) -> None:
    pools = {
        key.to_user_string(): definition.op.pool
        for definition in loaded.assets or []
        if isinstance(definition, dg.AssetsDefinition) and definition.is_executable
        for key in definition.keys
    }
    assert {key for key, pool in pools.items() if pool == "tmdb"} == {
        "raw/movie_changes",
        "raw/discover_pages",
        "raw/movie_details",
        "movie_snapshots",
        "other_movies",
    }


def test_every_job_runs_in_one_process(loaded: dg.Definitions) -> None:
    for job in loaded.get_repository_def().get_all_jobs():
        assert job.executor_def.name == "in_process", job.name


def test_an_asset_links_to_the_lines_that_define_it(specs: dict[str, dg.AssetSpec]) -> None:
    for key, spec in specs.items():
        [source] = spec.metadata["dagster/code_references"].code_references
        assert Path(source.file_path).parent.name == "defs", key
        assert source.line_number > 1, key


MODULES = [module.name for module in pkgutil.iter_modules(defs_package.__path__)]


@pytest.mark.parametrize("name", MODULES)
def test_every_module_of_defs_defines_something_for_dagster(name: str) -> None:
    module = importlib.import_module(f"{defs_package.__name__}.{name}")
    tree = ast.parse(Path(str(module.__file__)).read_text())
    assigned = {
        target.id
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    decorated = {node.name for node in tree.body if isinstance(node, ast.FunctionDef) and node.decorator_list}
    definitions = (
        dg.AssetsDefinition,
        dg.JobDefinition,
        dg.ScheduleDefinition,
        dg.SensorDefinition,
        dg.PartitionsDefinition,
        type(dg.define_asset_job("any")),
        type(defs),
    )
    assert [name for name in assigned | decorated if isinstance(getattr(module, name), definitions)]


NOT_PUBLIC = {
    "report_run_failed": "nothing public ends a run whose process has died",
    "event_log_storage": "results of checks and changes of freshness can be read in no other way",
    "get_daemon_heartbeats": "nothing public says whether the daemon is alive",
    "upgrade": "what `dagster instance migrate` calls",
    "optimize_for_webserver": "nothing public keeps a connection to Dagster's storage open",
}
"""The members of `DagsterInstance` that are used though they are not public, and why."""


def members_used(tree: ast.AST) -> Iterator[str]:
    """Attributes of whatever is named `instance`: `instance.x`, `context.instance.x`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            owner = node.value
            name = owner.id if isinstance(owner, ast.Name) else owner.attr if isinstance(owner, ast.Attribute) else ""
            if name == "instance":
                yield node.attr


def test_only_the_public_members_of_the_instance_are_used_or_those_with_a_reason() -> None:
    files = Path(str(horror_pipeline.__file__)).parent.rglob("*.py")
    used = {name for path in files for name in members_used(ast.parse(path.read_text()))}
    public = {name for name in used if getattr(getattr(dg.DagsterInstance, name), "_is_public", False)}
    assert used - public == set(NOT_PUBLIC)
    assert len(NOT_PUBLIC) <= 5


def test_no_private_module_of_dagster_is_imported() -> None:
    for path in Path(str(horror_pipeline.__file__)).parent.rglob("*.py"):
        assert "dagster._" not in path.read_text(), path


def test_a_credential_is_given_to_dagster_by_the_name_of_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    key = "0123456789abcdef0123456789abcdef"
    monkeypatch.setenv("TMDB_API_KEY", key)
    monkeypatch.setenv("DATABASE_URL", "postgresql://horror:swordfish@nowhere.invalid/horror")
    repository = defs().get_repository_def()
    shown = {name: str(resource) for name, resource in (defs().resources or {}).items()}
    assert "TMDB_API_KEY" in shown["tmdb"] and "DATABASE_URL" in shown["warehouse"]
    everything = f"{shown} {[vars(resource) for resource in repository.get_top_level_resources().values()]}"
    assert key not in everything and "swordfish" not in everything
