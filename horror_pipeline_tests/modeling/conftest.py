from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache

import pytest
from threadpoolctl import threadpool_limits

from horror_pipeline.modeling.specs import MODELS
from horror_pipeline.modeling.training import Training, train
from horror_pipeline_tests.modeling.films import NOW, films, inputs


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> Iterator[None]:
    """Limit the estimators that tests fit themselves as the package limits its own."""
    with threadpool_limits(limits=1):
        yield


@pytest.fixture(scope="session")
def trained() -> Callable[[str], Training]:
    """The first training of a model, by name, on `films()`: done once for all tests."""

    @cache
    def first(name: str) -> Training:
        spec = MODELS[name]
        return train(spec, inputs(spec.stage), films(), None, NOW)

    return first
