from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from horror_pipeline.errors import HorrorError
from horror_pipeline.runtime import postgres
from horror_pipeline.runtime.processes import MOST_RESTARTS, Child, Supervisor

SLEEP = ["/bin/sh", "-c", "echo started; exec sleep 60"]


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def supervisor(tmp_path: Path, said: list[str]) -> Iterator[Supervisor]:
    supervisor = Supervisor({"COLOUR": "red"}, tmp_path, said.append)
    yield supervisor
    supervisor.stop()


def child(tmp_path: Path, command: list[str], ready: Callable[[], bool] | None = None, name: str = "worker") -> Child:
    return Child(name, command, tmp_path / f"{name}.log", ready)


def eventually(holds: Callable[[], bool], seconds: float = 10) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if holds():
            return True
        time.sleep(0.02)
    return False


def pid_of(child: Child) -> int:
    assert child.process is not None
    return child.process.pid


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def watching(supervisor: Supervisor) -> threading.Thread:
    thread = threading.Thread(target=supervisor.watch)
    thread.start()
    return thread


def test_a_child_gets_the_variables_and_its_log(tmp_path: Path, supervisor: Supervisor) -> None:
    one = child(tmp_path, ["/bin/sh", "-c", "echo $COLOUR in $PWD; exec sleep 60"])
    supervisor.start(one)
    assert eventually(lambda: one.log.read_text() == f"red in {tmp_path}\n")
    supervisor.stop()
    assert not is_running(pid_of(one))


def test_start_waits_until_the_child_answers(tmp_path: Path, supervisor: Supervisor) -> None:
    flag = tmp_path / "flag"
    one = child(tmp_path, ["/bin/sh", "-c", f"sleep 0.3; touch {flag}; exec sleep 60"], flag.exists)
    supervisor.start(one)
    assert flag.exists()
    supervisor.stop()


def test_a_child_that_dies_before_it_answers_is_told_with_its_last_lines(
    tmp_path: Path, supervisor: Supervisor
) -> None:
    one = child(tmp_path, ["/bin/sh", "-c", "echo no such port; exit 3"], lambda: False)
    with pytest.raises(HorrorError, match=r"(?s)worker did not start; .*no such port"):
        supervisor.start(one)
    supervisor.stop()


def test_a_child_that_never_answers_is_given_up(tmp_path: Path, supervisor: Supervisor) -> None:
    one = child(tmp_path, SLEEP, lambda: False)
    with pytest.raises(HorrorError, match="did not start"):
        supervisor.start(one, timeout=0.3)
    supervisor.stop()
    assert not is_running(pid_of(one))


def test_a_killed_child_is_said_and_started_again(tmp_path: Path, supervisor: Supervisor, said: list[str]) -> None:
    one = child(tmp_path, SLEEP)
    supervisor.start(one)
    first = pid_of(one)
    thread = watching(supervisor)
    os.kill(first, signal.SIGKILL)
    assert eventually(lambda: pid_of(one) != first)
    supervisor.request_stop()
    thread.join()
    supervisor.stop()
    assert said == [f"worker ended with signal SIGKILL; starting it again (log: {one.log})"]
    assert not is_running(pid_of(one))


