"""What a command needs before it can work: HORROR_HOME, a Postgres that answers, its schema, and Dagster's home.

What belongs here: preparing that, and the environment variables that let Dagster's own commands find it. What does
not: what the command then does.
"""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import URL, text
from sqlalchemy.exc import DBAPIError

from horror_pipeline.errors import HorrorError, SettingsError, WarehouseError
from horror_pipeline.runtime import postgres
from horror_pipeline.settings import Settings, get_settings, postgres_url
from horror_pipeline.warehouse import schema
from horror_pipeline.warehouse.engine import connect

PROJECT_ROOT = Path(__file__).resolve().parents[2]
"""The checkout: Dagster reads `pyproject.toml` here to find the code location."""

MODULE = "horror_pipeline.definitions"


@dataclass(frozen=True)
class Environment:
    """Where everything is, once it is ready.

    Attributes:
        settings: the settings it was made from.
        database_url: the warehouse.
        dagster_url: Dagster's own storage.
    """

    settings: Settings
    database_url: URL
    dagster_url: URL

    @property
    def is_embedded(self) -> bool:
        """Whether the warehouse is the embedded Postgres."""
        return uses_embedded(self.settings)

    def variables(self) -> dict[str, str]:
        """The environment variables Dagster's commands, its processes and `psql` need; some hold passwords."""
        settings, url = self.settings, self.database_url
        path = [str(Path(sys.executable).parent)]
        if self.is_embedded:
            path.append(str(postgres.binary("psql").parent))
        libpq = {
            "PGHOST": url.query.get("host") or url.host,
            "PGPORT": url.query.get("port") or url.port,
            "PGUSER": url.username,
            "PGPASSWORD": url.password,
            "PGDATABASE": url.database,
            "PGSSLMODE": url.query.get("sslmode"),
        }
        return {
            "HORROR_HOME": str(settings.horror_home),
            "DATABASE_URL": url.render_as_string(hide_password=False),
            "DAGSTER_HOME": str(settings.dagster_home),
            "DAGSTER_PG_URL": self.dagster_url.render_as_string(hide_password=False),
            "PATH": os.pathsep.join(dict.fromkeys([*path, *os.environ.get("PATH", "").split(os.pathsep)])),
        } | {name: str(value) for name, value in libpq.items() if value}

    def shell_lines(self) -> list[str]:
        """`export` lines for a POSIX shell."""
        return [f"export {name}={shlex.quote(value)}" for name, value in self.variables().items()]


@contextmanager
def prepared(settings: Settings) -> Iterator[Environment]:
    """Make everything ready, export it into this process's environment, and let go of it afterwards.

    The embedded Postgres is started if it is needed, and stopped with its last user. A new database gets its schema;
    an existing one of another version is refused, unless it is the embedded one, which is brought up to date.

    Raises:
        HorrorError: in one line, what could not be made ready and what to do.
    """
    make_home(settings)
    with _database(settings) as database_url:
        dagster_url = _dagster_url(settings, database_url)
        environment = Environment(settings, database_url, dagster_url)
        _prepare_schema(environment)
        _ensure_database(dagster_url)
        os.environ.update(environment.variables())
        get_settings.cache_clear()  # whoever reads the settings from here on finds what was just exported
        yield environment


def make_home(settings: Settings) -> None:
    """Make HORROR_HOME and Dagster's home in it.

    Raises:
        SettingsError: it cannot be written.
    """
    home = settings.horror_home
    try:
        for folder in (home, settings.dagster_home, settings.log_dir):
            folder.mkdir(parents=True, exist_ok=True)
        instance_file = settings.dagster_home / "dagster.yaml"
        wanted = (PROJECT_ROOT / "dagster.yaml").read_bytes()
        if not instance_file.exists() or instance_file.read_bytes() != wanted:
            # Another process may be reading it, or writing it too.
            new = instance_file.with_suffix(f".{os.getpid()}.new")
            new.write_bytes(wanted)
            new.replace(instance_file)
    except OSError as error:
        raise SettingsError(
            f"cannot write HORROR_HOME ({home}): {error.strerror}; make it writable or set HORROR_HOME elsewhere"
        ) from None


def uses_embedded(settings: Settings) -> bool:
    """Whether the warehouse is the embedded Postgres: no DATABASE_URL, or the one `horror env` exported for it.

    Raises:
        SettingsError: `horror env` exported it for another home: a restore here would overwrite what is there.
    """
    if settings.database_url is None:
        return True
    given = postgres_url(settings.database_url.get_secret_value())
    if postgres.is_url_of(settings.horror_home, given):
        return True
    socket = Path(str(given.query.get("host", "")))
    if socket.name and postgres.is_url_of(home := socket.parent.parent, given):
        raise SettingsError(
            f"DATABASE_URL is that of the embedded Postgres in {home}, exported by `horror env`, and HORROR_HOME is "
            f"{settings.horror_home}; run: unset DATABASE_URL, or open a new shell"
        )
    return False


@contextmanager
def _database(settings: Settings) -> Iterator[URL]:
    if uses_embedded(settings):
        with postgres.session(settings.horror_home) as url:
            yield url
    else:
        assert settings.database_url is not None  # noqa: S101 - for the type checker: uses_embedded saw it
        yield postgres_url(settings.database_url.get_secret_value())


def _dagster_url(settings: Settings, database_url: URL) -> URL:
    if settings.dagster_database_url is None:
        return database_url.set(database="dagster")
    url = postgres_url(settings.dagster_database_url.get_secret_value())
    if (url.host, url.port, url.database) == (database_url.host, database_url.port, database_url.database):
        raise SettingsError("DAGSTER_DATABASE_URL names the warehouse's own database; give Dagster another one")
    return url


def _prepare_schema(environment: Environment) -> None:
    engine = connect(environment.database_url)
    try:
        if environment.is_embedded or schema.schema_revision(engine) is None:
            schema.upgrade(engine)
        else:
            schema.require_current_schema(engine)
    finally:
        engine.dispose()


def _ensure_database(url: URL) -> None:
    """Create Dagster's database where it is missing and the login may create it."""
    try:
        connect(url).dispose()
        return
    except WarehouseError as missing:
        problem = missing
    try:
        engine = connect(url.set(database="postgres"))
    except WarehouseError:
        raise problem from None
    try:
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            # Services that start together all find it missing; it goes with the connection.
            connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": schema.MIGRATION_LOCK})
            exists = connection.scalar(text("SELECT 1 FROM pg_database WHERE datname = :name"), {"name": url.database})
            if not exists:
                connection.execute(text(f'CREATE DATABASE "{url.database}"'))
        connect(url).dispose()  # what another one made meanwhile, or the same problem again
    except DBAPIError as error:
        raise HorrorError(
            f"cannot create Dagster's database {url.database!r} ({type(error.orig).__name__}); create it, or set "
            "DAGSTER_DATABASE_URL to one that exists"
        ) from None
    finally:
        engine.dispose()


def free_disk_bytes(settings: Settings) -> int:
    """Bytes free where HORROR_HOME is."""
    folder = settings.horror_home
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free
