from __future__ import annotations

import threading

from sqlalchemy import Engine

from horror_pipeline.warehouse import locks


def test_only_one_at_a_time_talks_to_tmdb(engine: Engine) -> None:
    order: list[str] = []

    said: list[str] = []
    is_waiting = threading.Event()

    def say(line: str) -> None:
        said.append(line)
        is_waiting.set()

    def second() -> None:
        with locks.tmdb_lock(engine, "b2", say):
            order.append("second")

    with locks.tmdb_lock(engine, "a1", said.append):
        waiting = threading.Thread(target=second)
        waiting.start()
        assert is_waiting.wait(timeout=10)
        order.append("first")
    waiting.join(timeout=10)
    assert order == ["first", "second"]
    assert said == ["waiting for TMDB: run a1 holds it"]
