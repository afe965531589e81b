"""Advisory locks: their keys, and functions that hold them for a transaction or longer."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
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
RUN_LOCK = 0x686F7207
DATA_LOCK = 0x686F7208


def hold(connection: Connection, key: int, number: int | None = None) -> None:
    """Wait for a lock, and hold it until the transaction ends.

    Args:
        connection: in a transaction.
        key: one of this module's keys.
        number: distinguishes locks with the same key.
    """
    arguments = ":key" if number is None else ":key, :number"
    statement = text(f"SELECT pg_advisory_xact_lock({arguments})")
    connection.execute(statement, {"key": key} if number is None else {"key": key, "number": number})


@contextmanager
def kept_data(engine: Engine) -> Iterator[None]:
    """Prevent `retention.purge_all` by holding a shared lock; wait first while such a purge is under way."""
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("SELECT pg_advisory_lock_shared(:key)"), {"key": DATA_LOCK})
        try:
            yield
        finally:
            try:
                connection.execute(text("SELECT pg_advisory_unlock_shared(:key)"), {"key": DATA_LOCK})
            except DBAPIError:
                LOG.warning("lost the connection that held the lock against purges, so Postgres has released the lock")


def hold_alone(connection: Connection, key: int) -> bool:
    """Try, without waiting, to hold a lock until the transaction ends; return whether this succeeded."""
    return bool(connection.scalar(text("SELECT pg_try_advisory_xact_lock(:key)"), {"key": key}))


@contextmanager
def tmdb_lock(engine: Engine, run_id: str, say: Callable[[str], None]) -> Iterator[None]:
    """Hold the lock on TMDB, so that two processes with the same database do not double the rate of requests.

    The lock belongs to the session, so the server frees it when the process ends.

    Args:
        engine: the warehouse.
        run_id: the run that calls TMDB; runs that wait for the lock log this id.
        say: logs a line if another process holds the lock and this one has to wait.
    """
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        key = {"key": TMDB_LOCK}
        connection.execute(text("SELECT set_config('application_name', :name, false)"), {"name": f"run {run_id}"})
        if not connection.execute(text("SELECT pg_try_advisory_lock(:key)"), key).scalar():
            say(f"waiting for TMDB: {connection.scalar(_TMDB_HOLDER, key) or 'another process'} holds it")
            connection.execute(text("SELECT pg_advisory_lock(:key)"), key)
        try:
            yield
        finally:
            try:
                connection.execute(text("SELECT pg_advisory_unlock(:key)"), key)
            except DBAPIError:
                LOG.warning("lost the connection that held the lock on TMDB, so Postgres has released the lock")
            connection.invalidate()  # so that nothing else runs under the run's application name


_TMDB_HOLDER = text(
    "SELECT application_name FROM pg_locks JOIN pg_stat_activity USING (pid) "
    "WHERE locktype = 'advisory' AND granted AND classid = 0 AND objid = :key"
)
