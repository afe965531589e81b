"""The application over a test's own database, without caching so that a test sees what it wrote."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import URL

from horror_pipeline.web.app import create_app
from horror_pipeline_tests.web.rows import NOW


@pytest.fixture
def app(database_url: URL) -> FastAPI:
    """The application as people get it, except that answers are not kept and the clock stands still."""
    return create_app(database_url, cache_seconds=0, clock=lambda: NOW)


@pytest.fixture
def client(app: FastAPI) -> Iterator[TestClient]:
    """A client of `app`."""
    with TestClient(app) as client:
        yield client


@pytest.fixture(scope="module")
def offline_client() -> Iterator[TestClient]:
    """A client of the application with no database behind it, for what needs none."""
    with TestClient(create_app("postgresql://reader:secret@127.0.0.1:1/nowhere", clock=lambda: NOW)) as client:
        yield client
