"""Progress of a long step: count, rate and time left, for the run's log in Dagster and for the terminal."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field

TERMINAL = logging.getLogger("horror_pipeline.progress")
"""Logs every advance as a record with `label`, `done` and `total`, from which `horror run` draws its progress bars."""
TERMINAL.propagate = False
TERMINAL.setLevel(logging.INFO)
TERMINAL.addHandler(logging.NullHandler())

SECONDS_BETWEEN_LINES = 5.0


@dataclass
class Progress:
    """Counts what is done of a total. Logs a line every few seconds and one at the end.

    Args:
        log: the run's log, `context.log`.
        label: what is counted, such as `details`.
        total: how many there are to do.
        clock: returns seconds; only differences count.
    """

    log: logging.Logger
    label: str
    total: int
    clock: Callable[[], float] = time.monotonic
    done: int = 0
    _started: float = field(init=False)
    _last_line: float = field(init=False)

    def __post_init__(self) -> None:
        """Start the clock."""
        self._started = self._last_line = self.clock()
        self._notify_terminal()

    @property
    def rate(self) -> float:
        """Return how many were done per second so far."""
        return self.done / max(self.clock() - self._started, 1e-9)

    def expect(self, count: int) -> None:
        """Raise the total, when it turns out that there is more to do."""
        self.total += count
        self._notify_terminal()

    def advance(self, count: int = 1) -> None:
        """Add to the count."""
        self.done += count
        self._notify_terminal()
        now = self.clock()
        if now - self._last_line >= SECONDS_BETWEEN_LINES:
            self._last_line = now
            left = (self.total - self.done) / self.rate if self.rate else 0
            self.log.info(f"{self.label}: {self.done:,} of {self.total:,}, {self.rate:.1f}/s, {left:.0f} s left")

    def finish(self) -> None:
        """Log the final count and rate."""
        seconds = self.clock() - self._started
        self.log.info(f"{self.label}: {self.done:,} of {self.total:,} in {seconds:.1f} s, {self.rate:.1f}/s")

    def _notify_terminal(self) -> None:
        TERMINAL.info(self.label, extra={"label": self.label, "done": self.done, "total": self.total})
