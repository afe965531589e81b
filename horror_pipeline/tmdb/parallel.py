"""Many requests at once: a few threads, a bounded queue, results as they arrive.

What belongs here: threads that stop promptly. What does not: what is asked, pace (that is the limiter's).
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import Generic, TypeVar, cast

J = TypeVar("J")
R = TypeVar("R")

SECONDS_TO_STOP = 1.0
_END = object()

SECONDS_BETWEEN_LOOKS = 0.004
"""How long whoever has nothing to do sleeps. Waking somebody for each result would cost more than the result."""


def run_parallel(
    jobs: Iterable[J], work: Callable[[J, threading.Event], R], *, threads: int, buffer: int = 256
) -> Generator[R, None, None]:
    """Do every job on a few threads and yield what they return, in the order they finish.

    At most about `buffer` results wait to be taken, so memory stays flat whatever the number of jobs.

    Args:
        jobs: what to do; drawn as threads become free.
        work: does one job; the event is set when nobody waits for it any more.
        threads: how many at most.
        buffer: results that may wait.

    Raises:
        Exception: the first that `work` or `jobs` raised; the other threads stop. Closing the generator stops them too.
    """
    crew = _Crew(iter(jobs), work, buffer)
    crew.running = max(1, threads)
    workers = [threading.Thread(target=crew.run, daemon=True, name=f"tmdb-{n}") for n in range(crew.running)]
    for thread in workers:
        thread.start()
    try:
        while True:
            is_over = crew.running == 0  # asked before looking: what a worker left before it ended is there by now
            while crew.results:
                yield crew.results.popleft()
            if crew.error is not None:
                raise crew.error
            if is_over:
                return
            time.sleep(SECONDS_BETWEEN_LOOKS)
    finally:
        crew.cancel.set()
        for thread in workers:
            thread.join(timeout=SECONDS_TO_STOP / len(workers))


class _Crew(Generic[J, R]):
    """What the threads of one `run_parallel` share."""

    def __init__(self, source: Iterator[J], work: Callable[[J, threading.Event], R], buffer: int) -> None:
        self.cancel = threading.Event()
        self.results: deque[R] = deque()
        self.error: BaseException | None = None
        self.running = 0
        self._source = source
        self._work = work
        self._buffer = buffer
        self._lock = threading.Lock()

    def run(self) -> None:
        """Work until the jobs end, somebody cancels, or something goes wrong."""
        try:
            while not self.cancel.is_set():
                with self._lock:
                    job = next(self._source, _END)
                if job is _END:
                    return
                self.results.append(self._work(cast(J, job), self.cancel))
                while len(self.results) >= self._buffer and not self.cancel.is_set():
                    time.sleep(SECONDS_BETWEEN_LOOKS)
        except BaseException as error:  # carried to the consumer, whatever it is
            with self._lock:
                self.error = self.error or error
            self.cancel.set()
        finally:
            with self._lock:
                self.running -= 1
