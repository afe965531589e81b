"""How the web process reaches Postgres: read-only, a bounded number of calls at once, each with a deadline.

What belongs here: connecting as `horror_reader`, admission, deadlines, and turning driver errors into one sentence.
What does not: SQL of the endpoints, HTTP.

A slow database must not pile requests up. At most `connections` calls run at once; a call that finds no slot, or takes
longer than `deadline_seconds` all told, ends with `DatabaseUnavailableError`, and its socket is closed so that its thread ends too.
No more than `MAX_WAITING` calls wait for a slot.

Reading only, the role, the time zone and the timeout hold for a transaction, never for the session: behind a pooler, as
hosted servers have them, the session is shared with whoever writes. They travel with the first statement of the
transaction, in one message, as each message costs a thread its turn.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from psycopg2.extensions import TRANSACTION_STATUS_IDLE
from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import DBAPIError, ProgrammingError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from horror_pipeline.errors import WarehouseError

logger = logging.getLogger("horror_pipeline.web")

T = TypeVar("T")

READER_ROLE = "horror_reader"
OPENINGS = "openings"
SINGLE = "single_statement"
HEALTH_CONNECTIONS = 1
MAX_WAITING = 64
BUSY = "the database is too slow or too busy; try again in a moment"
QUERY_CANCELED = "57014"
INSUFFICIENT_PRIVILEGE = "42501"


class DatabaseUnavailableError(WarehouseError):
    """The database cannot answer now; the message says why and holds no credential."""


class Database:
    """A read-only database for a single event loop.

    Args:
        url: any Postgres URL; `postgres://` is taken too.
        connections: calls that run at once, and connections kept; one more is kept for health checks.
        statement_timeout_seconds: Postgres itself cancels a longer statement.
        deadline_seconds: waiting for a slot, connecting and querying together.
    """

    def __init__(
        self,
        url: str | URL,
        *,
        connections: int = 6,
        statement_timeout_seconds: float = 2.0,
        deadline_seconds: float = 2.5,
    ) -> None:
        total = connections + HEALTH_CONNECTIONS
        self._deadline = deadline_seconds
        self._waiting = 0
        self._slots = asyncio.Semaphore(connections)
        self._health_slot = asyncio.Semaphore(HEALTH_CONNECTIONS)
        self._threads = ThreadPoolExecutor(max_workers=total, thread_name_prefix="horror-web-db")
        self._engine = _engine(url, total, statement_timeout_seconds, deadline_seconds)
        self._single = self._engine.execution_options(**{SINGLE: True})

    async def run(
        self, work: Callable[[Connection], T], *, for_health: bool = False, single_statement: bool = False
    ) -> T:
        """Call `work` with a connection in a thread; all its statements see one moment.

        Args:
            work: reads.
            for_health: take the slot kept for health checks.
            single_statement: `work` executes one statement only, so that one message carries its whole transaction.
                Further statements would be as safe, but see moments of their own.

        Raises:
            DatabaseUnavailableError: no free slot in time, no connection, a statement that took too long, or another schema.
        """
        slot = self._health_slot if for_health else self._slots
        if self._waiting >= MAX_WAITING:
            raise DatabaseUnavailableError(BUSY)
        try:
            async with asyncio.timeout(self._deadline):
                await self._wait_for(slot)
                return await self._in_thread(work, slot, self._single if single_statement else self._engine)
        except TimeoutError:
            raise DatabaseUnavailableError(BUSY) from None

    async def _wait_for(self, slot: asyncio.Semaphore) -> None:
        self._waiting += 1
        try:
            await slot.acquire()
        finally:
            self._waiting -= 1

    async def _in_thread(self, work: Callable[[Connection], T], slot: asyncio.Semaphore, engine: Engine) -> T:
        call = _Call(engine, work)
        future = asyncio.get_running_loop().run_in_executor(self._threads, call.run)
        # The slot is given back when the thread is done, not when we stop waiting for it.
        future.add_done_callback(lambda done: _finish(done, slot))
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            call.abandon()
            raise

    def close(self) -> None:
        """Close every connection."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._engine.dispose()


