from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from horror_pipeline.orchestration.progress import TERMINAL, Progress


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Log(logging.Logger):
    def __init__(self) -> None:
        super().__init__("run")
        self.lines: list[str] = []

    def handle(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


@pytest.fixture
def told() -> Iterator[list[tuple[str, int, int]]]:
    records: list[tuple[str, int, int]] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            values = record.__dict__
            records.append((values["label"], values["done"], values["total"]))

    handler = Keep()
    TERMINAL.addHandler(handler)
    yield records
    TERMINAL.removeHandler(handler)


def test_the_run_s_log_gets_a_line_every_few_seconds_with_rate_and_time_left() -> None:
    clock, log = Clock(), Log()
    progress = Progress(log, "details", 100, clock=clock)
    for _ in range(20):
        clock.now += 1
        progress.advance(2)
    assert log.lines[0] == "details: 10 of 100, 2.0/s, 45 s left"
    assert len(log.lines) == 4


def test_the_terminal_gets_every_step(told: list[tuple[str, int, int]]) -> None:
    progress = Progress(Log(), "details", 3, clock=Clock())
    progress.advance()
    progress.advance(2)
    assert told == [("details", 0, 3), ("details", 1, 3), ("details", 3, 3)]


def test_the_end_says_what_was_done_in_all() -> None:
    clock, log = Clock(), Log()
    progress = Progress(log, "details", 4, clock=clock)
    clock.now = 2.0
    progress.advance(4)
    progress.finish()
    assert log.lines[-1] == "details: 4 of 4 in 2.0 s, 2.0/s"
