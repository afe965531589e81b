"""The doctor's checks of the warehouse and of Dagster's database.

A stopped embedded Postgres is started for the checks and stopped afterwards.
"""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Iterator

from sqlalchemy import URL, Engine, Row, text

from horror_pipeline.cli.doctor.diagnosis import Diagnosis, Severity, guarded
from horror_pipeline.domain import READER_ROLE
from horror_pipeline.errors import SchemaError
from horror_pipeline.runtime.databases import dagster_url, given_url, reachable_warehouse, require_usable
from horror_pipeline.settings import Settings
from horror_pipeline.warehouse import schema
from horror_pipeline.warehouse.engine import opened

MEGABYTE = 1_000_000
OLDEST_POSTGRES = 14
STALE_HOURS = 30
DAEMON_SECONDS = 60


def check_databases(settings: Settings, now: dt.datetime) -> Iterator[Diagnosis]:
    """Check the warehouse's database and Dagster's.

    Args:
        settings: where they are.
        now: the present moment, UTC.
    """
    if given_url(settings) is None and not (settings.horror_home / "postgres").exists():
        problem = "the embedded Postgres does not exist yet; `horror run` creates it"
        yield Diagnosis("database", Severity.NOTE, problem)
        return
    with reachable_warehouse(settings) as url, opened(url) as engine:
        yield from _server(engine, settings)
        yield from _warehouse(engine, settings, now)
        yield from guarded("Dagster", lambda: _dagster(engine, settings, now))


def _server(engine: Engine, settings: Settings) -> Iterator[Diagnosis]:
    name, host = engine.url.database, engine.url.host or ""
    with engine.connect() as connection:
        number, may_create, size, has_reader = connection.execute(
            text(
                "SELECT current_setting('server_version_num')::int, has_database_privilege(current_database(), "
                "'CREATE') AND has_schema_privilege('public', 'CREATE'), pg_database_size(current_database()), "
                "EXISTS (SELECT FROM pg_roles WHERE rolname = :reader)"
            ),
            {"reader": READER_ROLE},
        ).one()
    kind = "embedded " if given_url(settings) is None else ""
    problem = f"{kind}Postgres {number // 10000}.{number % 10000}, {size / MEGABYTE:,.0f} MB in {name!r}"
    if number // 10000 < OLDEST_POSTGRES:
        yield Diagnosis("database", Severity.FATAL, problem, f"use Postgres {OLDEST_POSTGRES} or newer")
    else:
        yield Diagnosis("database", Severity.GOOD, problem)
    if not may_create:
        problem = f"user {engine.url.username!r} may not create tables in {name!r}"
        yield Diagnosis("rights", Severity.FATAL, problem, f'as its owner: GRANT ALL ON DATABASE "{name}" TO …')
    else:
        require_usable(engine, "movies", "DATABASE_URL")
    if not has_reader:
        problem = f"role {READER_ROLE} does not exist: the dashboard reads as the pipeline's own user"
        remedy = f"as an administrator: CREATE ROLE {READER_ROLE} NOLOGIN; GRANT {READER_ROLE} TO …; horror db upgrade"
        yield Diagnosis("rights", Severity.NOTE, problem, remedy)
    if "-pooler" in host or engine.url.port == 6432:
        problem = "DATABASE_URL goes through a connection pooler: locks that keep two runs from TMDB may not hold"
        remedy = "use the server's direct address (Neon: without -pooler)"
        yield Diagnosis("database", Severity.WARNING, problem, remedy)


def _warehouse(engine: Engine, settings: Settings, now: dt.datetime) -> Iterator[Diagnosis]:
    revision = schema.schema_revision(engine)
    if revision is None:
        problem = "the database is empty; `horror run` creates its tables"
        yield Diagnosis("schema", Severity.NOTE, problem)
        return
    try:
        schema.require_current_schema(engine)
    except SchemaError as error:
        yield Diagnosis("schema", Severity.FATAL, error.problem, error.remedy)
        return
    yield Diagnosis("schema", Severity.GOOD, f"at version {revision}")
    with engine.connect() as connection:
        ages = connection.execute(
            text(
                "SELECT (SELECT is_demo FROM data_source) AS is_demo, (SELECT count(*) FROM movies) AS films, "
                "(SELECT max(observed_at) FROM movies) AS observed_at, "
                "(SELECT max(snapshot_date) FROM movie_snapshots) AS snapshot_date, "
                "(SELECT max(predicted_at) FROM model_predictions) AS predicted_at, "
                "(SELECT min(fetched_at) FROM raw.movie_details WHERE payload IS NOT NULL) AS oldest_fetched_at"
            )
        ).one()
    yield from _data(ages, settings, now)


