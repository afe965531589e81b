from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from horror_pipeline.tmdb.parallel import run_parallel
from horror_pipeline.tmdb.rate_limiter import CancelledError


def wait_for_no_workers() -> None:
    for _ in range(100):
        if not [one for one in threading.enumerate() if one.name.startswith("tmdb")]:
            return
        time.sleep(0.01)
    pytest.fail("threads are left")


def test_every_parallel_job_is_done_once() -> None:
    assert sorted(run_parallel(8, lambda job, _: job * 2, range(500))) == [2 * job for job in range(500)]
    wait_for_no_workers()


def test_no_parallel_jobs_have_no_results() -> None:
    assert list(run_parallel(1, lambda job, _: job, [])) == []


def test_the_first_error_of_a_parallel_job_is_raised_and_stops_the_others() -> None:
    done = []

    def work(job: int, _: threading.Event) -> int:
        if job == 5:
            raise ValueError("job 5")
        done.append(job)
        return job

    with pytest.raises(ValueError, match="job 5"):
        list(run_parallel(4, work, range(100_000)))
    wait_for_no_workers()
    assert len(done) < 100_000


def test_what_was_done_before_an_error_is_not_lost() -> None:
    def work(job: int, _: threading.Event) -> int:
        if job == 15:
            raise ValueError("job 15")
        return job

    taken = []
    with pytest.raises(ValueError, match="job 15"):
        for result in run_parallel(1, work, range(26)):
            time.sleep(0.002)  # the error has happened long before its turn comes
            taken.append(result)
    assert taken == list(range(15))


def test_the_error_that_cancels_the_others_is_the_one_raised() -> None:
    def work(job: int, cancel: threading.Event) -> int:
        if job == 3:
            raise ValueError("the reason")
        cancel.wait(10)
        raise CancelledError("the request was cancelled")

    for _ in range(50):
        with pytest.raises(ValueError, match="the reason"):
            list(run_parallel(4, work, range(100)))


def test_an_error_while_parallel_jobs_are_drawn_is_raised() -> None:
    def jobs() -> Iterator[int]:
        yield 1
        raise RuntimeError("no more")

    with pytest.raises(RuntimeError, match="no more"):
        list(run_parallel(2, lambda job, _: job, jobs()))


def test_results_that_nobody_takes_do_not_pile_up() -> None:
    begun = []

    def work(job: int, _: threading.Event) -> int:
        begun.append(job)
        return job

    results = run_parallel(2, work, range(10_000), ahead=10)
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

    results = run_parallel(3, work, range(3))
    assert next(results) == 0
    started = time.monotonic()
    results.close()
    wait_for_no_workers()
    assert time.monotonic() - started < 2
