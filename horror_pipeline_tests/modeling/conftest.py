from __future__ import annotations

from collections.abc import Iterator

import pytest

from horror_pipeline.modeling.threads import one_thread


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> Iterator[None]:
    """Estimators that tests fit themselves are limited as the package limits its own."""
    with one_thread():
        yield
