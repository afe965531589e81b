"""Running many jobs in a few threads, with a bounded number of jobs in memory and a clean stop."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from queue import SimpleQueue
from typing import TypeVar

from horror_pipeline.tmdb.rate_limiter import CancelledError

JOBS_AHEAD = 256

J = TypeVar("J")
T = TypeVar("T")


def run_parallel(
    threads: int, work: Callable[[J, threading.Event], T], jobs: Iterable[J], *, ahead: int = JOBS_AHEAD
) -> Generator[T, None, None]:
    """Run all jobs, several at once, and yield their results in the order in which they finish.

    Closing the generator sets the event that `work` is given, so that waiting jobs end, and starts no further jobs.

    Args:
        threads: number of jobs that run at once.
        work: does one job; the event is set when its result is no longer wanted.
        jobs: the jobs; they are iterated in the caller's thread as it consumes results.
        ahead: the most jobs that are taken from `jobs` before their results are consumed, so that memory stays flat.

    Raises:
        Exception: the first exception that `work` or `jobs` raised.
    """
    source, cancel = iter(jobs), threading.Event()
    finished: SimpleQueue[Future[T]] = SimpleQueue()
    failures: list[BaseException] = []
    waiting = 0

    def do(job: J) -> T:
        if cancel.is_set():
            raise CancelledError("the request was cancelled")
        try:
            return work(job, cancel)
        except BaseException as error:
            failures.append(error)  # before cancelling the others, so that this error comes first and is raised
            cancel.set()
            raise

    pool = ThreadPoolExecutor(threads, thread_name_prefix="tmdb")
    try:
        while True:
            for job in islice(source, ahead - waiting):
                pool.submit(do, job).add_done_callback(finished.put)
                waiting += 1
            if not waiting:
                return
            future = finished.get()
            if future.exception() is not None:
                raise failures[0]
            waiting -= 1
            yield future.result()
    finally:
        cancel.set()
        pool.shutdown(wait=False, cancel_futures=True)
