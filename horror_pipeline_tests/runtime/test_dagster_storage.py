"""The storage that `dagster.yaml` names: nothing is opened before it is used, and then it is Postgres."""

import json
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from sqlalchemy import URL

from horror_pipeline.definitions import defs
from horror_pipeline.orchestration.launch import run_job
from horror_pipeline.runtime import dagster_storage
from horror_pipeline.runtime.dagster_storage import storage_url
from horror_pipeline.runtime.environment import MODULE, PROJECT_ROOT
from horror_pipeline.runtime.ports import answers, free_port


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copy(PROJECT_ROOT / "dagster.yaml", tmp_path)
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    return tmp_path


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, database_url: URL) -> Iterator[list[str]]:
    """Each time a storage asked for its address."""
    asked: list[str] = []

    def address() -> str:
        asked.append("asked")
        return database_url.render_as_string(hide_password=False)

    monkeypatch.setattr(dagster_storage, "storage_url", address)
    yield asked


@dg.asset
def made() -> None:
    """An asset."""


def test_an_instance_that_stores_nothing_needs_no_database(home: Path, asked: list[str]) -> None:
    with dg.DagsterInstance.get():
        pass
    assert asked == []


def test_what_is_stored_is_found_by_the_next_instance(home: Path, asked: list[str]) -> None:
    with dg.DagsterInstance.get() as instance:
        run_id = dg.materialize([made], instance=instance).run_id
        assert len(asked) <= 3  # one for each of runs, events and schedules
    with dg.DagsterInstance.get() as instance:
        assert instance.get_run_by_id(run_id) is not None
        assert instance.get_latest_materialization_event(made.key) is not None


def test_tmdb_s_pool_has_its_limit_before_the_first_run_is_queued(home: Path, asked: list[str]) -> None:
    with dg.DagsterInstance.get() as instance:
        storage = instance.event_log_storage
        assert storage.get_concurrency_keys() == {"tmdb"}
        assert [(pool.name, pool.limit) for pool in storage.get_pool_limits()] == [("tmdb", 1)]


def test_a_database_that_cannot_be_reached_is_tried_again(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def address() -> str:
        calls.append(1)
        raise RuntimeError("no database")

    monkeypatch.setattr(dagster_storage, "storage_url", address)
    with dg.DagsterInstance.get() as instance:
        for _ in range(2):
            with pytest.raises(RuntimeError, match="no database"):
                instance.get_run_records(limit=1)
    assert len(calls) == 2


def test_a_variable_goes_before_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAGSTER_PG_URL", "postgresql+psycopg2://somewhere/else")
    assert storage_url() == "postgresql+psycopg2://somewhere/else"


USE = """
import dagster as dg
with dg.DagsterInstance.get() as instance:
    print(len(instance.get_run_records(limit=1)))
"""


def test_without_any_variable_the_embedded_postgres_is_used_and_stopped_at_the_end(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HORROR_HOME", str(tmp_path / "horror"))
    done = subprocess.run([sys.executable, "-c", USE], capture_output=True, text=True, timeout=120)  # noqa: S603
    assert (done.returncode, done.stdout) == (0, "0\n"), done.stderr
    assert not (tmp_path / "horror" / "postgres" / "postmaster.pid").exists()


REEXECUTE = """mutation($id: String!) {
    launchRunReexecution(reexecutionParams: {parentRunId: $id, strategy: FROM_FAILURE}) {
        __typename ... on LaunchRunSuccess { run { jobName status } } ... on PythonError { message }
    }
}"""


def test_a_run_that_failed_in_the_terminal_s_process_is_executed_again_from_the_ui(
    home: Path, monkeypatch: pytest.MonkeyPatch, database_url: URL
) -> None:
    address, port = database_url.render_as_string(hide_password=False), free_port()
    monkeypatch.setenv("DATABASE_URL", address)
    monkeypatch.setenv("DAGSTER_PG_URL", address)
    with dg.DagsterInstance.get() as instance:
        failed = run_job(defs(), "collect_changes", instance)
    assert not failed.success
    programs = Path(sys.executable).parent
    command = [str(programs / "dagster-webserver"), "-p", str(port), "-m", MODULE]
    with subprocess.Popen([*command, "-d", str(PROJECT_ROOT)], start_new_session=True) as webserver:  # noqa: S603
        try:
            while not answers(f"http://127.0.0.1:{port}/server_info"):
                assert webserver.poll() is None
                time.sleep(0.1)
            question = json.dumps({"query": REEXECUTE, "variables": {"id": failed.run_id}}).encode()
            url, headers = f"http://127.0.0.1:{port}/graphql", {"Content-Type": "application/json"}
            with urllib.request.urlopen(urllib.request.Request(url, question, headers)) as answer:
                launched = json.load(answer)["data"]["launchRunReexecution"]
        finally:
            webserver.terminate()
    assert launched["__typename"] == "LaunchRunSuccess", launched["message"]
    assert launched["run"] == {"jobName": "collect_changes", "status": "QUEUED"}
