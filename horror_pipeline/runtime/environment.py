"""The environment of a command: HORROR_HOME, both databases ready, and the variables that say where they are."""

from __future__ import annotations

import atexit
import json
import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from sqlalchemy import URL, Connection

from horror_pipeline.errors import SettingsError
from horror_pipeline.runtime import databases, postgres
from horror_pipeline.settings import Settings, get_settings
from horror_pipeline.warehouse.engine import opened

PROJECT_ROOT = Path(__file__).resolve().parents[2]
"""The checkout: Dagster reads `pyproject.toml` here to find the code location."""

MODULE = "horror_pipeline.definitions"


@dataclass(frozen=True)
class Environment:
    """Where both databases are, once they are ready.

    Attributes:
        settings: the settings that this environment was made from.
        database_url: the warehouse.
        dagster_url: Dagster's own storage.
    """

    settings: Settings
    database_url: URL
    dagster_url: URL

    @property
    def is_embedded(self) -> bool:
        """Whether the warehouse is the embedded Postgres."""
        return databases.given_url(self.settings) is None

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """Connect to the warehouse for one transaction, which is committed at the end."""
        with opened(self.database_url) as engine, engine.begin() as connection:
            yield connection

    def variables(self) -> dict[str, str]:
        """Return the variables that Dagster's commands, its processes and `psql` need; some hold passwords."""
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
        } | {name: str(value) for name, value in {**libpq, **self._launcher()}.items() if value}

    def _launcher(self) -> dict[str, str | None]:
        """Return the variables that choose the run launcher: the daemon needs them, as its folder has no `.env`."""
        settings, broker = self.settings, self.settings.celery_broker_url
        if settings.horror_run_launcher == "default":
            return {}
        return {
            "HORROR_RUN_LAUNCHER": settings.horror_run_launcher,
            "HORROR_RUN_LAUNCHER_CONFIG": json.dumps(settings.horror_run_launcher_config),
            "CELERY_BROKER_URL": broker.get_secret_value() if broker else None,
        }


@contextmanager
def prepared(settings: Settings) -> Iterator[Environment]:
    """Make HORROR_HOME and both databases ready, export where they are to `os.environ`, and clean up at the end.

    The embedded Postgres is started if it is needed, and stopped when its last user ends. A new database gets its
    schema. An older embedded database is migrated; any other database of another version is refused.

    Raises:
        HorrorError: something could not be made ready.
    """
    make_home(settings)
    with databases.reachable_warehouse(settings) as url:
        environment = Environment(settings, url, databases.dagster_url(settings, url))
        databases.prepare_warehouse(url, is_embedded=environment.is_embedded)
        databases.prepare_dagster_database(environment.dagster_url, str(url.database))
        os.environ.update(environment.variables())
        get_settings.cache_clear()  # so that the settings are read again, with what was just exported
        yield environment


def make_home(settings: Settings) -> None:
    """Create HORROR_HOME, and Dagster's home in it.

    Raises:
        SettingsError: HORROR_HOME cannot be written.
    """
    home = settings.horror_home
    try:
        for folder in (home, settings.dagster_home, settings.log_dir):
            folder.mkdir(parents=True, exist_ok=True)
        instance_file = settings.dagster_home / "dagster.yaml"
        wanted = (PROJECT_ROOT / "dagster.yaml").read_bytes()
        if not instance_file.exists() or instance_file.read_bytes() != wanted:
            # Other processes may be reading or writing the file, so it is replaced in one step.
            new = instance_file.with_suffix(f".{os.getpid()}.new")
            new.write_bytes(wanted)
            new.replace(instance_file)
    except OSError as error:
        raise SettingsError(
            f"cannot write HORROR_HOME ({home}): {error.strerror}", "make it writable or set HORROR_HOME elsewhere"
        ) from None


@cache
def process_environment() -> Environment:
    """Prepare the environment on the first call, and release it when the process ends.

    This is for code that Dagster runs outside of a `horror` command. The process becomes a user of the embedded
    Postgres, if that is the warehouse. The last user to end stops the server, so `dg dev` leaves none behind.

    Raises:
        HorrorError: something could not be made ready; the message says what to do.
    """
    stack = ExitStack()
    environment = stack.enter_context(prepared(get_settings()))
    atexit.register(stack.close)
    return environment
