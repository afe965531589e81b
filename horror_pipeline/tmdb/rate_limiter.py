"""One rate limit for all requests that this process sends to TMDB, from whichever thread.

Requests leave at even intervals, on a grid of times that all threads share. A refusal for too many requests stops all
threads for as long as the server asks, and lowers the rate. An error of the server or the connection lowers the rate a
little. Each success raises it again. So scattered errors cost nothing, and a server that is down gets few requests.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from horror_pipeline.errors import TmdbError

CATCH_UP_SECONDS = 0.025
"""How much delay later requests may make up for: enough for the scheduler's jitter, too little for a burst."""

LOWEST_SHARE = 0.05
SHARE_GAINED_BY_SUCCESS = 0.002
SHARE_KEPT_AFTER_ERROR = 0.97
SHARE_KEPT_AFTER_REFUSAL = 0.85
LONGEST_SLEEP = 0.25


class CancelledError(TmdbError):
    """The answer is no longer wanted; raised in the threads that wait for it."""


class RateLimiter:
    """Space requests evenly and share every slow-down among threads.

    Args:
        per_second: the highest rate of all requests together.
        clock: returns monotonic seconds.
        sleep: waits for a number of seconds.
    """

    def __init__(
        self,
        per_second: float,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
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
        """Requests per second allowed at present."""
        return self.per_second * self._share

    def acquire(self, cancel: threading.Event | None = None) -> None:
        """Wait until the next request may leave.

        One thread at a time waits for that moment, and the others wait for their turn. The grid moves on only when a
        request really leaves, so that threads delayed by a busy machine do not all send at once.

        Raises:
            CancelledError: `cancel` was set while waiting.
        """
        with self._turn:
            while (seconds := self._wait_or_leave()) > 0:
                self.wait(seconds, cancel)

    def _wait_or_leave(self) -> float:
        """Return the seconds until a request may leave; 0 where it leaves now."""
        with self._lock:
            now = self.clock()
            moment = max(self._next_slot, self._paused_until)
            if now < moment:
                return moment - now
            self._next_slot = max(self._next_slot, now - CATCH_UP_SECONDS) + 1.0 / self.rate
            return 0.0

    def wait(self, seconds: float, cancel: threading.Event | None = None) -> None:
        """Sleep in short steps, so that a cancelled wait ends promptly.

        Raises:
            CancelledError: `cancel` was set meanwhile.
        """
        until = self.clock() + seconds
        while (left := until - self.clock()) > 0:
            if cancel is not None and cancel.is_set():
                raise CancelledError("the request was cancelled")
            self._sleep(min(left, LONGEST_SLEEP))

    def succeeded(self) -> None:
        """Raise a lowered rate a little after a good answer."""
        if self._share < 1.0:  # read without the lock: the common case stays cheap
            with self._lock:
                self._share = min(1.0, self._share + SHARE_GAINED_BY_SUCCESS)

    def failed(self) -> None:
        """Slow every thread a little after an error of the server or the connection."""
        with self._lock:
            self._share = max(LOWEST_SHARE, self._share * SHARE_KEPT_AFTER_ERROR)

    def refused(self, seconds: float) -> None:
        """Stop every thread for `seconds` after a refusal for too many requests, and lower the rate.

        Refusals of requests that were already under way when the pause began do not lower the rate again.
        """
        with self._lock:
            now = self.clock()
            if now >= self._paused_until:
                self._share = max(LOWEST_SHARE, self._share * SHARE_KEPT_AFTER_REFUSAL)
            self._paused_until = max(self._paused_until, now + seconds)
            self._next_slot = max(self._next_slot, self._paused_until)  # the time of a pause is not caught up
