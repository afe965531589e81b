"""The schema's version: migrating, refusing another version, and the rights of the read-only role."""

from __future__ import annotations

import logging
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, inspect, text
from sqlalchemy.exc import DBAPIError

from horror_pipeline.errors import SchemaError

LOG = logging.getLogger(__name__)


MIGRATIONS = Path(__file__).parent / "migrations"


VERSION_TABLE = "schema_version"
"""Alembic's own table, not under its default name: Dagster's storage has one of that name."""


MIGRATION_LOCK = 0x686F7201


READER = "horror_reader"


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
