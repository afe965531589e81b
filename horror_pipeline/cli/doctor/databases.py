"""The part of `horror doctor` that looks at databases: the warehouse's and Dagster's.

What belongs here: looking. What does not: mending, and creating or changing anything; an embedded Postgres that has
data but sleeps is woken for the look and left asleep again.
"""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import URL, Engine, text

from horror_pipeline.cli.doctor.diagnosis import Finding, State, whatever_happens
from horror_pipeline.domain import READER_ROLE
from horror_pipeline.errors import SchemaError, WarehouseError
from horror_pipeline.runtime import postgres
from horror_pipeline.runtime.environment import uses_embedded
from horror_pipeline.settings import Settings, postgres_url
from horror_pipeline.warehouse import schema
from horror_pipeline.warehouse.engine import connect

MEGABYTE = 1_000_000
OLDEST_POSTGRES = 14
STALE_HOURS = 30
DAEMON_SECONDS = 60


def examine_databases(settings: Settings, now: dt.datetime) -> Iterator[Finding]:
    """Look at the warehouse's database and Dagster's.

    Args:
        settings: where they are.
        now: the present moment, UTC.
    """
    with _warehouse_url(settings) as url:
        if url is None:
            yield Finding("database", State.NOTE, "the embedded Postgres is not made yet; the first `horror run` does")
            return
        try:
            engine = connect(url)
        except WarehouseError as error:
            problem, _, remedy = str(error).rpartition("; ")
            yield Finding("database", State.FATAL, problem, remedy)
            return
        try:
            yield from _server(engine, settings)
            yield from _warehouse(engine, settings, now)
        finally:
            engine.dispose()
        yield from whatever_happens("Dagster", lambda: _dagster(settings, url, now))


@contextmanager
def _warehouse_url(settings: Settings) -> Iterator[URL | None]:
    """Where the warehouse is; None when it is an embedded one that was never made."""
    if not uses_embedded(settings):
        assert settings.database_url is not None  # noqa: S101 - for the type checker: uses_embedded saw it
        yield postgres_url(settings.database_url.get_secret_value())
    elif (settings.horror_home / "postgres").exists():
        with postgres.session(settings.horror_home) as url:
            yield url
    else:
        yield None


def _server(engine: Engine, settings: Settings) -> Iterator[Finding]:
    with engine.connect() as connection:
        number = int(connection.execute(text("SHOW server_version_num")).scalar_one())
        may_create, size = connection.execute(
            text(
                "SELECT has_database_privilege(current_database(), 'CREATE') AND has_schema_privilege('public', "
                "'CREATE'), pg_database_size(current_database())"
            )
        ).one()
        reader = connection.execute(
            text("SELECT count(*) FROM pg_roles WHERE rolname = :name"), {"name": READER_ROLE}
        ).scalar_one()
    kind = "embedded " if uses_embedded(settings) else ""
    told = f"{kind}Postgres {number // 10000}.{number % 10000}, {size / MEGABYTE:,.0f} MB in {engine.url.database!r}"
    if number // 10000 < OLDEST_POSTGRES:
        yield Finding("database", State.FATAL, told, f"use Postgres {OLDEST_POSTGRES} or newer")
    else:
        yield Finding("database", State.GOOD, told)
    if not may_create:
        told = f"user {engine.url.username!r} may not create tables in {engine.url.database!r}"
        yield Finding("rights", State.FATAL, told, f'as its owner: GRANT ALL ON DATABASE "{engine.url.database}" TO …')
    if not reader:
        told = f"role {READER_ROLE} does not exist: the dashboard reads as the pipeline's own user"
        remedy = f"as an administrator: CREATE ROLE {READER_ROLE} NOLOGIN; GRANT {READER_ROLE} TO …; horror db upgrade"
        yield Finding("rights", State.NOTE, told, remedy)
    host = engine.url.host or ""
    if "-pooler" in host or engine.url.port == 6432:
        told = "DATABASE_URL goes through a connection pooler: locks that keep two runs from TMDB at once may not hold"
        yield Finding("database", State.WARNING, told, "use the server's direct address (Neon: without -pooler)")


