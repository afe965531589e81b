"""Scores past predictions against assuming no change: errors and coverage by horizon and stage, in total and by day.

The sums of each day are kept in memory, because a past day changes only when it is collected again. At 60,000 films,
reading thirty days at once would take longer than the statement timeout allows.
"""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from datetime import date
from typing import Any

from sqlalchemy import Connection, text

from horror_pipeline.domain import Target
from horror_pipeline.web.database import read_rows

NEWEST_DAYS = 2
NEWEST_SECONDS = 30.0
PAST_SECONDS = 1_800.0

DATES = text(
    """
    SELECT CAST(day AS date)
    FROM (SELECT max(outcome_date) AS newest FROM prediction_outcomes) AS o
    CROSS JOIN LATERAL generate_series(o.newest - (:days - 1), o.newest, interval '1 day') AS day
    WHERE CAST(day AS date) = (
        SELECT min(outcome_date) FROM prediction_outcomes WHERE outcome_date >= CAST(day AS date)
    )
    ORDER BY day"""
)
"""The days that have outcomes, among `days` days up to the newest, found with one index probe per day."""


def _sums(target: Target) -> str:
    return f"""
        count({target}_error) AS {target}_count,
        coalesce(sum(abs({target}_error)), 0) AS {target}_absolute_error,
        coalesce(sum({target}_error), 0) AS {target}_error,
        count({target}_error + no_change_{target}) AS {target}_no_change_count,
        coalesce(sum(abs({target}_error + predicted_{target} - no_change_{target})), 0) AS {target}_no_change_error,
        count(*) FILTER (WHERE is_{target}_in_interval) AS {target}_inside,
        count(is_{target}_in_interval) AS {target}_intervals"""


SUMS_OF_DAY = text(
    f"SELECT horizon, stage, {_sums('popularity')}, {_sums('vote_average')} "  # noqa: S608  # constants
    "FROM prediction_outcomes WHERE outcome_date = :outcome_date GROUP BY horizon, stage ORDER BY horizon, stage"
)

Group = tuple[str, str]
"""A horizon and a stage."""

Sums = dict[Group, Counter[str]]


class DailySums:
    """Keeps the sums of each day's outcomes."""

    def __init__(self) -> None:
        self._days: dict[date, tuple[float, Sums]] = {}

    def read(self, connection: Connection, *, days: int) -> dict[date, Sums]:
        """Return the sums of each day that has outcomes, oldest first, for `days` days up to the newest outcome."""
        dates = list(connection.execute(DATES, {"days": days}).scalars())
        for position, day in enumerate(dates):
            keep_seconds = NEWEST_SECONDS if len(dates) - position <= NEWEST_DAYS else PAST_SECONDS
            kept = self._days.get(day)
            if kept is None or time.monotonic() - kept[0] > keep_seconds:
                self._days[day] = (time.monotonic(), sums_of_day(connection, day))
        return {day: self._days[day][1] for day in dates}


def sums_of_day(connection: Connection, day: date) -> Sums:
    """Sum one day's outcomes by horizon and stage. The sums of several days can be added up."""
    rows = read_rows(connection, SUMS_OF_DAY, outcome_date=day)
    return {(row.pop("horizon"), row.pop("stage")): Counter(row) for row in rows}


def total(days: Iterable[Sums]) -> Sums:
    """Add up the sums of several days."""
    totals: Sums = defaultdict(Counter)
    for sums in days:
        for group, counts in sums.items():
            totals[group].update(counts)
    return dict(sorted(totals.items()))


def scores(sums: Sums) -> list[dict[str, Any]]:
    """Turn sums into means and shares: one row per horizon and stage."""
    return [
        {"horizon": horizon, "stage": stage, **_scores("popularity", counts), **_scores("vote_average", counts)}
        for (horizon, stage), counts in sums.items()
    ]


def _scores(target: Target, sums: Mapping[str, float]) -> dict[str, Any]:
    count = int(sums[f"{target}_count"])
    return {
        f"{target}_count": count,
        f"{target}_mean_absolute_error": _share(sums[f"{target}_absolute_error"], count),
        f"{target}_no_change_mean_absolute_error": _share(
            sums[f"{target}_no_change_error"], sums[f"{target}_no_change_count"]
        ),
        f"{target}_mean_error": _share(sums[f"{target}_error"], count),
        f"{target}_coverage": _share(sums[f"{target}_inside"], sums[f"{target}_intervals"]),
    }


def _share(part: float, whole: float) -> float | None:
    return float(part) / whole if whole else None
