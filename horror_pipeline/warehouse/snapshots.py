"""SQL of `movie_snapshots`: which days are stored, and reading and replacing the rows of a day."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, exists, func, select, text

from horror_pipeline.warehouse import forecasts, partitions, tables
from horror_pipeline.warehouse.bulk import WriteCounts, copy_columns, copy_upsert
from horror_pipeline.warehouse.days import distinct_values, start_of
from horror_pipeline.warehouse.locks import SNAPSHOT_DAY_LOCK, hold
from horror_pipeline.warehouse.tables import movie_snapshots, movies


def ensure_months(connection: Connection, days: Iterable[dt.date]) -> list[str]:
    """Create the missing partitions for `days`; other processes that create some wait until the caller commits."""
    return partitions.ensure_months(connection, movie_snapshots, days)


def known_ids(connection: Connection) -> set[int]:
    """Return the ids of all films in `movies`."""
    ids = connection.execute(select(func.array_agg(movies.c.tmdb_id))).scalar()  # one value: faster than rows
    return set(ids or ())


def snapshot_days(connection: Connection) -> set[dt.date]:
    """Return the days that have rows."""
    return set(distinct_values(connection, movie_snapshots.c.snapshot_date))


def days_lacking_films(connection: Connection, first_read: dt.date) -> set[dt.date]:
    """Return the days that were collected before all films of the first ingest were known.

    Args:
        connection: to read with.
        first_read: the UTC day on which films were first read.
    """
    query = text("""
        SELECT snapshot_date FROM snapshot_days
        WHERE known_films < (SELECT count(*) FROM movies WHERE first_seen_at < :until)
    """)
    until = start_of(first_read + dt.timedelta(days=1))
    return set(connection.execute(query, {"until": until}).scalars())


def films_known(connection: Connection, first: dt.date, last: dt.date) -> int:
    """Return the sum, over the days from `first` to `last`, of the films that were known when the day was collected."""
    day = tables.snapshot_days.c.snapshot_date
    query = select(func.coalesce(func.sum(tables.snapshot_days.c.known_films), 0)).where(day.between(first, last))
    return int(connection.execute(query).scalar_one())


def films_expected(connection: Connection, day: dt.date) -> int:
    """Count the known films that were certainly on TMDB by a day.

    The count is the larger of two: the films first seen by that day, and the rows of the newest day stored up to it.
    Films that were found later are not counted, because TMDB may not have had them yet.
    """
    query = text("""
        SELECT greatest(
            (SELECT count(*) FROM movies WHERE first_seen_at < :next_day),
            (SELECT count(*) FROM movie_snapshots
             WHERE snapshot_date = (SELECT max(snapshot_date) FROM movie_snapshots WHERE snapshot_date <= :day))
        )
    """)
    next_day = start_of(day + dt.timedelta(days=1))
    return int(connection.execute(query, {"day": day, "next_day": next_day}).scalar_one())


def note_known_films(connection: Connection, day: dt.date, count: int) -> None:
    """Record how many films were known when a day was collected."""
    copy_upsert(connection, tables.snapshot_days, [{"snapshot_date": day, "known_films": count}])


def has_films_without_past(connection: Connection, since: dt.date) -> bool:
    """Whether a film first seen since a day has no snapshot from before that, although earlier days are stored."""
    query = text("""
        SELECT EXISTS (
            SELECT FROM movies WHERE first_seen_at >= :since AND NOT EXISTS (
                SELECT FROM movie_snapshots AS snapshot
                WHERE snapshot.tmdb_id = movies.tmdb_id
                  AND snapshot_date < CAST(first_seen_at AT TIME ZONE 'UTC' AS date)
            )
        ) AND EXISTS (SELECT FROM movie_snapshots WHERE snapshot_date < :since)
    """)
    return bool(connection.scalar(query, {"since": start_of(since)}))


def listed_on(connection: Connection, day: dt.date) -> list[Mapping[str, Any]]:
    """Return the values of known films in the listings that were read on a UTC day, the latest page last.

    Returns:
        `tmdb_id`, `popularity`, `vote_count`, `vote_average`; a value is None if the listing has no number for it.
    """
    query = text("""
        SELECT tmdb_id, listed.popularity, listed.vote_count, listed.vote_average
        FROM raw.listed_movies AS listed JOIN movies USING (tmdb_id)
        WHERE fetched_at >= :start AND fetched_at < :start + interval '1 day'
        ORDER BY fetched_at, sweep
    """)
    return [dict(row) for row in connection.execute(query, {"start": start_of(day)}).mappings()]


def stored_day(connection: Connection, day: dt.date) -> list[Mapping[str, Any]]:
    """Return the day's stored rows: `tmdb_id`, `popularity`, `vote_count`, `vote_average`, `source`."""
    table = movie_snapshots.c
    columns = (table.tmdb_id, table.popularity, table.vote_count, table.vote_average, table.source)
    rows = connection.execute(select(*columns).where(table.snapshot_date == day)).mappings()
    return [dict(row) for row in rows]


def lock_day(connection: Connection, day: dt.date) -> None:
    """Wait until no other transaction writes the day, and prevent others until this one ends."""
    hold(connection, SNAPSHOT_DAY_LOCK, day.toordinal())


def replace_day(connection: Connection, day: dt.date, values: Mapping[str, Sequence[Any]]) -> WriteCounts:
    """Replace the day's rows, given by column, and score the forecasts for that day; equal rows are not written again.

    The transaction must hold `lock_day`, and the day's partition must exist.
    """
    is_empty = not connection.execute(select(exists().where(movie_snapshots.c.snapshot_date == day))).scalar()
    if is_empty:
        counts = WriteCounts(copy_columns(connection, movie_snapshots, values))
    else:
        removal = text("DELETE FROM movie_snapshots WHERE snapshot_date = :day AND tmdb_id <> ALL(:kept)")
        removed = connection.execute(removal, {"day": day, "kept": list(values["tmdb_id"])}).rowcount
        rows = (dict(zip(values, row, strict=True)) for row in zip(*values.values(), strict=True))
        counts = replace(copy_upsert(connection, movie_snapshots, rows), removed=removed)
    forecasts.score_target(connection, day)
    return counts