def _data(ages: Row[tuple[object, ...]], settings: Settings, now: dt.datetime) -> Iterator[Diagnosis]:
    if ages.is_demo is not None and ages.is_demo != settings.is_demo:
        held, wanted = ("made-up", "TMDB's") if ages.is_demo else ("TMDB's", "made-up")
        problem = f"the database holds {held} films, and the settings ask for {wanted} ones"
        remedy = "horror purge --all, or another HORROR_HOME or DATABASE_URL"
        yield Diagnosis("data", Severity.FATAL, problem, remedy)
    if ages.observed_at is None:
        yield Diagnosis("data", Severity.NOTE, "no films yet", "horror run")
        return
    hours = (now - ages.observed_at).total_seconds() / 3600
    predicted = (
        f"newest prediction {ages.predicted_at:%Y-%m-%d %H:%M} UTC" if ages.predicted_at else "no prediction yet"
    )
    problem = f"{ages.films:,} films, observed {hours:,.0f} h ago; newest snapshot {ages.snapshot_date}; {predicted}"
    if hours > STALE_HOURS:
        remedy = "horror run, or look in the Dagster UI for what failed"
        yield Diagnosis("data", Severity.WARNING, problem, remedy)
    else:
        yield Diagnosis("data", Severity.GOOD, problem)
    days, allowed = (now - (ages.oldest_fetched_at or now)).days, settings.horror_retention_days
    if days > allowed:
        problem = f"the oldest document is {days} days old, {allowed} are allowed"
        remedy = f"horror purge --older-than {allowed}; `horror up` does it daily"
        yield Diagnosis("retention", Severity.WARNING, problem, remedy)


def _dagster(warehouse: Engine, settings: Settings, now: dt.datetime) -> Iterator[Diagnosis]:
    url = dagster_url(settings, warehouse.url)
    if settings.dagster_database_url is None:
        exists = text("SELECT EXISTS (SELECT FROM pg_database WHERE datname = :name)")
        with warehouse.connect() as connection:
            if not connection.scalar(exists, {"name": url.database}):
                problem = "Dagster's database does not exist yet; `horror run` creates it, if the login may"
                yield Diagnosis("Dagster", Severity.NOTE, problem)
                return
    setting = "DATABASE_URL" if settings.dagster_database_url is None else "DAGSTER_DATABASE_URL"
    with opened(url, setting) as engine:
        require_usable(engine, "runs", "DAGSTER_DATABASE_URL")
        with engine.connect() as connection:
            has_tables = connection.scalar(text("SELECT to_regclass('daemon_heartbeats') IS NOT NULL"))
    if has_tables and (settings.dagster_home / "dagster.yaml").exists():
        yield from _runs_and_daemon(settings, url, now)
    else:
        yield Diagnosis("Dagster", Severity.NOTE, "its database is empty; `horror run` creates its tables")


def _runs_and_daemon(settings: Settings, url: URL, now: dt.datetime) -> Iterator[Diagnosis]:
    import dagster as dg

    os.environ["DAGSTER_PG_URL"] = url.render_as_string(hide_password=False)
    os.environ["DAGSTER_HOME"] = str(settings.dagster_home)
    with dg.DagsterInstance.get() as instance:
        since = now - dt.timedelta(days=1)
        runs = dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE], created_after=since)
        failed = len(instance.get_run_records(runs))
        heartbeats = instance.get_daemon_heartbeats().values()
    if failed:
        remedy = "their errors are in the Dagster UI (`horror up`), under Runs"
        yield Diagnosis("runs", Severity.WARNING, f"{failed} failed within the last day", remedy)
    else:
        yield Diagnosis("runs", Severity.GOOD, "none failed within the last day")
    newest = max((heartbeat.timestamp for heartbeat in heartbeats), default=0.0)
    errors = sorted({heartbeat.daemon_type for heartbeat in heartbeats if heartbeat.errors})
    if now.timestamp() - newest >= DAEMON_SECONDS:
        yield Diagnosis("daemon", Severity.NOTE, "it does not run: schedules wait until `horror up`")
    elif errors:
        problem = f"the daemon runs, but reports errors in {', '.join(errors)}"
        yield Diagnosis("daemon", Severity.WARNING, problem, f"see {settings.log_dir / 'daemon.log'}")
    else:
        yield Diagnosis("daemon", Severity.GOOD, "it runs, and all its parts are well")
