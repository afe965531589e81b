"""One whole catalogue for all tests of the demo: making it is the slow part."""

from __future__ import annotations

import datetime as dt

import pytest

from horror_pipeline.demo.routes import DemoTmdb

TODAY = dt.date(2026, 11, 22)


@pytest.fixture(scope="package")
def tmdb() -> DemoTmdb:
    return DemoTmdb(today=lambda: TODAY)
