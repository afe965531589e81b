"""The figures of a week: finished runs, the accuracy of forecasts, and breakouts."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, text

from horror_pipeline.warehouse.days import start_of
from horror_pipeline.warehouse.forecasts import live_skill

BREAKOUTS = 5

_RUNS = text("""
    SELECT job_name, count(*) AS runs, count(*) FILTER (WHERE outcome = 'failure') AS failed
    FROM finished_runs WHERE ended_at >= :start AND ended_at < :end GROUP BY job_name ORDER BY job_name
""")
_BREAKOUTS = text("""
    SELECT * FROM breakouts WHERE snapshot_date >= :first AND snapshot_date < :until
    ORDER BY breakout_score DESC, tmdb_id LIMIT :limit
""")


@dataclass(frozen=True)
class Week:
    """The figures of a week.

    Attributes:
        monday: its first day, UTC.
        runs: for each job, its `job_name`, the number of finished `runs`, and how many of them `failed`.
        skill: accuracy of the live forecasts for the days of the week, by horizon in days; see `forecasts.live_skill`.
        breakouts: the most unusual rows of the view `breakouts`.
    """

    monday: dt.date
    runs: Sequence[Mapping[str, Any]]
    skill: Mapping[int, Mapping[str, Any]]
    breakouts: Sequence[Mapping[str, Any]]


def read_week(connection: Connection, monday: dt.date) -> Week:
    """Read the figures of the week that begins on a Monday."""
    until = monday + dt.timedelta(days=7)
    values = {"first": monday, "until": until, "start": start_of(monday), "end": start_of(until), "limit": BREAKOUTS}
    runs, breakouts = (
        [dict(row) for row in connection.execute(query, values).mappings()] for query in (_RUNS, _BREAKOUTS)
    )
    return Week(monday, runs, live_skill(connection, monday, until - dt.timedelta(days=1)), breakouts)
