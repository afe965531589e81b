"""SQL of `movie_snapshots`: its monthly partitions, and a day's rows."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, exists, func, select, text

from horror_pipeline.warehouse.bulk import copy_columns, copy_upsert
from horror_pipeline.warehouse.predictions import start_of
from horror_pipeline.warehouse.tables import movie_snapshots, movies

MONTH_NAME = re.compile(r"movie_snapshots_(\d{4})_(\d{2})")


MONTHS_LOCK = 0x686F7204


DAY_LOCK = 0x686F7205


def is_partition(table_name: str) -> bool:
    """Whether a table is a month of `movie_snapshots`."""
    return MONTH_NAME.fullmatch(table_name) is not None


def ensure_months(connection: Connection, days: Iterable[dt.date]) -> list[str]:
    """Create the partitions these days fall into, where they are missing; commit soon.

    Returns:
        Names of those created.
    """
    wanted = {month_name(day): day.replace(day=1) for day in days}
    if not set(wanted) - set(months(connection)):
        return []
    connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": MONTHS_LOCK})
    missing = sorted(set(wanted) - set(months(connection)))
    for name in missing:
        first = wanted[name]
        after = (first + dt.timedelta(days=32)).replace(day=1)
        # Made first and attached then: unlike CREATE … PARTITION OF, that lets readers of other months go on.
        connection.execute(text(f"CREATE TABLE {name} (LIKE movie_snapshots INCLUDING DEFAULTS INCLUDING COMMENTS)"))
        bounds = f"FOR VALUES FROM ('{first}') TO ('{after}')"
        connection.execute(text(f"ALTER TABLE movie_snapshots ATTACH PARTITION {name} {bounds}"))
    return missing


def month_name(day: dt.date) -> str:
    """Name the month of `movie_snapshots` a day falls into."""
    return f"movie_snapshots_{day:%Y_%m}"


def months(connection: Connection) -> list[str]:
    """Names of the partitions there are, oldest first."""
    children = text(
        "SELECT relname FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid "
        "WHERE inhparent = 'movie_snapshots'::regclass ORDER BY relname"
    )
    return [name for name in connection.execute(children).scalars() if is_partition(name)]


@dataclass(frozen=True)
class DayCounts:
    """What replacing a day did, in rows."""

    rows: int
    new: int
    changed: int
    removed: int


def known_ids(connection: Connection) -> set[int]:
    """Every film in `movies`."""
    ids = connection.execute(select(func.array_agg(movies.c.tmdb_id))).scalar()  # one value: faster than rows
    return set(ids or ())


def snapshot_days(connection: Connection) -> set[dt.date]:
    """The days that have rows; the index is skipped through, not read."""
    skip = text(
        """
        WITH RECURSIVE day AS (
            SELECT min(snapshot_date) AS date FROM movie_snapshots
            UNION ALL
            SELECT (SELECT min(snapshot_date) FROM movie_snapshots WHERE snapshot_date > day.date)
            FROM day WHERE day.date IS NOT NULL
        )
        SELECT date FROM day WHERE date IS NOT NULL
        """
    )
    return set(connection.execute(skip).scalars())


_NUMBER = (
    "CASE WHEN jsonb_typeof(listed -> '{name}') = 'number' AND abs((listed ->> '{name}')::numeric) < 1e15 "
    "THEN (listed ->> '{name}')::float8 END AS {name}"
)


"""A listing's number; NULL where it is something else, or larger than any of them can be."""


def listed_on(connection: Connection, day: dt.date) -> list[Mapping[str, Any]]:
    """What the listings read on that UTC day say of known films, the latest page last.

    Returns:
        `tmdb_id`, `popularity`, `vote_count`, `vote_average`; None where the listing has no number.
    """
    numbers = ", ".join(_NUMBER.format(name=name) for name in ("id", "popularity", "vote_count", "vote_average"))
    query = text(
        f"""
        SELECT movies.tmdb_id, value.popularity, value.vote_count, value.vote_average
        FROM raw.discover_pages AS page,
             jsonb_path_query(page.payload, '$.results[*]') AS listed,
             LATERAL (SELECT {numbers}) AS value
             JOIN movies ON movies.tmdb_id = value.id
        WHERE page.fetched_at >= :start AND page.fetched_at < :start + interval '1 day'
        ORDER BY page.fetched_at, page.sweep
        """  # noqa: S608  # made of constants
    )
    return [dict(row) for row in connection.execute(query, {"start": start_of(day)}).mappings()]


def stored_day(connection: Connection, day: dt.date) -> list[Mapping[str, Any]]:
    """The day's rows as they are: `tmdb_id`, `popularity`, `vote_count`, `vote_average`, `source`."""
    table = movie_snapshots.c
    columns = (table.tmdb_id, table.popularity, table.vote_count, table.vote_average, table.source)
    rows = connection.execute(select(*columns).where(table.snapshot_date == day)).mappings()
    return [dict(row) for row in rows]


def lock_day(connection: Connection, day: dt.date) -> None:
    """Let one transaction at a time work on a day."""
    key = {"kind": DAY_LOCK, "day": day.toordinal()}
    connection.execute(text("SELECT pg_advisory_xact_lock(:kind, :day)"), key)


def replace_day(connection: Connection, day: dt.date, values: Mapping[str, Sequence[Any]]) -> DayCounts:
    """Make the day's rows these; rows that are there already and equal are left as they are.

    Args:
        connection: in a transaction that holds `lock_day`; the caller commits. The month exists (`ensure_months`).
        day: the day.
        values: all its rows, column by column.
    """
    is_empty = not connection.execute(select(exists().where(movie_snapshots.c.snapshot_date == day))).scalar()
    if is_empty:
        written = copy_columns(connection, movie_snapshots, values)
        return DayCounts(rows=written, new=written, changed=0, removed=0)
    kept = list(values["tmdb_id"])
    removal = text("DELETE FROM movie_snapshots WHERE snapshot_date = :day AND tmdb_id <> ALL(:kept)")
    removed = connection.execute(removal, {"day": day, "kept": kept}).rowcount
    rows = (dict(zip(values, row, strict=True)) for row in zip(*values.values(), strict=True))
    counts = copy_upsert(connection, movie_snapshots, rows)
    return DayCounts(rows=counts.total, new=counts.new, changed=counts.changed, removed=removed)
