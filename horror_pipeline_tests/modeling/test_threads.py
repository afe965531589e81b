from __future__ import annotations

import threading

import pytest
import sklearn.ensemble  # noqa: F401  # loads OpenMP
from threadpoolctl import threadpool_info

from horror_pipeline.modeling.threads import THREADS, in_threads


def test_results_are_in_the_order_of_the_items() -> None:
    assert in_threads(lambda number: number * 10, range(7)) == [number * 10 for number in range(7)]


def test_fits_run_at_the_same_time_each_with_a_single_thread_of_the_libraries() -> None:
    meeting = threading.Barrier(THREADS)

    def fit(_: int) -> set[int]:
        meeting.wait(timeout=60)
        return {library["num_threads"] for library in threadpool_info()}

    assert in_threads(fit, range(THREADS)) == [{1}] * THREADS


def test_a_failure_of_a_fit_is_raised() -> None:
    def fit(number: int) -> float:
        return 1 / number

    with pytest.raises(ZeroDivisionError):
        in_threads(fit, [1, 0, 2])