class _Call:
    """One unit of work in a thread, which the event loop can give up on."""

    def __init__(self, engine: Engine, work: Callable[[Connection], Any]) -> None:
        self._engine = engine
        self._work = work
        self._driver_connection: Any = None
        self._is_abandoned = False

    def run(self) -> Any:
        try:
            try:
                return self._once()
            except DBAPIError as error:
                if self._is_abandoned or not error.connection_invalidated:
                    raise
                # Postgres was restarted since: the pool has been emptied, and reading twice is harmless.
                return self._once()
        except (DBAPIError, PoolTimeout) as error:
            raise DatabaseUnavailableError(_reason(error)) from None

    def _once(self) -> Any:
        with self._engine.connect() as connection:
            self._driver_connection = connection.connection.driver_connection
            return self._work(connection)

    def abandon(self) -> None:
        """Close the socket under the call: its thread fails at once instead of waiting for a server that hangs."""
        self._is_abandoned = True
        with contextlib.suppress(Exception):  # already closed: nothing to abandon
            copy = socket.socket(fileno=os.dup(self._driver_connection.fileno()))
            with copy:
                copy.shutdown(socket.SHUT_RDWR)


def _finish(done: asyncio.Future[Any], slot: asyncio.Semaphore) -> None:
    slot.release()
    if not done.cancelled():
        done.exception()  # seen, even if nobody waits any more


def _reason(error: DBAPIError | PoolTimeout) -> str:
    code = getattr(getattr(error, "orig", None), "pgcode", None)
    if code == QUERY_CANCELED:
        return "the database is too slow: a query was cancelled"
    if code == INSUFFICIENT_PRIVILEGE:
        return f"role {READER_ROLE} may not read a table; run `horror db upgrade`"
    if isinstance(error, ProgrammingError):
        return "the database lacks a table or column this version reads; run `horror db upgrade`, or `make run`"
    return "the database is away"


def _engine(url: str | URL, connections: int, statement_timeout: float, deadline: float) -> Engine:
    engine = create_engine(
        _psycopg2(url),
        isolation_level="AUTOCOMMIT",  # transactions are opened and ended below: the driver would spend messages on it
        pool_size=connections,
        max_overflow=0,
        pool_timeout=deadline,
        pool_use_lifo=True,
        pool_reset_on_return=None,
        connect_args={"connect_timeout": max(2, int(deadline)), "application_name": "horror-web"},
        hide_parameters=True,
    )
    locals_ = f"SET LOCAL statement_timeout = {int(statement_timeout * 1000)}; SET LOCAL TimeZone = 'UTC'; "
    noted: list[str] = []

    @event.listens_for(engine, "connect")
    def _note_role(connection: Any, record: Any) -> None:
        connection.autocommit = True
        role = ""
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1 FROM pg_roles WHERE rolname = %s AND pg_has_role(oid, 'MEMBER')", (READER_ROLE,))
            if cursor.fetchone():
                role = f"SET LOCAL ROLE {READER_ROLE}; "
            elif not noted:
                noted.append(READER_ROLE)
                logger.warning("this login cannot act as %s; reading with its own rights, read-only", READER_ROLE)
        # Statements sent in one message are one transaction that ends with the message; BEGIN makes it outlive that.
        record.info[OPENINGS] = {
            True: f"SET TRANSACTION READ ONLY; {locals_}{role}",
            False: f"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; {locals_}{role}",
        }

    @event.listens_for(engine, "before_cursor_execute", retval=True)
    def _open(connection: Connection, cursor: Any, statement: str, parameters: Any, *_: Any) -> tuple[str, Any]:
        if cursor.connection.get_transaction_status() == TRANSACTION_STATUS_IDLE:
            is_single = connection.get_execution_options().get(SINGLE, False)
            statement = connection.info[OPENINGS][is_single] + statement
        return statement, parameters

    @event.listens_for(engine, "reset")
    def _end(connection: Any, *_: Any) -> None:
        if connection.get_transaction_status() != TRANSACTION_STATUS_IDLE:
            with connection.cursor() as cursor:
                cursor.execute("ROLLBACK")

    return engine


def _psycopg2(url: str | URL) -> URL:
    return make_url(url).set(drivername="postgresql+psycopg2")
