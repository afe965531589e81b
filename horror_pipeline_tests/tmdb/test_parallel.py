from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from horror_pipeline.tmdb.parallel import run_parallel


def wait_for_no_workers() -> None:
    for _ in range(100):
        if not [one for one in threading.enumerate() if one.name.startswith("tmdb-")]:
            return
        time.sleep(0.01)
    pytest.fail("threads are left")


def test_every_job_is_done_once() -> None:
    assert sorted(run_parallel(range(500), lambda job, _: job * 2, threads=8)) == [2 * job for job in range(500)]
    wait_for_no_workers()


def test_no_jobs_no_results() -> None:
    assert list(run_parallel([], lambda job, _: job, threads=0)) == []


def test_the_first_error_reaches_the_consumer_and_stops_the_others() -> None:
    done = []

    def work(job: int, _: threading.Event) -> int:
        if job == 5:
            raise ValueError("job 5")
        done.append(job)
        return job

    with pytest.raises(ValueError, match="job 5"):
        list(run_parallel(range(100_000), work, threads=4))
    wait_for_no_workers()
    assert len(done) < 100_000


def test_an_error_in_the_jobs_themselves_is_told() -> None:
    def jobs() -> Iterator[int]:
        yield 1
        raise RuntimeError("no more")

    with pytest.raises(RuntimeError, match="no more"):
        list(run_parallel(jobs(), lambda job, _: job, threads=2))


def test_results_that_nobody_takes_do_not_pile_up() -> None:
    begun = []

    def work(job: int, _: threading.Event) -> int:
        begun.append(job)
        return job

    results = run_parallel(range(10_000), work, threads=2, buffer=10)
    next(results)
    time.sleep(0.1)
    assert len(begun) < 30
    results.close()
    wait_for_no_workers()


def test_closing_wakes_a_worker_that_waits() -> None:
    def work(job: int, cancel: threading.Event) -> int:
        if job:
            cancel.wait(60)
        return job

    results = run_parallel(range(3), work, threads=3)
    assert next(results) == 0
    started = time.monotonic()
    results.close()
    wait_for_no_workers()
    assert time.monotonic() - started < 2
