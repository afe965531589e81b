"""Databases that cannot be used are refused in one line that says what to do."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import pytest
from sqlalchemy import URL, create_engine, text

from horror_pipeline.errors import WarehouseError
from horror_pipeline.runtime.databases import migrate, prepare_dagster_database, prepare_warehouse
from horror_pipeline.warehouse.engine import connect

numbers = itertools.count()

Create = Callable[..., URL]


def execute(url: URL, *statements: str) -> None:
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        for statement in statements:
            connection.execute(text(statement))
    engine.dispose()


@pytest.fixture
def create(postgres: URL) -> Iterator[Create]:
    """Creates a database, with options and statements of the test's own."""
    names = []

    def database(options: str = "", *statements: str) -> URL:
        names.append(f"odd_{next(numbers)}")
        execute(postgres, f"CREATE DATABASE {names[-1]} TEMPLATE template0 {options}")
        url = postgres.set(database=names[-1])
        execute(url, *statements)
        return url

    yield database
    for name in names:
        execute(postgres, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def guest(postgres: URL) -> str:
    execute(postgres, "DROP ROLE IF EXISTS visitor", "CREATE ROLE visitor LOGIN")
    return "visitor"


def assert_refused(act: Callable[[], None], *said: str) -> None:
    with pytest.raises(WarehouseError) as refused:
        act()
    assert "\n" not in str(refused.value)
    assert refused.value.remedy
    for words in said:
        assert words in str(refused.value)


@pytest.mark.parametrize("encoding", ["SQL_ASCII", "LATIN1"])
def test_a_database_that_cannot_hold_every_title_is_refused(create: Create, encoding: str) -> None:
    url = create(f"ENCODING '{encoding}' LOCALE_PROVIDER libc LOCALE 'C'")
    assert_refused(lambda: prepare_warehouse(url, is_embedded=False), encoding, "UTF8", "DATABASE_URL")
    assert_refused(lambda: prepare_dagster_database(url, "horror"), encoding, "DAGSTER_DATABASE_URL")


def test_somebody_else_s_table_movies_is_left_alone(create: Create) -> None:
    url = create("", "CREATE TABLE movies (id int)", "INSERT INTO movies VALUES (7)")
    assert_refused(lambda: prepare_warehouse(url, is_embedded=False), "movies", "already exists", "DATABASE_URL")
    engine = connect(url)
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT id FROM movies")) == 7
    engine.dispose()


def test_a_login_without_rights_on_dagster_s_database_is_refused(create: Create, guest: str) -> None:
    url = create().set(username=guest)
    assert_refused(lambda: prepare_dagster_database(url, "horror"), guest, "may not write", "DAGSTER_DATABASE_URL")


@pytest.mark.parametrize("rights", ["GRANT SELECT", "REVOKE ALL"])
def test_a_login_that_may_not_write_is_refused(database_url: URL, guest: str, rights: str) -> None:
    towards = "TO" if rights.startswith("GRANT") else "FROM"
    execute(database_url, f"{rights} ON ALL TABLES IN SCHEMA public {towards} {guest}")
    url = database_url.set(username=guest)
    assert_refused(lambda: prepare_warehouse(url, is_embedded=False), guest, "may not write")


def test_a_login_that_may_not_create_tables_is_refused(create: Create, guest: str) -> None:
    url = create().set(username=guest)
    assert_refused(lambda: prepare_warehouse(url, is_embedded=False), guest, "may not write")


def test_a_login_that_may_create_tables_but_no_schema_is_refused(create: Create, guest: str) -> None:
    url = create("", f"GRANT ALL ON SCHEMA public TO {guest}").set(username=guest)
    assert_refused(lambda: prepare_warehouse(url, is_embedded=False), "permission denied", "owns it")


def test_an_empty_database_is_migrated(create: Create) -> None:
    url = create()
    prepare_warehouse(url, is_embedded=False)
    engine = connect(url)
    migrate(engine)
    engine.dispose()


def test_two_warehouses_do_not_share_dagster_s_database(create: Create) -> None:
    url = create()
    for _ in range(2):
        prepare_dagster_database(url, "horror")
    assert_refused(lambda: prepare_dagster_database(url, "other"), "'horror'", "set DAGSTER_DATABASE_URL")


def test_a_warehouse_is_not_dagster_s_database_by_whatever_name_its_server_is_called(database_url: URL) -> None:
    assert_refused(lambda: prepare_dagster_database(database_url, "horror"), "warehouse", "DAGSTER_DATABASE_URL")
