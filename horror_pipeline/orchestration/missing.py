"""Days that are missing from history or from the collected changes, and the tags of a run over a range of days."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence

from sqlalchemy import Connection, Engine

from horror_pipeline.domain import CHANGES_REACH_DAYS, EXPORTS_REACH_DAYS
from horror_pipeline.warehouse import raw, snapshots

HOLE_DAYS = 7
"""A day that is missing between stored days is requested again for this many days. Later, it has most likely expired at
TMDB, and every run would fail because of it. All days since the newest stored one are requested, however many."""

PARTITION = "dagster/partition"
RANGE_START, RANGE_END = "dagster/asset_partition_range_start", "dagster/asset_partition_range_end"


def range_tags(first: str, last: str) -> dict[str, str]:
    """Return the tags that make one run of the partitions from first to last, both included."""
    return {PARTITION: first} if first == last else {RANGE_START: first, RANGE_END: last}


def range_of(tags: Mapping[str, str]) -> tuple[str, str] | None:
    """Return the first and the last partition that a run's tags name; None if they name none."""
    one = tags.get(PARTITION)
    first, last = tags.get(RANGE_START, one), tags.get(RANGE_END, one)
    return None if first is None or last is None else (first, last)


def change_days_wanted(first_read: dt.date | None, today: dt.date) -> list[dt.date]:
    """List the days whose TMDB changes should be stored: from the first read of any film's details to yesterday.

    TMDB reports only the changes of the last `CHANGES_REACH_DAYS` days, so earlier days are left out.
    """
    if first_read is None:
        return []
    start = max(first_read, today - dt.timedelta(days=CHANGES_REACH_DAYS))
    return [start + dt.timedelta(days=n) for n in range((today - start).days)]


def missing_change_days(warehouse: Engine, today: dt.date) -> tuple[str, str] | None:
    """Find the range from the first to the last day before today whose changes have yet to be collected.

    Returns:
        Two partition keys; None when no day is missing.
    """
    with warehouse.connect() as connection:
        wanted = change_days_wanted(raw.first_read_date(connection), today)
        collected = raw.collected_change_days(connection)
    missing = [str(day) for day in wanted if day not in collected]
    return (missing[0], missing[-1]) if missing else None


def snapshot_days_wanted(
    stored: set[dt.date], first_read: dt.date | None, today: dt.date, retention_days: int
) -> list[dt.date]:
    """List the days that history should hold, today included.

    In the week after films were first read, these are all days whose exports TMDB still has, so that days that failed
    in the first run are collected. Later, these are the days of the last week and all days since the newest stored one.
    Days older than the retention period or than TMDB's oldest export are always left out.

    Args:
        stored: the days that history holds.
        first_read: the day on which films were first read; None if none was.
        today: the present UTC day.
        retention_days: how long data is kept.
    """
    start = today - dt.timedelta(days=min(EXPORTS_REACH_DAYS, retention_days) - 1)
    week_ago = today - dt.timedelta(days=HOLE_DAYS)
    if stored and (first_read is None or first_read < week_ago):
        start = max(start, min(stored), min(max(stored), week_ago))
    return [start + dt.timedelta(days=n) for n in range((today - start).days + 1)]


def missing_ranges(wanted: Sequence[dt.date], stored: set[dt.date]) -> list[tuple[dt.date, dt.date]]:
    """Find the first and last day of every range of missing days, the newest range first."""
    ranges: list[tuple[dt.date, dt.date]] = []
    for day in sorted(set(wanted) - stored):
        if ranges and day - ranges[-1][1] == dt.timedelta(days=1):
            ranges[-1] = ranges[-1][0], day
        else:
            ranges.append((day, day))
    return ranges[::-1]


def days_to_take(
    connection: Connection, today: dt.date, retention_days: int, *, with_today: bool = False
) -> list[tuple[dt.date, dt.date]]:
    """Find the ranges of days that history lacks.

    In the week after films were first read, these include the days that were collected before the first ingest was
    complete. Collecting such a day again adds the films that became known later, because its export holds
    every film of that day.

    Args:
        connection: to read with.
        today: the present UTC day.
        retention_days: how long data is kept.
        with_today: collect today again as well.

    Returns:
        First and last day of each range, the newest range first.
    """
    stored, first_read = snapshots.snapshot_days(connection), raw.first_read_date(connection)
    if first_read is not None and today - first_read <= dt.timedelta(days=HOLE_DAYS):
        stored -= snapshots.days_lacking_films(connection, first_read)
    stored -= {today} if with_today else set()
    return missing_ranges(snapshot_days_wanted(stored, first_read, today, retention_days), stored)


def days_of_new_films(connection: Connection, today: dt.date) -> tuple[dt.date, dt.date] | None:
    """Return the range of all days that can be collected if films first seen in the last week lack them, else None."""
    if not snapshots.has_films_without_past(connection, today - dt.timedelta(days=7)):
        return None
    return max(min(snapshots.snapshot_days(connection)), today - dt.timedelta(days=EXPORTS_REACH_DAYS - 1)), today
