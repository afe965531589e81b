"""One pace for every request this process makes to TMDB, whatever thread makes it.

What belongs here: handing out moments to send, slowing down together, recovering. What does not: HTTP, retrying.

Requests leave on an even grid at the allowed rate. Trouble slows the grid for all threads: a refusal for too many
requests stops everybody for as long as asked and lowers the rate; a server error lowers it a little. Each success
raises it again, so that scattered errors cost nothing and an outage is not hammered.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from horror_pipeline.errors import TmdbError

CATCH_UP_SECONDS = 0.025
"""How far behind its grid a late thread may still send at once. Covers the scheduler's jitter, never a burst."""

LOWEST_SHARE = 0.05
SHARE_GAINED_BY_SUCCESS = 0.002
SHARE_KEPT_AFTER_ERROR = 0.97
SHARE_KEPT_AFTER_REFUSAL = 0.85
LONGEST_SLEEP = 0.25  # so that a cancelled wait ends promptly


class CancelledError(TmdbError):
    """The caller no longer wants the answer; raised in its waiting threads."""


class Limiter:
    """Spaces requests evenly and shares every slow-down among threads.

    Args:
        per_second: the ceiling of all requests together.
        clock: monotonic seconds.
        sleep: waits that many seconds.
    """

    def __init__(
        self,
        per_second: float,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        """Start at full rate."""
        self.per_second = per_second
        self.clock = clock
        self._sleep = sleep
        self._turn = threading.Lock()
        self._lock = threading.Lock()
        self._share = 1.0
        self._next_slot = float("-inf")
        self._paused_until = float("-inf")

    @property
    def rate(self) -> float:
        """Requests a second allowed at present."""
        return self.per_second * self._share

    def acquire(self, cancel: threading.Event | None = None) -> None:
        """Wait for the moment the next request may leave.

        One thread at a time waits for that moment, the others for their turn: what counts is when a request really
        leaves, so that threads held up by a busy machine do not catch up all at once.

        Raises:
            CancelledError: `cancel` was set while waiting.
        """
        with self._turn:
            while (wait := self._wait_or_leave()) > 0:
                if cancel is not None and cancel.is_set():
                    raise CancelledError("the request was cancelled")
                self._sleep(min(wait, LONGEST_SLEEP))

    def _wait_or_leave(self) -> float:
        """Seconds until a request may leave; 0 when it leaves now."""
        with self._lock:
            now = self.clock()
            moment = max(self._next_slot, self._paused_until)
            if now < moment:
                return moment - now
            self._next_slot = max(self._next_slot, now - CATCH_UP_SECONDS) + 1.0 / self.rate
            return 0.0

    def wait(self, seconds: float, cancel: threading.Event | None = None) -> None:
        """Sleep in short turns.

        Raises:
            CancelledError: `cancel` was set meanwhile.
        """
        until = self.clock() + seconds
        while (left := until - self.clock()) > 0:
            if cancel is not None and cancel.is_set():
                raise CancelledError("the request was cancelled")
            self._sleep(min(left, LONGEST_SLEEP))

    def succeeded(self) -> None:
        """A request was answered well: recover a little."""
        if self._share < 1.0:  # read without the lock: the common case stays cheap
            with self._lock:
                self._share = min(1.0, self._share + SHARE_GAINED_BY_SUCCESS)

    def failed(self) -> None:
        """The server or the connection failed: slow everybody a little."""
        with self._lock:
            self._share = max(LOWEST_SHARE, self._share * SHARE_KEPT_AFTER_ERROR)

    def refused(self, seconds: float) -> None:
        """Too many requests: nobody sends for `seconds`, then all go on more slowly.

        Refusals of requests already under way when the pause began lower the rate only once.
        """
        with self._lock:
            now = self.clock()
            if now >= self._paused_until:
                self._share = max(LOWEST_SHARE, self._share * SHARE_KEPT_AFTER_REFUSAL)
            self._paused_until = max(self._paused_until, now + seconds)
            self._next_slot = max(self._next_slot, self._paused_until)  # the time of a pause is not caught up
