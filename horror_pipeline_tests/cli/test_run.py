"""The steps of a run, and what it says at its end."""

from __future__ import annotations

import datetime as dt
import io
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path

import dagster as dg
import pytest
from rich.console import Console
from sqlalchemy import URL, Engine, insert, make_url, text

from horror_pipeline.cli.run import bring_up_to_date, print_next_steps, tmdb_client
from horror_pipeline.errors import HorrorError
from horror_pipeline.orchestration.launch import JobResult
from horror_pipeline.runtime import signals
from horror_pipeline.runtime.environment import Environment
from horror_pipeline.runtime.signals import ENDING
from horror_pipeline.settings import Settings, get_settings
from horror_pipeline.warehouse import snapshots
from horror_pipeline.warehouse.tables import movie_details
from horror_pipeline_tests.warehouse import history


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


def test_days_are_collected_again_when_the_ingest_finds_films_that_they_lack(
    environment: Environment, monkeypatch: pytest.MonkeyPatch, engine: Engine
) -> None:
    now = dt.datetime.now(dt.UTC)
    days = [now.date() - dt.timedelta(days=back) for back in range(90)]

    def add_film(tmdb_id: int) -> None:
        document = {"tmdb_id": tmdb_id, "release_year": 2026, "payload": {}, "missing_parts": []}
        with engine.begin() as connection:
            history.add_films(connection, [tmdb_id], at=now)
            connection.execute(insert(movie_details), document | {"fetched_at": now, "changed_at": now})

    add_film(1)
    with engine.begin() as connection:
        for day in days:
            history.put(connection, day, {1: 1.0})
            snapshots.note_known_films(connection, day, 1)
    collected: list[object] = []

    def run_job(_: object, name: str, __: object, partitions: object) -> JobResult:
        if name == "ingest_catalogue" and not collected:
            add_film(2)
        collected.extend([partitions] if name == "snapshot_popularity" else [])
        return JobResult(name, "id", True, [], {})

    monkeypatch.setattr("horror_pipeline.orchestration.launch.run_job", run_job)
    with dg.DagsterInstance.ephemeral() as instance:
        bring_up_to_date(environment, instance, Console(file=io.StringIO()))
    assert collected == [(str(days[-1]), str(days[0]))]


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
