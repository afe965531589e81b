"""The pipeline's two databases: where they are, and whether they can be used."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from sqlalchemy import URL, Engine, text
from sqlalchemy.exc import DBAPIError

from horror_pipeline.errors import HorrorError, SettingsError, WarehouseError
from horror_pipeline.runtime import postgres
from horror_pipeline.settings import Settings, postgres_url
from horror_pipeline.warehouse import locks, schema
from horror_pipeline.warehouse.engine import opened


def given_url(settings: Settings) -> URL | None:
    """Return the warehouse's URL from the settings; None if the warehouse is in the embedded Postgres.

    `horror env` exports the embedded server's own URL as DATABASE_URL; that URL counts as unset.

    Raises:
        SettingsError: `horror env` exported DATABASE_URL for another HORROR_HOME, whose data would be overwritten.
    """
    if settings.database_url is None:
        return None
    url = postgres_url(settings.database_url.get_secret_value())
    if postgres.is_url_of(settings.horror_home, url):
        return None
    socket = Path(str(url.query.get("host", "")))
    if socket.name and postgres.is_url_of(home := socket.parent.parent, url):
        raise SettingsError(
            f"DATABASE_URL is that of the embedded Postgres in {home}, exported by `horror env`, and HORROR_HOME is "
            f"{settings.horror_home}",
            "run: unset DATABASE_URL, or open a new shell",
        )
    return url


@contextmanager
def reachable_warehouse(settings: Settings) -> Iterator[URL]:
    """Yield the warehouse's URL; if the warehouse is in the embedded Postgres, keep that server running meanwhile."""
    if url := given_url(settings):
        yield url
    else:
        with postgres.session(settings.horror_home) as embedded_url:
            yield embedded_url


def dagster_url(settings: Settings, warehouse_url: URL) -> URL:
    """Return the URL of Dagster's own storage."""
    if settings.dagster_database_url is None:
        return warehouse_url.set(database="dagster")
    return postgres_url(settings.dagster_database_url.get_secret_value())


def prepare_warehouse(url: URL, *, is_embedded: bool) -> None:
    """Migrate the warehouse if it is new or embedded; otherwise require that it is at this version's schema.

    Raises:
        WarehouseError: the warehouse cannot be used.
    """
    with opened(url) as engine:
        require_usable(engine, "movies", "DATABASE_URL")
        if is_embedded or schema.schema_revision(engine) is None:
            migrate(engine)
        else:
            schema.require_current_schema(engine)


def migrate(engine: Engine) -> None:
    """Bring the warehouse to this version's schema.

    Raises:
        WarehouseError: the login lacks rights, or the database holds tables of another program.
    """
    require_usable(engine, "movies", "DATABASE_URL")
    try:
        schema.upgrade(engine)
    except DBAPIError as error:
        reason = str(error.orig).strip().splitlines()[0]
        raise WarehouseError(
            f"cannot create the tables in database {engine.url.database!r}: {reason}",
            "set DATABASE_URL to an empty database and a user who owns it",
        ) from None


def prepare_dagster_database(url: URL, warehouse: str) -> None:
    """Create Dagster's database if it is missing and the login may create it, and reserve it for one warehouse.

    Args:
        url: Dagster's database.
        warehouse: name of the warehouse's database.

    Raises:
        HorrorError: the database does not exist and cannot be created, cannot be used, or belongs to another warehouse.
    """
    with ExitStack() as stack:
        try:
            engine = stack.enter_context(opened(url))
        except WarehouseError as error:
            _create(url, error)
            engine = stack.enter_context(opened(url))  # raises the problem again if the database existed
        require_usable(engine, "runs", "DAGSTER_DATABASE_URL")
        if schema.schema_revision(engine) is not None:
            raise WarehouseError(
                f"Dagster's database {engine.url.database!r} holds a warehouse",
                "set DAGSTER_DATABASE_URL to another database",
            )
        _claim(engine, warehouse)


def _claim(engine: Engine, warehouse: str) -> None:
    """Record which warehouse the database belongs to: the runs and schedules of two warehouses must not mix."""
    with engine.begin() as connection:
        locks.hold(connection, locks.MIGRATION_LOCK)
        connection.execute(text("CREATE TABLE IF NOT EXISTS horror_warehouse (name text NOT NULL)"))
        owner = connection.scalar(text("SELECT name FROM horror_warehouse"))
        if owner is None:
            connection.execute(text("INSERT INTO horror_warehouse VALUES (:name)"), {"name": warehouse})
        elif owner != warehouse:
            raise WarehouseError(
                f"Dagster's database {engine.url.database!r} is that of the warehouse {owner!r}, not of {warehouse!r}",
                "set DAGSTER_DATABASE_URL to another database; or, if the warehouse was renamed, "
                "run there: DROP TABLE horror_warehouse",
            )


def _create(url: URL, problem: WarehouseError) -> None:
    with ExitStack() as stack:
        try:
            engine = stack.enter_context(opened(url.set(database="postgres")))
        except WarehouseError:
            raise problem from None
        try:
            connection = stack.enter_context(engine.connect().execution_options(isolation_level="AUTOCOMMIT"))
            # Services that start together all find the database missing. Closing the connection releases the lock.
            connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": locks.MIGRATION_LOCK})
            exists = connection.scalar(text("SELECT 1 FROM pg_database WHERE datname = :name"), {"name": url.database})
            if not exists:
                connection.execute(text(f'CREATE DATABASE "{url.database}"'))
        except DBAPIError as error:
            raise HorrorError(
                f"cannot create Dagster's database {url.database!r} ({type(error.orig).__name__})",
                "create it, or set DAGSTER_DATABASE_URL to one that exists",
            ) from None


def require_usable(engine: Engine, table: str, variable: str) -> None:
    """Refuse a database whose encoding is not UTF-8, and a login that may not write.

    Args:
        engine: the database.
        table: a table that the pipeline writes into, once it exists.
        variable: the setting that names the database.

    Raises:
        WarehouseError: the database cannot be used.
    """
    may_write = text(
        "SELECT current_setting('server_encoding'), current_setting('transaction_read_only') = 'off' AND CASE "
        "WHEN to_regclass(:table) IS NULL THEN has_schema_privilege(coalesce(current_schema(), 'public'), 'CREATE') "
        "ELSE has_table_privilege(to_regclass(:table), 'INSERT') END"
    )
    with engine.connect() as connection:
        encoding, is_writable = connection.execute(may_write, {"table": table}).one()
    name, user = engine.url.database, engine.url.username
    if encoding != "UTF8":
        raise WarehouseError(
            f"database {name!r} has the encoding {encoding}, which cannot hold every title",
            f"create another one with ENCODING 'UTF8' TEMPLATE template0, and set {variable} to it",
        )
    if not is_writable:
        raise WarehouseError(
            f"user {user!r} may not write into database {name!r}",
            f'as its owner: GRANT ALL ON SCHEMA public TO "{user}", or set {variable} to a user who may',
        )
