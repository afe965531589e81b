from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import URL

from horror_pipeline.cli.exec import retried
from horror_pipeline.errors import WarehouseError
from horror_pipeline.runtime.databases import prepare_dagster_database
from horror_pipeline.warehouse.engine import connect

EXEC = """
import sys
from horror_pipeline.cli import main
sys.argv = ["horror", "exec", "--", *sys.argv[1:]]
main()
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("exec")


def horror_exec(home: Path, *command: str) -> subprocess.Popen[str]:
    variables = {"PATH": os.environ["PATH"], "HOME": str(home), "HORROR_HOME": str(home)}
    return subprocess.Popen(  # noqa: S603
        [sys.executable, "-c", EXEC, *command],
        env=variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def is_stopped(home: Path) -> bool:
    return not (home / "postgres" / "postmaster.pid").exists()


def test_exec_runs_a_command_with_everything_exported_and_hands_on_its_exit_code(home: Path) -> None:
    script = 'psql -Atc "SELECT count(*) FROM movies"; echo $DAGSTER_HOME; exit 7'
    running = horror_exec(home, "sh", "-c", script)
    told, problems = running.communicate(timeout=60)
    assert (running.returncode, told) == (7, f"0\n{home}/dagster\n"), problems
    assert is_stopped(home)  # nobody uses it any more


def test_exec_hands_on_signals_and_stops_the_database_after_its_command(home: Path) -> None:
    script = "trap 'echo told; exit 3' TERM; echo ready; while :; do sleep 0.05; done"
    with horror_exec(home, "sh", "-c", script) as running:
        assert running.stdout is not None and running.stdout.readline() == "ready\n"
        running.send_signal(signal.SIGTERM)
        assert running.communicate(timeout=30)[0] == "told\n"
    assert running.returncode == 3
    assert is_stopped(home)


def test_exec_hands_on_a_signal_that_comes_as_soon_as_its_command_runs(home: Path) -> None:
    script = "trap 'echo told; exit 3' TERM; kill -TERM $PPID; while :; do sleep 0.05; done"
    with horror_exec(home, "sh", "-c", script) as running:
        assert running.communicate(timeout=30)[0] == "told\n"
        assert running.returncode == 3


@pytest.mark.parametrize("name", ["INT", "TERM"])
def test_exec_s_command_hears_a_signal_although_whoever_started_it_ignores_it(home: Path, name: str) -> None:
    number = signal.Signals[f"SIG{name}"]
    ignored = signal.signal(number, signal.SIG_IGN)
    try:
        running = horror_exec(home, "sh", "-c", f"trap 'exit 4' {name}; kill -{name} $$; exit 0")
    finally:
        signal.signal(number, ignored)
    running.communicate(timeout=60)
    assert running.returncode == 4  # a shell cannot trap a signal that was ignored when it began


def test_exec_of_no_such_command_is_one_line(home: Path) -> None:
    running = horror_exec(home, "no-such-command")
    problems = running.communicate(timeout=60)[1]
    assert (running.returncode, problems) == (1, "horror: cannot run no-such-command: No such file or directory\n")


def test_services_that_start_together_make_dagster_s_database_once(postgres: URL) -> None:
    url = postgres.set(database="made_by_one_of_four")
    with ThreadPoolExecutor(4) as pool:
        for made in [pool.submit(prepare_dagster_database, url, "horror") for _ in range(4)]:
            made.result()
    connect(url).dispose()


def test_waiting_for_a_database_ends_with_its_last_error() -> None:
    said: list[str] = []
    now = [0.0]

    def away() -> None:
        raise WarehouseError("connection refused")

    def sleep(seconds: float) -> None:
        now[0] += seconds

    with pytest.raises(WarehouseError, match="refused"):
        retried(away, 60, said.append, clock=lambda: now[0], sleep=sleep)
    assert said == ["waiting for the database: connection refused"]
    assert 50 < now[0] <= 60


def test_waiting_ends_as_soon_as_the_database_answers() -> None:
    answers = iter([WarehouseError("starting up"), WarehouseError("is empty"), None])

    def attempt() -> str:
        if (problem := next(answers)) is not None:
            raise problem
        return "there"

    said: list[str] = []
    assert retried(attempt, 60, said.append, clock=time.monotonic, sleep=lambda _: None) == "there"
    assert len(said) == 2
