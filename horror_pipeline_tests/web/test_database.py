from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import URL, Connection, Engine, text

from horror_pipeline.web.database import Database, DatabaseUnavailableError


def run(url: URL, *works: Callable[[Connection], object], **options: float) -> list[object]:
    """Run all at once against a database of its own; failures are returned."""

    async def together() -> list[object]:
        database = Database(url, **options)  # type: ignore[arg-type]
        try:
            return await asyncio.gather(*(database.run(work) for work in works), return_exceptions=True)
        finally:
            database.close()

    return asyncio.run(together())


def value(statement: str) -> Callable[[Connection], object]:
    return lambda connection: connection.execute(text(statement)).scalar()


def test_it_reads_as_horror_reader_and_cannot_write(database_url: URL) -> None:
    role, wrote, raw = run(
        database_url,
        value("SELECT current_user"),
        value("INSERT INTO data_source VALUES (true, 'x', now(), 50) RETURNING 1"),
        value("SELECT count(*) FROM raw.movie_details"),
    )

    assert role == "horror_reader"
    assert isinstance(wrote, DatabaseUnavailableError)
    assert isinstance(raw, DatabaseUnavailableError)


GUARDS = (
    "SELECT concat_ws(' ', current_user, current_setting('transaction_read_only'), current_setting('TimeZone'), "
    "current_setting('statement_timeout'))"
)

SESSION = (
    "SELECT concat_ws(' ', current_user, current_setting('default_transaction_read_only'), "
    "current_setting('TimeZone'), current_setting('statement_timeout'))"
)


def test_every_statement_is_guarded_and_the_session_stays_as_it_was(database_url: URL) -> None:
    def twice(connection: Connection) -> list[object]:
        return [value(GUARDS)(connection), value(GUARDS)(connection)]

    def session(connection: Connection) -> object:
        driver: Any = connection.connection.driver_connection
        driver.rollback()  # ends the guarded transaction: what follows is what a pooler's next client would find
        with driver.cursor() as cursor:
            cursor.execute(SESSION)
            return cursor.fetchone()[0]

    async def one_after_the_other() -> tuple[object, list[object], object]:
        database = Database(database_url, connections=1, statement_timeout_seconds=0.2)
        try:
            before = await database.run(session)
            guards = await database.run(twice)
            for broken in ("SELECT pg_sleep(5)", "SELECT nothing", "DELETE FROM movies RETURNING 1"):
                with pytest.raises(DatabaseUnavailableError):
                    await database.run(value(broken))
            return before, guards, await database.run(session)
        finally:
            database.close()

    before, guards, after = asyncio.run(one_after_the_other())
    assert guards == ["horror_reader on UTC 200ms"] * 2
    assert before == after
    assert str(after).split()[1] == "off"
    assert str(after).split()[3] == "0"


def test_statements_of_one_call_see_one_moment(database_url: URL, engine: Engine) -> None:
    def around_a_write(connection: Connection) -> tuple[object, object]:
        before = value("SELECT count(*) FROM data_source")(connection)
        with engine.begin() as writing:
            writing.execute(text("INSERT INTO data_source VALUES (true, 'x', now(), 50)"))
        return before, value("SELECT count(*) FROM data_source")(connection)

    assert run(database_url, around_a_write) == [(0, 0)]


def test_a_login_that_cannot_be_horror_reader_still_cannot_write(
    database_url: URL, engine: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    with engine.begin() as connection:
        connection.execute(text("CREATE ROLE hosted LOGIN"))
        connection.execute(text("GRANT SELECT, INSERT ON data_source TO hosted"))
    try:
        with caplog.at_level(logging.WARNING, logger="horror_pipeline.web"):
            role, wrote = run(
                database_url.set(username="hosted", password=None),
                value("SELECT current_user"),
                value("INSERT INTO data_source VALUES (true, 'x', now(), 50) RETURNING 1"),
            )
    finally:
        with engine.begin() as connection:
            connection.execute(text("DROP OWNED BY hosted"))
            connection.execute(text("DROP ROLE hosted"))

    assert role == "hosted"
    assert isinstance(wrote, DatabaseUnavailableError)
    assert caplog.messages == ["this login is not a member of horror_reader; reading with its own rights, read-only"]


def test_a_slow_database_is_given_up_in_time_and_no_call_piles_up(database_url: URL) -> None:
    started = time.monotonic()
    slow = [value("SELECT pg_sleep(5)")] * 20
    found = run(database_url, *slow, connections=2, statement_timeout_seconds=1, deadline_seconds=0.5)

    assert time.monotonic() - started < 1.5
    assert {str(error) for error in found} == {"the database is too slow or too busy; try again in a moment"}


def test_postgres_itself_cancels_a_long_statement(database_url: URL) -> None:
    [error] = run(database_url, value("SELECT pg_sleep(5)"), statement_timeout_seconds=0.1)

    assert str(error) == "the database is too slow: Postgres canceled a query"


def test_a_connection_serves_again_after_a_call_that_took_too_long(database_url: URL) -> None:
    async def one_after_the_other() -> object:
        database = Database(database_url, connections=1, statement_timeout_seconds=0.6, deadline_seconds=0.3)
        try:
            with pytest.raises(DatabaseUnavailableError):
                await database.run(value("SELECT pg_sleep(5)"))
            await asyncio.sleep(0.5)
            return await database.run(value("SELECT 7"))
        finally:
            database.close()

    assert asyncio.run(one_after_the_other()) == 7


def test_a_health_check_waits_for_no_other_call(database_url: URL) -> None:
    async def beside_a_slow_crowd() -> object:
        database = Database(database_url, connections=1, deadline_seconds=1.0)
        try:
            crowd = [asyncio.create_task(database.run(value("SELECT pg_sleep(0.8)"))) for _ in range(20)]
            await asyncio.sleep(0.1)
            started = time.monotonic()
            await database.run(value("SELECT 1"), for_health=True)
            took = time.monotonic() - started
            await asyncio.gather(*crowd, return_exceptions=True)
            return took
        finally:
            database.close()

    assert asyncio.run(beside_a_slow_crowd()) < 0.5


def test_connections_cut_by_a_restart_are_replaced_unnoticed(database_url: URL, engine: Engine) -> None:
    async def around_a_restart() -> list[object]:
        database = Database(database_url, connections=2)
        try:
            before = await database.run(value("SELECT pg_backend_pid()"))
            with engine.begin() as connection:
                connection.execute(
                    text(
                        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                        "WHERE application_name = 'horror-web' AND datname = current_database()"
                    )
                )
            return [before, await database.run(value("SELECT pg_backend_pid()"))]
        finally:
            database.close()

    before, after = asyncio.run(around_a_restart())
    assert before != after


def test_a_message_never_holds_the_password() -> None:
    [error] = run(URL.create("postgresql", "reader", "s3cret", "127.0.0.1", 1, "nowhere"), value("SELECT 1"))

    assert str(error) == "cannot reach the database"
