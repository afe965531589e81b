"""Many requests at once: a few threads, a bounded queue, results as they arrive.

What belongs here: threads that stop promptly. What does not: what is asked, pace (that is the limiter's).
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import Any, Generic, TypeVar, cast

J = TypeVar("J")
R = TypeVar("R")

SECONDS_TO_STOP = 1.0


_END = object()


def run_parallel(
    jobs: Iterable[J], work: Callable[[J, threading.Event], R], *, threads: int, buffer: int = 256
) -> Generator[R, None, None]:
    """Do every job on a few threads and yield what they return, in the order they finish.

    At most `buffer` results wait to be taken, so memory stays flat whatever the number of jobs.

    Args:
        jobs: what to do; drawn as threads become free.
        work: does one job; the event is set when nobody waits for it any more.
        threads: how many at most.
        buffer: results that may wait.

    Raises:
        Exception: the first that `work` or `jobs` raised; the other threads stop. Closing the generator stops them too.
    """
    crew = _Crew(iter(jobs), work, buffer)
    workers = [threading.Thread(target=crew.run, daemon=True, name=f"tmdb-{n}") for n in range(max(1, threads))]
    for thread in workers:
        thread.start()
    running = len(workers)
    try:
        while running:
            result, error = crew.results.get()
            if error is not None:
                raise error
            if result is _END:
                running -= 1
            else:
                yield result
    finally:
        crew.cancel.set()
        for thread in workers:
            thread.join(timeout=SECONDS_TO_STOP / len(workers))


class _Crew(Generic[J, R]):
    """What the threads of one `run_parallel` share."""

    def __init__(self, source: Iterator[J], work: Callable[[J, threading.Event], R], buffer: int) -> None:
        self.cancel = threading.Event()
        self.results: queue.Queue[tuple[Any, BaseException | None]] = queue.Queue(maxsize=buffer)
        self._source = source
        self._work = work
        self._lock = threading.Lock()

    def run(self) -> None:
        """Work until the jobs end, somebody cancels, or something goes wrong."""
        try:
            while not self.cancel.is_set():
                with self._lock:
                    job = next(self._source, _END)
                if job is _END:
                    break
                self._put(self._work(cast(J, job), self.cancel), None)
            self._put(_END, None)
        except BaseException as error:  # carried to the consumer, whatever it is
            self._put(None, error)

    def _put(self, result: object, error: BaseException | None) -> None:
        while not self.cancel.is_set():
            try:
                return self.results.put((result, error), timeout=0.2)
            except queue.Full:
                continue
        return None