def test_a_child_that_keeps_dying_ends_it_all(
    tmp_path: Path, supervisor: Supervisor, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("horror_pipeline.runtime.processes.FIRST_PAUSE_SECONDS", 0.01)
    steady = child(tmp_path, SLEEP, name="steady")
    one = child(tmp_path, ["/bin/sh", "-c", "echo disk is full; exit 2"])
    supervisor.start(steady)
    supervisor.start(one)
    with pytest.raises(HorrorError, match=r"(?s)worker keeps dying.*disk is full"):
        supervisor.watch()
    supervisor.stop()
    assert len(said) == MOST_RESTARTS
    assert not is_running(pid_of(steady))


def test_what_a_dead_child_had_started_lives_on_and_ends_with_the_rest(tmp_path: Path, supervisor: Supervisor) -> None:
    note = tmp_path / "grandchild"
    one = child(tmp_path, ["/bin/sh", "-c", f"[ -e {note} ] || {{ sleep 60 & echo $! > {note}; }}; exec sleep 60"])
    supervisor.start(one)
    assert eventually(lambda: note.exists() and note.read_text() != "")
    grandchild, first = int(note.read_text()), pid_of(one)
    thread = watching(supervisor)
    os.kill(first, signal.SIGKILL)
    assert eventually(lambda: pid_of(one) != first)
    assert is_running(grandchild)
    supervisor.request_stop()
    thread.join()
    supervisor.stop()
    assert not is_running(grandchild)


def test_a_child_deaf_to_sigterm_is_ended_by_force(
    tmp_path: Path, supervisor: Supervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("horror_pipeline.runtime.watchdog.stop_marked.__defaults__", (0.3,))
    deaf = child(tmp_path, ["/bin/sh", "-c", "trap '' TERM; echo deaf; while :; do sleep 0.1; done"])
    supervisor.start(deaf)
    assert eventually(lambda: "deaf" in deaf.log.read_text())
    supervisor.stop()
    assert eventually(lambda: not is_running(pid_of(deaf)))


def test_a_long_log_is_set_aside_at_the_next_start(
    tmp_path: Path, supervisor: Supervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("horror_pipeline.runtime.processes.LOG_BYTES", 10)
    one = child(tmp_path, SLEEP)
    one.log.write_text("a long story\n")
    supervisor.start(one)
    supervisor.stop()
    assert one.log.with_suffix(".log.1").read_text() == "a long story\n"
    assert "long story" not in one.log.read_text()


SUPERVISE = """
import sys, pathlib
from horror_pipeline.runtime.processes import Child, Supervisor
folder = pathlib.Path(sys.argv[1])
supervisor = Supervisor({}, folder, print)
command = "setsid sleep 60 & echo $! $$ > pids; exec sleep 60"
supervisor.start(Child("one", ["/bin/sh", "-c", command], folder / "one.log"))
supervisor.watch()
"""


def test_nothing_is_left_when_the_supervisor_itself_is_killed(tmp_path: Path) -> None:
    killed = subprocess.Popen([sys.executable, "-c", SUPERVISE, str(tmp_path)], start_new_session=True)  # noqa: S603
    pids = tmp_path / "pids"
    assert eventually(lambda: pids.exists() and len(pids.read_text().split()) == 2)
    started = [int(pid) for pid in pids.read_text().split()]
    assert all(map(is_running, started))
    killed.kill()
    killed.wait()
    assert eventually(lambda: not any(map(is_running, started)))


UP = """
import sys, pathlib
from horror_pipeline.runtime import postgres
from horror_pipeline.runtime.processes import Child, Supervisor
home = pathlib.Path(sys.argv[1])
with postgres.session(home):
    supervisor = Supervisor({}, home, print, home)
    supervisor.start(Child("one", ["sleep", "60"], home / "one.log"))
    print("ready", flush=True)
    supervisor.watch()
"""


def test_the_embedded_postgres_is_stopped_when_the_supervisor_is_killed(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", UP, str(tmp_path)], stdout=subprocess.PIPE, text=True) as killed:  # noqa: S603
        assert killed.stdout is not None and killed.stdout.readline() == "ready\n"
        assert postgres.is_running(tmp_path)
        killed.kill()
    assert eventually(lambda: not postgres.is_running(tmp_path))


def test_a_killed_watchdog_is_replaced(tmp_path: Path, supervisor: Supervisor) -> None:
    one = child(tmp_path, SLEEP)
    supervisor.start(one)
    first = supervisor._watchdog
    assert first is not None
    thread = watching(supervisor)
    first.kill()
    assert eventually(lambda: supervisor._watchdog is not first)
    second = supervisor._watchdog
    assert second is not None and second.stdin is not None
    supervisor.request_stop()
    thread.join()
    supervisor._watchdog = None
    second.stdin.close()  # as if this process had been killed
    assert eventually(one.is_dead)
    second.wait()
