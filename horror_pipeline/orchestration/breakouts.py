"""The message about a day's breakouts: films whose popularity rose by an unusual amount."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any

from horror_pipeline.orchestration.messages import Message

MOST_NAMED = 10


def message_of(day: dt.date, rows: Sequence[Mapping[str, Any]], link_base: str) -> Message:
    """Describe the breakouts of a day in one message.

    Args:
        day: the day.
        rows: the day's rows of the view `breakouts`, the most unusual first.
        link_base: address of the Dagster UI.
    """
    named = ", ".join(map(sentence, rows[:MOST_NAMED]))
    count = "1 film" if len(rows) == 1 else f"{len(rows)} films"
    return Message(
        id=f"breakouts:{day}",
        kind="breakouts",
        asset="movie_movers",
        link=f"{link_base}/assets/movie_movers",
        reason=f"on {day} {count} rose as such films rarely do: {named}",
        at=dt.datetime.combine(day, dt.time(), dt.UTC).isoformat(),
    )


def sentence(row: Mapping[str, Any]) -> str:
    """Describe a row of the view `breakouts`."""
    days = "1 day" if row["span_days"] == 1 else f"{row['span_days']} days"
    change = f"{row['popularity_before']:.1f} to {row['popularity']:.1f} in {days}"
    return f"{row['title']} ({change}, larger than {share(row['change_percentile'])} of the changes of such films)"


def share(percentile: float) -> str:
    """Format a percentile of 0 to 1, rounded down so that none below 1 becomes 100 %: 0.99996 is 99.99 %."""
    return f"{int(percentile * 10_000) / 100:g} %"
