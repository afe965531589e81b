"""Fitting independent models at the same time. Most of the time of a fit is spent outside Python's lock."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

from threadpoolctl import threadpool_limits

THREADS = 2
"""Fits at the same time. More threads would wait for Python's lock, and each holds its training data in memory."""

T = TypeVar("T")
R = TypeVar("R")


def in_threads(fit: Callable[[T], R], items: Iterable[T]) -> list[R]:
    """Fit to each item, `THREADS` of them at a time, and return the results in the order of the items.

    Within a fit, libraries use a single thread: the data is too small to be worth dividing.
    """
    one_thread = partial(threadpool_limits, limits=1)  # OpenMP asks for this in every thread
    with one_thread(), ThreadPoolExecutor(THREADS, "fit", initializer=one_thread) as pool:
        return list(pool.map(fit, items))
