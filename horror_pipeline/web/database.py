"""Read-only access to Postgres: a bounded number of calls at once, each with a deadline.

Every call is one read-only transaction. The role, the time zone and the statement timeout are set for the transaction
and not for the session, because behind a connection pooler the session is shared with programs that write.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from sqlalchemy import URL, Connection, TextClause, create_engine, make_url, text
from sqlalchemy.exc import DBAPIError, ProgrammingError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from horror_pipeline.domain import READER_ROLE
from horror_pipeline.errors import WarehouseError

logger = logging.getLogger("horror_pipeline.web")

T = TypeVar("T")

QUERY_CANCELED = "57014"
INSUFFICIENT_PRIVILEGE = "42501"

PREPARE_TRANSACTION = text(
    "SELECT set_config('statement_timeout', :timeout, true), set_config('TimeZone', 'UTC', true), "
    "(SELECT set_config('role', rolname, true) FROM pg_roles WHERE rolname = :role AND pg_has_role(oid, 'MEMBER'))"
)
"""Each setting ends with the transaction. The last column is NULL if this login is not a member of the role."""

DEAD_PEER_OPTIONS = {"keepalives_idle": 5, "keepalives_interval": 2, "keepalives_count": 2, "tcp_user_timeout": 10_000}
"""With these, libpq needs about ten seconds to give up on a server that vanished without closing its connections."""


def read_rows(connection: Connection, statement: str | TextClause, **values: Any) -> list[dict[str, Any]]:
    """Run a statement with the values of its parameters, and return each row as a dictionary by column."""
    clause = text(statement) if isinstance(statement, str) else statement
    return [dict(row) for row in connection.execute(clause, values).mappings()]


class DatabaseUnavailableError(WarehouseError):
    """The database cannot answer now. The message gives the reason and holds no credential."""


class Database:
    """A read-only database for a single event loop.

    Args:
        url: any Postgres URL, `postgres://` included.
        connections: calls that run at once. One further connection is reserved for health checks.
        statement_timeout_seconds: after this time, Postgres itself cancels a statement.
        deadline_seconds: limit of a whole call, including the wait for a free connection and connecting.
    """

    def __init__(
        self,
        url: str | URL,
        *,
        connections: int = 6,
        statement_timeout_seconds: float = 2.0,
        deadline_seconds: float = 2.5,
    ) -> None:
        self._deadline_seconds = deadline_seconds
        self._settings = {"timeout": f"{int(statement_timeout_seconds * 1000)}ms", "role": READER_ROLE}
        self._has_warned = False
        self._threads = ThreadPoolExecutor(connections, thread_name_prefix="horror-web-db")
        self._health_thread = ThreadPoolExecutor(1, thread_name_prefix="horror-web-health")
        self._engine = create_engine(
            make_url(url).set(drivername="postgresql+psycopg2"),
            isolation_level="REPEATABLE READ",
            execution_options={"postgresql_readonly": True},
            pool_size=connections + 1,
            max_overflow=0,
            pool_timeout=deadline_seconds,
            pool_use_lifo=True,
            connect_args={
                "connect_timeout": max(2, int(deadline_seconds)),
                "application_name": "horror-web",
                **DEAD_PEER_OPTIONS,
            },
            hide_parameters=True,
        )

    async def run(self, work: Callable[[Connection], T], *, for_health: bool = False) -> T:
        """Call `work` with a connection in a thread; all its statements read the same snapshot.

        Args:
            work: a function that reads.
            for_health: use the connection reserved for health checks.

        Raises:
            DatabaseUnavailableError: no connection became free in time, Postgres cannot be reached, a statement took
                too long, or the schema is another version's.
        """
        threads = self._health_thread if for_health else self._threads
        try:
            async with asyncio.timeout(self._deadline_seconds):
                return await asyncio.get_running_loop().run_in_executor(threads, self._call, work)
        except TimeoutError:
            raise DatabaseUnavailableError("the database is too slow or too busy", "try again in a moment") from None

    def close(self) -> None:
        """Close every connection."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._health_thread.shutdown(wait=False, cancel_futures=True)
        self._engine.dispose()

    def _call(self, work: Callable[[Connection], T]) -> T:
        try:
            try:
                return self._read(work)
            except DBAPIError as error:
                if not error.connection_invalidated:
                    raise
                # Postgres restarted and the pool has dropped its connections. Reading again is harmless.
                return self._read(work)
        except (DBAPIError, PoolTimeoutError) as error:
            raise _unavailable(error) from None

    def _read(self, work: Callable[[Connection], T]) -> T:
        with self._engine.connect() as connection:
            row = connection.execute(PREPARE_TRANSACTION, self._settings).one()
            if row[2] is None and not self._has_warned:
                self._has_warned = True
                logger.warning("this login is not a member of %s; reading with its own rights, read-only", READER_ROLE)
            return work(connection)


def _unavailable(error: DBAPIError | PoolTimeoutError) -> DatabaseUnavailableError:
    code = getattr(getattr(error, "orig", None), "pgcode", None)
    if code == QUERY_CANCELED:
        return DatabaseUnavailableError("the database is too slow: Postgres canceled a query")
    if code == INSUFFICIENT_PRIVILEGE:
        return DatabaseUnavailableError(f"the role {READER_ROLE} may not read a table", "run `horror db upgrade`")
    if isinstance(error, ProgrammingError):
        return DatabaseUnavailableError(
            "the database lacks a table or column that this version reads", "run `horror db upgrade` or `make run`"
        )
    return DatabaseUnavailableError("cannot reach the database")
