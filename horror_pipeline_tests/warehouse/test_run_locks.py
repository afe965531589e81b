from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable

import pytest
from sqlalchemy import Engine, text

from horror_pipeline.warehouse import run_locks
from horror_pipeline.warehouse.engine import connect
from horror_pipeline.warehouse.run_locks import held_run, nobody_executes


def yes() -> bool:
    return True


def unused() -> None:
    raise AssertionError("the run was given up")


def is_free(engine: Engine, run_id: str) -> bool:
    with nobody_executes(engine, run_id) as free:
        return free


def soon(condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 10
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
    return condition()


def test_a_run_under_way_is_seen_by_every_connection(engine: Engine) -> None:
    with held_run(engine, "a1", yes, unused):
        assert not is_free(engine, "a1")
        assert is_free(engine, "b2")
    assert soon(lambda: is_free(engine, "a1"))


HOLD = """
import sys, time
from sqlalchemy import create_engine
from horror_pipeline.warehouse.run_locks import held_run
with held_run(create_engine(sys.argv[1]), "a1", lambda: True):
    print("held", flush=True)
    time.sleep(60)
"""


def test_the_lock_of_a_killed_process_is_free(engine: Engine) -> None:
    url = engine.url.render_as_string(hide_password=False)
    with subprocess.Popen([sys.executable, "-c", HOLD, url], stdout=subprocess.PIPE, text=True) as process:  # noqa: S603
        assert process.stdout is not None and process.stdout.readline() == "held\n"
        assert not is_free(engine, "a1")
        process.kill()
    assert soon(lambda: is_free(engine, "a1"))


def test_a_second_process_waits_and_then_does_not_execute_the_run_again(engine: Engine) -> None:
    order: list[str] = []

    def second() -> None:
        with held_run(engine, "a1", lambda: False, lambda: order.append("given up")):
            order.append("second")

    with held_run(engine, "a1", yes, unused):
        waiting = threading.Thread(target=second)
        waiting.start()
        time.sleep(0.2)
        order.append("first")
    waiting.join(timeout=10)
    assert order[:2] == ["first", "given up"]


def end_sessions(engine: Engine) -> None:
    """End every session that holds an advisory lock, as a restart of the server does."""
    with engine.connect() as connection:
        connection.execute(
            text("""
                SELECT pg_terminate_backend(pid) FROM pg_locks JOIN pg_database ON pg_database.oid = pg_locks.database
                WHERE locktype = 'advisory' AND datname = current_database()
            """)
        )


def test_after_the_server_was_away_the_lock_is_taken_again(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_locks, "CONFIRM_SECONDS", 0.02)
    asked: list[int] = []

    def is_wanted() -> bool:
        asked.append(1)
        return True

    with held_run(engine, "a1", is_wanted, unused):
        end_sessions(engine)
        assert soon(lambda: len(asked) == 2)
        assert not is_free(engine, "a1")


def test_a_run_that_was_ended_meanwhile_is_given_up(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_locks, "CONFIRM_SECONDS", 0.02)
    answers, given_up = iter([True, False]), threading.Event()
    with held_run(engine, "a1", lambda: next(answers), given_up.set):
        end_sessions(engine)
        assert given_up.wait(10)


def test_a_lock_that_cannot_be_had_again_ends_the_process(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_locks, "CONFIRM_SECONDS", 0.02)
    monkeypatch.setattr(run_locks, "LOST_SECONDS", 0.2)
    given_up, other = threading.Event(), connect(engine.url)
    with held_run(engine, "a1", yes, given_up.set):
        monkeypatch.setattr(engine, "connect", lambda: 1 / 0)
        end_sessions(other)
        assert given_up.wait(10)
    other.dispose()
