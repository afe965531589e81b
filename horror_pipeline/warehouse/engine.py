"""What every part of the warehouse stands on: connecting, the schema's version, locks, and `bulk`'s writes.

What belongs here: what is said of any table. What does not: SQL about a particular table of the pipeline; that is in
`catalogue`, `history` and `learning`.
"""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import URL, Connection, Engine, create_engine, inspect, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import DBAPIError, OperationalError, SQLAlchemyError

from horror_pipeline.errors import SchemaError, WarehouseError
from horror_pipeline.warehouse.bulk import WriteCounts, copy_columns, copy_rows, copy_upsert
from horror_pipeline.warehouse.tables import data_source

__all__ = [
    "WriteCounts",
    "claim_source",
    "connect",
    "copy_columns",
    "copy_rows",
    "copy_upsert",
    "require_current_schema",
    "schema_revision",
    "tmdb_lock",
    "upgrade",
]

LOG = logging.getLogger(__name__)

CONNECT_SECONDS = 10
MIGRATIONS = Path(__file__).parent / "migrations"
VERSION_TABLE = "schema_version"
"""Alembic's own table, not under its default name: Dagster's storage has one of that name."""

# Keys of the advisory locks; any numbers, as long as they differ.
MIGRATION_LOCK, TMDB_LOCK, SOURCE_LOCK = 0x686F7201, 0x686F7202, 0x686F7203

READER = "horror_reader"


# -- connecting --------------------------------------------------------------------------------------------------------


def connect(url: URL) -> Engine:
    """An engine whose database was reached once.

    Raises:
        WarehouseError: it cannot be reached; one line naming the host and what to check, never the password.
    """
    arguments = {"connect_timeout": CONNECT_SECONDS, "application_name": "horror_pipeline"}
    engine = create_engine(url, pool_pre_ping=True, connect_args=arguments)
    try:
        with engine.connect():
            return engine
    except SQLAlchemyError as error:
        engine.dispose()
        raise WarehouseError(_why_unreachable(url, error)) from None


def _why_unreachable(url: URL, error: SQLAlchemyError) -> str:
    host = url.host or str(url.query.get("host", "the default socket"))
    if "@" in host:  # a password with an @ in it: what looks like the host is its end
        return "DATABASE_URL holds more than one @; write an @ of the password as %40"
    reason = " ".join(str(getattr(error, "orig", error)).split())
    if url.password:
        reason = reason.replace(str(url.password), "***")
    advice = "check DATABASE_URL and that the server is running"
    if isinstance(error, OperationalError):
        for sign, better in _ADVICE.items():
            if sign in reason:
                advice = better
    place = f"{host}:{url.port}" if url.port else host
    return f"cannot use database {url.database!r} at {place}: {reason}; {advice}"


_ADVICE = {
    "password authentication failed": "check user and password in DATABASE_URL",
    "does not exist": "check the database and user named in DATABASE_URL, or create them",
    "translate host name": "check the host in DATABASE_URL and the network",
    "SSL": "check sslmode in DATABASE_URL",
    "too many": "the server has no free connection: stop other users of it, or raise its limit",
}


# -- the schema's version ----------------------------------------------------------------------------------------------


def upgrade(engine: Engine) -> None:
    """Migrate the database to this code's schema, and give `horror_reader` its rights; one process at a time.

    Raises:
        SchemaError: the database is newer than this code.
    """
    with engine.begin() as connection:
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": MIGRATION_LOCK})
        if not _refuse_newer(_revision(connection)):
            command.upgrade(_alembic(connection), "head")
        _let_reader_read(connection)


def require_current_schema(engine: Engine) -> None:
    """Refuse a database of another version than this code's.

    Raises:
        SchemaError: it is empty, older or newer; the message names what to run.
    """
    with engine.connect() as connection:
        revision = _revision(connection)
    if not _refuse_newer(revision):
        state = "is empty" if revision is None else f"is at schema version {revision}, older than this code"
        raise SchemaError(f"the database {state}; run: horror db upgrade")


def schema_revision(engine: Engine) -> str | None:
    """The database's schema version; None when it was never migrated."""
    with engine.connect() as connection:
        return _revision(connection)


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table(VERSION_TABLE):
        return None
    revision = connection.execute(text(f"SELECT version_num FROM {VERSION_TABLE}")).scalar()  # noqa: S608  # a constant
    return None if revision is None else str(revision)


def _refuse_newer(revision: str | None) -> bool:
    """Whether the revision is this code's; a revision this code does not know is refused."""
    script = ScriptDirectory.from_config(_alembic())
    if revision is not None and revision not in {known.revision for known in script.walk_revisions()}:
        raise SchemaError(
            f"the database is at schema version {revision}, which this code does not know: it was migrated by a newer "
            "version; install that version of horror-pipeline"
        )
    return revision == script.get_current_head()


def _alembic(connection: Connection | None = None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


def _let_reader_read(connection: Connection) -> None:
    """Create the role `horror_reader` and give it SELECT on what `public` holds and will hold, as far as we may."""
    steps = (
        (f"CREATE ROLE {READER} NOLOGIN", "exists"),
        (f"GRANT USAGE ON SCHEMA public TO {READER}", ""),
        (f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {READER}", ""),
        (f"ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT ON TABLES TO {READER}", ""),
        (f"GRANT {READER} TO CURRENT_USER", ""),
    )
    exists = connection.execute(text("SELECT 1 FROM pg_roles WHERE rolname = :role"), {"role": READER}).scalar()
    for statement, note in steps:
        if exists and note == "exists":
            continue
        try:
            with connection.begin_nested():
                connection.execute(text(statement))
        except DBAPIError as error:
            reason = str(error.orig).strip().splitlines()[0]
            LOG.warning(
                "the role %s could not be set up (%s; refused: %s); the dashboard then reads with the login of "
                "DATABASE_URL, in read-only transactions. An administrator may run that statement and then: "
                "horror db upgrade",
                READER,
                reason,
                statement,
            )
            return


# -- locks and the data's source ---------------------------------------------------------------------------------------


def claim_source(
    connection: Connection, is_demo: bool, api_url: str, now: dt.datetime, *, gap_min_votes: int | None = None
) -> None:
    """State where this database's data comes from, and refuse another kind of source: demo and TMDB never mix.

    Args:
        connection: in a transaction; the caller commits.
        is_demo: whether the rows about to be written come from the made-up TMDB.
        api_url: base URL they come from.
        now: the present moment, UTC.
        gap_min_votes: votes a film needs before `latest_predictions` calls it under- or over-valued; None: as it is.

    Raises:
        WarehouseError: the database holds data of the other kind; the message names what clears it.
    """
    connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": SOURCE_LOCK})
    held = connection.execute(select(data_source.c.is_demo)).scalar()
    if held is None:
        row = {"is_demo": is_demo, "api_url": api_url, "first_used_at": now}
        connection.execute(insert(data_source).values(row))
    elif held != is_demo:
        theirs, ours = ("the demo's made-up", "TMDB's") if held else ("TMDB's", "the demo's made-up")
        raise WarehouseError(
            f"this database holds {theirs} films, and {ours} would now mix with them; run: horror purge --all, "
            "or use another HORROR_HOME or DATABASE_URL"
        )
    if gap_min_votes is not None:
        changed = update(data_source).where(data_source.c.gap_min_votes != gap_min_votes)
        connection.execute(changed.values(gap_min_votes=gap_min_votes))


@contextmanager
def tmdb_lock(engine: Engine) -> Iterator[None]:
    """Hold the right to talk to TMDB: two processes with one database never double the rate of requests.

    It is the session's, so it ends with the process whatever happens to it.
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
