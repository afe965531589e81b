"""The weekly message: runs and failures, the skill of forecasts, and breakouts."""

from __future__ import annotations

import datetime as dt

from horror_pipeline.orchestration.breakouts import sentence
from horror_pipeline.orchestration.messages import Message
from horror_pipeline.warehouse.weeks import Week

DUE_AFTER = dt.timedelta(hours=12)
"""How long after a week's end its message is posted, because its last day's history has to be collected first."""


def week_due(now: dt.datetime) -> dt.date:
    """Return the Monday of the newest UTC week that ended at least `DUE_AFTER` ago."""
    day = (now.astimezone(dt.UTC) - DUE_AFTER).date()
    return day - dt.timedelta(days=day.weekday() + 7)


def message_of(week: Week, link_base: str) -> Message:
    """Describe a week in one message, whose `id` contains the week's Monday.

    Args:
        week: the week.
        link_base: address of the Dagster UI.
    """
    parts = (_runs(week), _forecasts(week), _breakouts(week))
    return Message(
        id=f"weekly_digest:{week.monday}",
        kind="weekly_digest",
        asset="",
        link=f"{link_base}/runs",
        reason=f"the week from {week.monday} to {week.monday + dt.timedelta(days=6)}: {'; '.join(parts)}",
        at=dt.datetime.combine(week.monday + dt.timedelta(days=7), dt.time(), dt.UTC).isoformat(),
    )


def _runs(week: Week) -> str:
    jobs = (
        f"{row['job_name']} {row['runs']}" + (f" ({row['failed']} failed)" if row["failed"] else "")
        for row in week.runs
    )
    return f"runs: {', '.join(jobs)}" if week.runs else "nothing ran"


def _forecasts(week: Week) -> str:
    skills = [
        f"{accuracy['skill']:+.0%} over {days} {'day' if days == 1 else 'days'}"
        for days, accuracy in week.skill.items()
        if accuracy["skill"] is not None
    ]
    return f"skill of forecasts over no change: {', '.join(skills)}" if skills else "no forecast was scored"


def _breakouts(week: Week) -> str:
    films = ", ".join(map(sentence, week.breakouts))
    return f"broke out: {films}" if week.breakouts else "no film broke out"
