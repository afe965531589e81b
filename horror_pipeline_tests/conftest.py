"""Fixtures of all tests: settings that no variable of the host reaches, and an empty, migrated Postgres per test."""

from __future__ import annotations

import itertools
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import URL, Engine, create_engine, text

from horror_pipeline.runtime import postgres as embedded
from horror_pipeline.settings import get_settings
from horror_pipeline.warehouse import schema
from horror_pipeline.warehouse.engine import connect

OURS = ("HORROR_", "TMDB_", "DATABASE_URL", "DAGSTER_", "POLL_INTERVAL_MS", "PG")
TEMPLATE = "template_horror"

_numbers = itertools.count()

# A script that starts the tests in the background has SIGINT ignored; Dagster, run in this process, would then ignore
# SIGTERM as well, which it treats alike, and every process a test starts would inherit both.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def _own_settings(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No variable of the host, and no settings of the test before."""
    for name in list(os.environ):
        if name.startswith(OURS):
            monkeypatch.delenv(name)
    get_settings.cache_clear()
    yield
    get_settings.cache_clear()


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[URL]:
    """An embedded server of the whole session, with a migrated database to copy; yields its administration URL."""
    home: Path = tmp_path_factory.mktemp("postgres")
    with embedded.session(home) as url:
        admin = url.set(database="postgres")
        # Nothing here outlives the tests: no need to wait for the disk.
        _administer(admin, "ALTER SYSTEM SET fsync = off", "ALTER SYSTEM SET synchronous_commit = off")
        _administer(admin, "SELECT pg_reload_conf()", f"CREATE DATABASE {TEMPLATE}")
        template = connect(url.set(database=TEMPLATE))
        schema.upgrade(template)
        template.dispose()
        yield admin


@contextmanager
def _database(postgres: URL) -> Iterator[URL]:
    name = f"test_{next(_numbers)}"
    _administer(postgres, f"CREATE DATABASE {name} TEMPLATE {TEMPLATE}")
    yield postgres.set(database=name)
    _administer(postgres, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def database_url(postgres: URL) -> Iterator[URL]:
    """The URL of an empty, migrated database of the test's own."""
    with _database(postgres) as url:
        yield url


@pytest.fixture
def engine(database_url: URL) -> Iterator[Engine]:
    """An engine on an empty, migrated database of the test's own."""
    engine = connect(database_url)
    yield engine
    engine.dispose()


@pytest.fixture(scope="module")
def module_engine(postgres: URL) -> Iterator[Engine]:
    """An engine on a database that the tests of a module share: for those that only read what was dear to fill in."""
    with _database(postgres) as url:
        engine = connect(url)
        yield engine
        engine.dispose()


def _administer(url: URL, *statements: str) -> None:
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        for statement in statements:
            connection.execute(text(statement))
    engine.dispose()
