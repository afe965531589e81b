"""The steps of a run, and what it says at its end."""

from __future__ import annotations

import io
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path

import dagster as dg
import pytest
from rich.console import Console
from sqlalchemy import URL, Engine, make_url, text

from horror_pipeline.cli.run import bring_up_to_date, print_next_steps, tmdb_client
from horror_pipeline.errors import HorrorError
from horror_pipeline.orchestration.launch import JobResult
from horror_pipeline.runtime import signals
from horror_pipeline.runtime.environment import Environment
from horror_pipeline.runtime.signals import ENDING
from horror_pipeline.settings import Settings, get_settings


@pytest.mark.parametrize(("is_on_path", "command"), [(True, "horror doctor"), (False, ".venv/bin/horror doctor")])
def test_the_next_steps_are_commands_this_shell_finds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_on_path: bool, command: str
) -> None:
    program = tmp_path / ".venv" / "bin" / "horror"
    program.parent.mkdir(parents=True)
    program.touch(mode=0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [str(program), "run"])
    monkeypatch.setenv("PATH", str(program.parent) if is_on_path else "/usr/bin")
    written = io.StringIO()

    nowhere = make_url("postgresql://")
    print_next_steps(Environment(get_settings(), nowhere, nowhere), Console(file=written, width=40))

    assert f"\n  {command} " in written.getvalue()
    assert "http://127.0.0.1:8000\n" in written.getvalue()


@pytest.fixture
def environment(database_url: URL) -> Environment:
    return Environment(get_settings(), database_url, database_url)


def run_with(environment: Environment, monkeypatch: pytest.MonkeyPatch, *failing: str) -> tuple[list[str], int]:
    """Run with jobs of which some fail; gives the jobs that were run and the number of failures."""
    jobs: list[str] = []

    def run_job(_: object, name: str, *rest: object) -> JobResult:
        jobs.append(name)
        return JobResult(name, "id", name not in failing, ["the export is not out yet"], {})

    monkeypatch.setattr("horror_pipeline.orchestration.launch.run_job", run_job)
    with dg.DagsterInstance.ephemeral() as instance:
        failures = bring_up_to_date(environment, instance, Console(file=io.StringIO()))
    return jobs, len(failures)


def test_a_late_export_keeps_nothing_from_training(environment: Environment, monkeypatch: pytest.MonkeyPatch) -> None:
    jobs, failures = run_with(environment, monkeypatch, "snapshot_popularity")
    assert jobs == ["ingest_catalogue", "snapshot_popularity", "train_and_predict"]
    assert failures == 1


def test_without_films_nothing_follows_a_failed_ingest(
    environment: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(HorrorError, match=r"ingest_catalogue .* failed"):
        run_with(environment, monkeypatch, "ingest_catalogue")


def test_films_of_earlier_runs_are_worked_on_although_the_ingest_failed(
    environment: Environment, monkeypatch: pytest.MonkeyPatch, engine: Engine
) -> None:
    with engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO movies (tmdb_id, title, genres, is_adult, first_seen_at, observed_at, details_fetched_at) "
                "VALUES (1, 'Nosferatu', '{Horror}', false, now(), now(), now())"
            )
        )
    jobs, failures = run_with(environment, monkeypatch, "ingest_catalogue", "snapshot_popularity")
    assert (jobs[-1], failures) == ("train_and_predict", 2)


@pytest.mark.parametrize("number", ENDING)
def test_an_interruption_that_was_lost_on_its_way_ends_the_run_before_its_next_step(
    environment: Environment, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    previous = {ending: signal.getsignal(ending) for ending in ENDING}
    monkeypatch.setattr(signals, "_arrived", [])
    try:
        signals.end_in_order()
        with suppress(KeyboardInterrupt):  # as Python does while it collects garbage
            os.kill(os.getpid(), number)
            signal.sigtimedwait([], 1)
        with pytest.raises(KeyboardInterrupt):
            run_with(environment, monkeypatch)
    finally:
        for ending, handler in previous.items():
            signal.signal(ending, handler)


def test_a_client_is_made_from_the_settings() -> None:
    key = "0123456789abcdef" * 2
    settings = Settings(_env_file=None, tmdb_api_key=key, tmdb_connections=3, tmdb_requests_per_second=7)
    with tmdb_client(settings) as client:
        assert (client.connections, client.limiter.per_second) == (3, 7)
        assert client.api_url == "https://api.themoviedb.org/3"
