"""How past predictions held: daily sums added up to means and shares.

What belongs here: keeping a day's sums, and arithmetic on them. What does not: SQL, HTTP.

A day's outcomes are read once and kept: a past day changes only when it is collected again, as the
newest days may be.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable
from datetime import date
from typing import Any

from sqlalchemy import Connection

from horror_pipeline.web import queries

Sums = dict[str, Any]

NEWEST_DAYS = 2
NEWEST_SECONDS = 30.0
PAST_SECONDS = 1_800.0


class DailyScores:
    """Remembers the sums of each day's outcomes."""

    def __init__(self) -> None:
        self._days: dict[date, tuple[float, list[Sums]]] = {}

    def read(self, connection: Connection, *, days: int) -> dict[date, list[Sums]]:
        """Sums by horizon and stage for each day that has outcomes, oldest first."""
        dates = queries.outcome_dates(connection, days=days)
        for position, day in enumerate(dates):
            keep = NEWEST_SECONDS if len(dates) - position <= NEWEST_DAYS else PAST_SECONDS
            known = self._days.get(day)
            if known is None or time.monotonic() - known[0] > keep:
                self._days[day] = (time.monotonic(), queries.outcome_scores(connection, day))
        return {day: self._days[day][1] for day in dates}


def total(rows: Iterable[Sums]) -> list[dict[str, Any]]:
    """Add up days: one score per horizon and stage."""
    groups: dict[tuple[str, str], Sums] = defaultdict(lambda: defaultdict(int))
    for row in rows:
        group = groups[row["horizon"], row["stage"]]
        for name, value in row.items():
            if name not in ("horizon", "stage"):
                group[name] += value or 0
    return [score({"horizon": horizon, "stage": stage, **sums}) for (horizon, stage), sums in sorted(groups.items())]


def score(sums: Sums) -> dict[str, Any]:
    """Means and shares of one row of sums."""
    result: dict[str, Any] = {"horizon": sums["horizon"], "stage": sums["stage"]}
    for target in ("popularity", "vote_average"):
        count = int(sums[f"{target}_count"])
        result |= {
            f"{target}_count": count,
            f"{target}_mean_absolute_error": _share(sums[f"{target}_absolute_error"], count),
            f"{target}_mean_error": _share(sums[f"{target}_error"], count),
            f"{target}_coverage": _share(sums[f"{target}_held"], int(sums[f"{target}_intervals"])),
        }
    return result


def _share(part: Any, whole: int) -> float | None:
    return float(part) / whole if whole else None
