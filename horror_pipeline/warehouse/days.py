"""UTC days: the first moment of a day, the days in a table, and the limit of a day's credible popularity."""

from __future__ import annotations

import datetime as dt
from typing import TypeVar

from sqlalchemy import Column, Connection, select, text

from horror_pipeline.domain import CREDIBILITY_SAMPLE, highest_credible
from horror_pipeline.warehouse.tables import movie_snapshots

V = TypeVar("V")


def start_of(day: dt.date) -> dt.datetime:
    """Return the day's first moment, UTC."""
    return dt.datetime.combine(day, dt.time(), dt.UTC)


def distinct_values(connection: Connection, column: Column[V]) -> list[V]:
    """Return a column's distinct values in ascending order.

    The query steps from one value to the next in the column's index, so its time does not grow with the rows.
    """
    name, table = column.name, column.table
    query = text(
        f"""
        WITH RECURSIVE step (value) AS (
            SELECT min({name}) FROM {table}
            UNION ALL
            SELECT (SELECT min({name}) FROM {table} WHERE {name} > step.value) FROM step WHERE step.value IS NOT NULL
        )
        SELECT value FROM step WHERE value IS NOT NULL ORDER BY value
        """  # noqa: S608  # names of a declaration
    )
    return list(connection.execute(query).scalars())


def days_left_out(connection: Connection, column: Column[dt.date], before: dt.date, reach_days: int) -> list[dt.date]:
    """Return the days with snapshots that a column lacks, among the `reach_days` days before a day, oldest first."""
    done = set(distinct_values(connection, column))
    days = distinct_values(connection, movie_snapshots.c.snapshot_date)
    return [day for day in days if day not in done and 0 < (before - day).days <= reach_days]


def credible_popularity(connection: Connection, day: dt.date) -> float:
    """Return the limit above which a popularity of the day is not credible; no errors are computed from such values."""
    popularity = movie_snapshots.c.popularity
    largest = select(popularity).where(movie_snapshots.c.snapshot_date == day).order_by(popularity.desc())
    return highest_credible(connection.execute(largest.limit(CREDIBILITY_SAMPLE)).scalars())
