"""What a week brought: the runs that ended, how forecasts held, and what broke out."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, text

from horror_pipeline.warehouse.days import start_of
from horror_pipeline.warehouse.views import ACCURACY_COLUMNS

BREAKOUTS = 5

_RUNS = text("""
    SELECT job_name, count(*) AS runs, count(*) FILTER (WHERE outcome = 'failure') AS failed
    FROM finished_runs WHERE ended_at >= :start AND ended_at < :end GROUP BY job_name ORDER BY job_name
""")
_FORECASTS = text(f"""
    SELECT horizon_days, {ACCURACY_COLUMNS} FROM forecast_scores
    WHERE NOT is_backtest AND target_date >= :first AND target_date < :until GROUP BY 1 ORDER BY 1
""")  # noqa: S608  # a constant
_BREAKOUTS = text("""
    SELECT * FROM breakouts WHERE snapshot_date >= :first AND snapshot_date < :until
    ORDER BY breakout_score DESC, tmdb_id LIMIT :limit
""")


@dataclass(frozen=True)
class Week:
    """A week.

    Attributes:
        monday: its first day, UTC.
        runs: `job_name`, `runs` and how many `failed`.
        forecasts: by `horizon_days`, the accuracy of the forecasts made beforehand for its days.
        breakouts: the most unusual rows of the view `breakouts`.
    """

    monday: dt.date
    runs: Sequence[Mapping[str, Any]]
    forecasts: Sequence[Mapping[str, Any]]
    breakouts: Sequence[Mapping[str, Any]]


def read_week(connection: Connection, monday: dt.date) -> Week:
    """Read the seven days from a day."""
    until = monday + dt.timedelta(days=7)
    values = {"first": monday, "until": until, "start": start_of(monday), "end": start_of(until), "limit": BREAKOUTS}
    runs, forecasts, breakouts = (
        [dict(row) for row in connection.execute(query, values).mappings()] for query in (_RUNS, _FORECASTS, _BREAKOUTS)
    )
    return Week(monday, runs, forecasts, breakouts)
