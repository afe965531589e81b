"""How many threads an estimator may use: one.

What belongs here: that limit alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # comes with scikit-learn, without types


@contextmanager
def one_thread() -> Iterator[None]:
    """Keep estimators to one thread.

    Boosting has its threads wait for each other at every split of every small tree: on two idle processors that gains
    little, and on busy ones it loses a factor of five.
    """
    with threadpool_limits(limits=1):
        yield
