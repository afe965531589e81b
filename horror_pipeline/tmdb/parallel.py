"""Doing many jobs in a few threads, with a bounded number of jobs ahead and a clean stop."""

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
    """Do every job, several at once, and yield what they return as they finish.

    Closing the generator wakes the jobs that wait, which then end, and starts no others.

    Args:
        threads: jobs under way at once.
        work: does one job; the event is set when its result is no longer wanted.
        jobs: drawn in the caller's thread, as results are taken.
        ahead: jobs drawn whose results are not taken yet, so that memory stays flat.

    Raises:
        Exception: the first that `work` or `jobs` raised.
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
            failures.append(error)  # before the others are cancelled: it is the reason, and is raised
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
