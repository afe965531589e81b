"""Choosing the films whose details to read now, so that few requests keep the catalog complete and recent."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, text

from horror_pipeline.domain import CHANGES_REACH_DAYS
from horror_pipeline.warehouse.raw import collected_change_days

LONGEST_GAP_DAYS = CHANGES_REACH_DAYS
"""A film is read again if the changes of more than this many closed (past) days since its last read are missing."""

NEAR_RELEASE_DAYS = 14
GONE_ASKED_AGAIN_DAYS = 7

EARLIEST_SHARE, LATEST_SHARE = 1 / 3, 2 / 3
"""A document is read again at an age between these shares of the retention. The age depends on the film's id, so that
films that were first read on the same day are not all read again on the same day."""

PLACES = 97
"""Number of different ages at which documents are read again; a prime, because ids are assigned in sequence."""


@dataclass(frozen=True)
class Due:
    """A film whose details are to be read, its release year, and the reason."""

    release_year: int
    tmdb_id: int
    reason: str


_DUE = text("""
WITH listed AS (
    SELECT release_year, tmdb_id, max(fetched_at) AS listed_at FROM raw.listed_movies
    WHERE release_year = ANY(:years) GROUP BY 1, 2
),
known AS (
    SELECT release_year, tmdb_id, fetched_at, gone_at, cardinality(missing_parts) > 0 AS is_incomplete,
           payload ->> 'release_date' AS release_date, (fetched_at AT TIME ZONE 'UTC')::date AS read_date
    FROM raw.movie_details WHERE release_year = ANY(:years)
),
changed AS (
    SELECT tmdb_id, max(change_date) AS change_date FROM raw.changed_movies
    WHERE change_date >= (SELECT min(read_date) FROM known) GROUP BY 1
),
reasons AS (
    SELECT release_year, tmdb_id, 'new' AS reason FROM listed
    WHERE NOT EXISTS (SELECT 1 FROM raw.movie_details AS other WHERE other.tmdb_id = listed.tmdb_id)
    UNION ALL
    SELECT known.release_year, known.tmdb_id, CASE
        WHEN known.gone_at IS NOT NULL THEN
            CASE WHEN listed.listed_at > known.fetched_at AND known.fetched_at < :gone_before THEN 'listed again' END
        WHEN changed.change_date >= known.read_date THEN 'changed'
        WHEN known.is_incomplete AND known.read_date < :today THEN 'incomplete'
        WHEN known.release_date BETWEEN :near_from AND :near_to AND known.read_date < :today THEN 'near release'
        WHEN known.fetched_at < :old_first - known.tmdb_id % :places * (:old_step)::interval THEN 'old'
        WHEN known.read_date <= :gap_until THEN 'gap'
    END
    FROM known LEFT JOIN listed USING (release_year, tmdb_id) LEFT JOIN changed USING (tmdb_id)
)
SELECT DISTINCT ON (tmdb_id) release_year, tmdb_id, reason FROM reasons WHERE reason IS NOT NULL
ORDER BY tmdb_id, release_year DESC
""")


def due_details(
    connection: Connection, release_years: Sequence[int], now: dt.datetime, *, retention_days: int
) -> list[Due]:
    """Return the films whose details are to be read now, each once.

    A film is due for one of these reasons: it is `new`; it `changed` on or after the day it was last read; it is
    `incomplete` or `near release` and was not read today; it is `old` (see `EARLIEST_SHARE`); it was last read before a
    `gap` in the collected changes. A gone film is due only when it is `listed again`. `retention_days` is how long a
    document may be kept.
    """
    today = now.astimezone(dt.UTC).date()
    near = dt.timedelta(days=NEAR_RELEASE_DAYS)
    retention = dt.timedelta(days=retention_days)
    rows = connection.execute(
        _DUE,
        {
            "years": list(release_years),
            "today": today,
            "near_from": (today - near).isoformat(),
            "near_to": (today + near).isoformat(),
            "old_first": now - EARLIEST_SHARE * retention,
            "old_step": (LATEST_SHARE - EARLIEST_SHARE) * retention / PLACES,
            "places": PLACES,
            "gone_before": now - dt.timedelta(days=GONE_ASKED_AGAIN_DAYS),
            "gap_until": gap_reaches(collected_change_days(connection), today) or dt.date.min,
        },
    )
    return [Due(*row) for row in rows]


def gap_reaches(collected: set[dt.date], today: dt.date) -> dt.date | None:
    """Return the newest day such that more than `LONGEST_GAP_DAYS` days from it to yesterday have no stored changes.

    Args:
        collected: closed (past) days whose changes are stored.
        today: the present day, whose changes cannot be collected yet.

    Returns:
        The day; None if the calendar has no such day.
    """
    missed = 0
    day = today
    while day > dt.date.min:
        day -= dt.timedelta(days=1)
        missed += day not in collected
        if missed > LONGEST_GAP_DAYS:
            return day
    return None
