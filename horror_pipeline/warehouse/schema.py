"""The schema: migrating it, refusing other versions of it, and the rights of the read-only role."""

from __future__ import annotations

import logging
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, inspect, text
from sqlalchemy.exc import DBAPIError

from horror_pipeline.domain import READER_ROLE
from horror_pipeline.errors import SchemaError
from horror_pipeline.warehouse.locks import MIGRATION_LOCK, hold

LOG = logging.getLogger(__name__)

MIGRATIONS = Path(__file__).parent / "migrations"

VERSION_TABLE = "schema_version"
"""Name of Alembic's version table; its default name is not used, because Dagster's storage uses that."""


def upgrade(engine: Engine) -> None:
    """Migrate the database to this code's schema and grant `horror_reader` its rights, under a lock.

    Raises:
        SchemaError: the database is newer than this code.
    """
    with engine.begin() as connection:
        hold(connection, MIGRATION_LOCK)
        if not _refuse_newer(_revision(connection)):
            command.upgrade(_alembic(connection), "head")
        _grant_reader(connection)


def require_current_schema(engine: Engine) -> None:
    """Refuse a database whose schema version is not this code's newest.

    Raises:
        SchemaError: the database is empty, older or newer; the remedy names the command to run.
    """
    with engine.connect() as connection:
        revision = _revision(connection)
    if not _refuse_newer(revision):
        state = "is empty" if revision is None else f"is at schema version {revision}, older than this code"
        raise SchemaError(f"the database {state}", "run: horror db upgrade")


def schema_revision(engine: Engine) -> str | None:
    """Return the database's schema version; None when it was never migrated."""
    with engine.connect() as connection:
        return _revision(connection)


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table(VERSION_TABLE):
        return None
    revision = connection.execute(text(f"SELECT version_num FROM {VERSION_TABLE}")).scalar()  # noqa: S608  # a constant
    return None if revision is None else str(revision)


def _refuse_newer(revision: str | None) -> bool:
    """Return whether the revision is this code's newest; refuse one that this code does not know."""
    script = ScriptDirectory.from_config(_alembic())
    if revision is not None and revision not in {known.revision for known in script.walk_revisions()}:
        raise SchemaError(
            f"the database is at schema version {revision}, which this code does not know: it was migrated by a newer "
            "version",
            "install that version of horror-pipeline",
        )
    return revision == script.get_current_head()


def _alembic(connection: Connection | None = None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


def _grant_reader(connection: Connection) -> None:
    """Create the role `horror_reader` and grant it SELECT on all tables of `public`; warn if that is not allowed."""
    statements = [
        f"CREATE ROLE {READER_ROLE} NOLOGIN",
        f"GRANT USAGE ON SCHEMA public TO {READER_ROLE}",
        f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {READER_ROLE}",
        f"ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT ON TABLES TO {READER_ROLE}",
        f"GRANT {READER_ROLE} TO CURRENT_USER",
    ]
    if connection.execute(text("SELECT 1 FROM pg_roles WHERE rolname = :role"), {"role": READER_ROLE}).scalar():
        del statements[0]
    for statement in statements:
        try:
            with connection.begin_nested():
                connection.execute(text(statement))
        except DBAPIError as error:
            reason = str(error.orig).strip().splitlines()[0]
            LOG.warning(
                "the role %s could not be set up (%s; refused: %s); the dashboard then reads with the login of "
                "DATABASE_URL, in read-only transactions. An administrator may run that statement and then: "
                "horror db upgrade",
                READER_ROLE,
                reason,
                statement,
            )
            return