def _warehouse(engine: Engine, settings: Settings, now: dt.datetime) -> Iterator[Finding]:
    try:
        schema.require_current_schema(engine)
    except SchemaError as error:
        problem, _, remedy = str(error).partition("; ")
        is_new = schema.schema_revision(engine) is None
        told = "the database is empty; the first `horror run` makes its tables" if is_new else problem
        yield Finding("schema", State.NOTE if is_new else State.FATAL, told, "" if is_new else remedy)
        return
    yield Finding("schema", State.GOOD, f"at version {schema.schema_revision(engine)}")
    with engine.connect() as connection:
        is_demo = connection.execute(text("SELECT is_demo FROM data_source")).scalar()
        ages = connection.execute(
            text(
                "SELECT (SELECT count(*) FROM movies), (SELECT max(observed_at) FROM movies), "
                "(SELECT max(snapshot_date) FROM movie_snapshots), (SELECT max(predicted_at) FROM model_predictions), "
                "(SELECT min(fetched_at) FROM raw.movie_details WHERE payload IS NOT NULL)"
            )
        ).one()
    if is_demo is not None and is_demo != settings.is_demo:
        held, wanted = ("made-up", "TMDB's") if is_demo else ("TMDB's", "made-up")
        told = f"the database holds {held} films, and the settings ask for {wanted} ones"
        remedy = "horror purge --all, or another HORROR_HOME or DATABASE_URL"
        yield Finding("data", State.FATAL, told, remedy)
    yield from _ages(*ages, settings=settings, now=now)


def _ages(
    films: int,
    observed: dt.datetime | None,
    snapshot: dt.date | None,
    predicted: dt.datetime | None,
    oldest: dt.datetime | None,
    *,
    settings: Settings,
    now: dt.datetime,
) -> Iterator[Finding]:
    if observed is None:
        yield Finding("data", State.NOTE, "no films yet", "horror run")
        return
    hours = (now - observed).total_seconds() / 3600
    told = f"{films:,} films, observed {hours:,.0f} h ago; newest snapshot {snapshot}; "
    told += f"newest prediction {predicted:%Y-%m-%d %H:%M} UTC" if predicted else "no prediction yet"
    if hours > STALE_HOURS:
        yield Finding("data", State.WARNING, told, "horror run, or look in the Dagster UI for what failed")
    else:
        yield Finding("data", State.GOOD, told)
    if oldest is not None and (now - oldest).days > settings.horror_retention_days:
        told = f"the oldest document is {(now - oldest).days} days old, {settings.horror_retention_days} are allowed"
        remedy = f"horror purge --older-than {settings.horror_retention_days}; `horror up` does it daily"
        yield Finding("retention", State.WARNING, told, remedy)


# -- Dagster -----------------------------------------------------------------------------------------------------------


def _dagster(settings: Settings, warehouse: URL, now: dt.datetime) -> Iterator[Finding]:
    given = settings.dagster_database_url
    url = postgres_url(given.get_secret_value()) if given else warehouse.set(database="dagster")
    try:
        engine = connect(url)
    except WarehouseError as error:
        problem, _, remedy = str(error).rpartition("; ")
        if "does not exist" in problem and given is None:
            told = "Dagster's database is not made yet; the first `horror run` does, where the login may create it"
            yield Finding("Dagster", State.NOTE, told)
        else:
            remedy = remedy.replace("DATABASE_URL", "DAGSTER_DATABASE_URL") if given else remedy
            yield Finding("Dagster", State.FATAL, problem, remedy)
        return
    try:
        with engine.connect() as connection:
            is_made = connection.execute(text("SELECT to_regclass('daemon_heartbeats')")).scalar() is not None
    finally:
        engine.dispose()
    if is_made:
        yield from _runs_and_daemon(settings, url, now)
    else:
        yield Finding("Dagster", State.NOTE, "its database is empty; the first `horror run` makes its tables")


def _runs_and_daemon(settings: Settings, url: URL, now: dt.datetime) -> Iterator[Finding]:
    import dagster as dg

    if not (settings.dagster_home / "dagster.yaml").exists():
        yield Finding("Dagster", State.NOTE, "Dagster's home is not made yet; the first command does")
        return
    os.environ["DAGSTER_PG_URL"] = url.render_as_string(hide_password=False)
    os.environ["DAGSTER_HOME"] = str(settings.dagster_home)
    with dg.DagsterInstance.get() as instance:
        since = now - dt.timedelta(days=1)
        runs = dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE], created_after=since)
        failed = len(instance.get_run_records(runs))
        heartbeats = instance.get_daemon_heartbeats().values()
    if failed:
        remedy = "their errors are in the Dagster UI (`horror up`), under Runs"
        yield Finding("runs", State.WARNING, f"{failed} failed within the last day", remedy)
    else:
        yield Finding("runs", State.GOOD, "none failed within the last day")
    newest = max((heartbeat.timestamp for heartbeat in heartbeats), default=0.0)
    if now.timestamp() - newest < DAEMON_SECONDS:
        errors = sorted({heartbeat.daemon_type for heartbeat in heartbeats if heartbeat.errors})
        if errors:
            told = f"the daemon runs, but met errors in {', '.join(errors)}"
            yield Finding("daemon", State.WARNING, told, f"see {settings.log_dir / 'daemon.log'}")
        else:
            yield Finding("daemon", State.GOOD, "it runs, and every part of it is well")
    else:
        yield Finding("daemon", State.NOTE, "it does not run: schedules wait until `horror up`")
