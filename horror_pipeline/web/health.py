"""Whether the data can be relied on: the database answers, its schema is this version's, and its data is recent."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from importlib import resources

from sqlalchemy import Connection

from horror_pipeline.web import queries
from horror_pipeline.web.schemas import Health

MAX_AGE = timedelta(days=2)


def head_revision() -> str:
    """Return the number of this installation's newest migration, from file names like `NNNN_what_it_does.py`."""
    folder = resources.files("horror_pipeline.warehouse") / "migrations" / "versions"
    return max(entry.name[:4] for entry in folder.iterdir() if entry.name[:4].isdigit())


def check(connection: Connection, *, now: datetime, expected_version: str) -> Health:
    """Check whether the data behind a connection can be relied on.

    Args:
        connection: a read-only connection to the warehouse.
        now: the moment at which the data's age is measured.
        expected_version: the schema revision that this code was written for.
    """
    version = queries.schema_version(connection)
    health = Health(status="ok", database="ok", schema_version=version, expected_schema_version=expected_version)
    if version is None:
        return _unavailable(health, "the database was never set up; run `make run`")
    if version != expected_version:
        return _unavailable(health, f"the schema is version {version}, not {expected_version}; run `horror db upgrade`")
    newest = _newest(connection)
    if newest is None:
        return _unavailable(health, "no film has been collected yet; run `make run`")
    age = now - newest
    health.newest_data_at, health.data_age_seconds = newest, max(0, int(age.total_seconds()))
    if age > MAX_AGE:
        return _unavailable(health, f"the newest data is {age.days} days old; look at the runs in Dagster's UI")
    return health


def _unavailable(health: Health, reason: str) -> Health:
    health.status, health.reason = "unavailable", reason
    return health


def _newest(connection: Connection) -> datetime | None:
    observed = queries.newest_data_at(connection)
    day = queries.newest_snapshot_date(connection)
    snapshot = datetime.combine(day, time(), UTC) if day else None
    return max((moment for moment in (observed, snapshot) if moment), default=None)
