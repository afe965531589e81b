"""How many threads an estimator may use.

What belongs here: that limit alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # comes with scikit-learn, without types

ROWS_WORTH_THREADS = 30_000


@contextmanager
def threads_for(rows: int) -> Iterator[None]:
    """One thread for small data: boosting waits for its threads at every split, on a busy machine for long."""
    if rows >= ROWS_WORTH_THREADS:
        yield
        return
    with threadpool_limits(limits=1):
        yield
