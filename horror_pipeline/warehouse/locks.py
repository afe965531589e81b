"""Advisory locks of the database: every key, and the one lock that is held for longer than a transaction."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError

LOG = logging.getLogger(__name__)

MIGRATION_LOCK = 0x686F7201
TMDB_LOCK = 0x686F7202
SOURCE_LOCK = 0x686F7203
MONTHS_LOCK = 0x686F7204
SNAPSHOT_DAY_LOCK = 0x686F7205
FORECAST_DAY_LOCK = 0x686F7206


def hold(connection: Connection, key: int, number: int | None = None) -> None:
    """Wait for a lock, and hold it until the transaction ends.

    Args:
        connection: in a transaction.
        key: one of this module's keys.
        number: with the key, one lock for each number.
    """
    arguments = ":key" if number is None else ":key, :number"
    statement = text(f"SELECT pg_advisory_xact_lock({arguments})")
    connection.execute(statement, {"key": key} if number is None else {"key": key, "number": number})


@contextmanager
def tmdb_lock(engine: Engine) -> Iterator[None]:
    """Hold the right to talk to TMDB, so that two processes with one database never double the rate of requests.

    The lock belongs to the session, so it ends with the process, however that ends.
    """
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        key = {"key": TMDB_LOCK}
        if not connection.execute(text("SELECT pg_try_advisory_lock(:key)"), key).scalar():
            LOG.info("another process is talking to TMDB; waiting for it to finish")
            connection.execute(text("SELECT pg_advisory_lock(:key)"), key)
        try:
            yield
        finally:
            try:
                connection.execute(text("SELECT pg_advisory_unlock(:key)"), key)
            except DBAPIError:
                LOG.warning("the connection that held the lock on TMDB broke; the server has freed it")
