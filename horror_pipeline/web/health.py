"""Whether the data can be relied on: database reachable, schema ours, data fresh.

What belongs here: that judgement, from values. What does not: HTTP.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, time, timedelta
from importlib import resources

from sqlalchemy import Connection

from horror_pipeline.web import queries
from horror_pipeline.web.schemas import Health

MAX_AGE = timedelta(days=2)

REVISION = re.compile(r"^revision(?:: *str)? *= *[\"']([^\"']+)[\"']", re.MULTILINE)
DOWN_REVISION = re.compile(r"^down_revision(?:: *[^=]+)? *= *[\"']([^\"']+)[\"']", re.MULTILINE)


def head_revision() -> str | None:
    """The newest migration of this installation, read from the migrations' text; None: there are none."""
    folder = resources.files("horror_pipeline.warehouse") / "migrations" / "versions"
    sources = [entry.read_text(encoding="utf-8") for entry in folder.iterdir() if entry.name.endswith(".py")]
    revisions = {match.group(1) for source in sources if (match := REVISION.search(source))}
    parents = {match.group(1) for source in sources if (match := DOWN_REVISION.search(source))}
    heads = revisions - parents
    return heads.pop() if len(heads) == 1 else None


def check(connection: Connection, *, now: datetime, expected_version: str | None) -> Health:
    """Judge the database behind a connection.

    Args:
        connection: read-only.
        now: the moment data age is counted to.
        expected_version: schema revision this code was written for; None: not checked.
    """
    version = queries.schema_version(connection)
    health = Health(status="ok", database="ok", schema_version=version, expected_schema_version=expected_version)
    if version is None:
        return _unavailable(health, "the database was never set up; run `make run`")
    if expected_version is not None and version != expected_version:
        return _unavailable(health, f"the schema is version {version}, not {expected_version}; run `horror db upgrade`")
    newest = _newest(connection)
    if newest is None:
        return _unavailable(health, "no film was collected yet; run `make run`")
    age = now - newest
    health.newest_data_at, health.data_age_seconds = newest, max(0, int(age.total_seconds()))
    if age > MAX_AGE:
        return _unavailable(health, f"the newest data is {age.days} days old; look at the runs in Dagster's UI")
    return health


def away(reason: str, *, expected_version: str | None) -> Health:
    """The judgement when the database does not answer."""
    return Health(status="unavailable", reason=reason, database="away", expected_schema_version=expected_version)


def _unavailable(health: Health, reason: str) -> Health:
    health.status, health.reason = "unavailable", reason
    return health


def _newest(connection: Connection) -> datetime | None:
    observed = queries.newest_data_at(connection)
    day = queries.newest_snapshot_date(connection)
    snapshot = datetime.combine(day, time(), UTC) if day else None
    return max((moment for moment in (observed, snapshot) if moment), default=None)
