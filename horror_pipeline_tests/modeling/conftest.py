from __future__ import annotations

from collections.abc import Iterator

import pytest

from horror_pipeline.modeling.threads import threads_for


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> Iterator[None]:
    """Estimators that tests fit themselves are limited as the package limits its own."""
    with threads_for(0):
        yield
