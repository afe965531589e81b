"""The two partitionings: release years and UTC days.

What belongs here: partition definitions and the translation of partition keys into years and dates.
What does not: which asset uses which.
"""

from __future__ import annotations

import datetime as dt

import dagster as dg

from horror_pipeline.settings import get_settings

FIRST_DAY = "2026-01-01"
"""First day of history. Fixed, so that the partitions of yesterday are those of tomorrow."""

YEARS_AHEAD = 2

release_years = dg.TimeWindowPartitionsDefinition(
    cron_schedule="0 0 1 1 *",
    start=str(get_settings().horror_first_year),
    fmt="%Y",
    end_offset=YEARS_AHEAD + 1,  # the running year is an open window: it needs one step of its own
)
"""Release years, from `HORROR_FIRST_YEAR` to two years ahead; the last takes every later film as well."""

days = dg.DailyPartitionsDefinition(start_date=FIRST_DAY, end_offset=1)
"""UTC days, today included: what a day's id export says is final once it is out."""

closed_days = dg.DailyPartitionsDefinition(start_date=FIRST_DAY)
"""UTC days that are over: TMDB's changes of a day are complete only then."""


def years_of(context: dg.AssetExecutionContext) -> list[int]:
    """The release years this run is for, in order."""
    return sorted(int(key) for key in context.partition_keys)


def days_of(context: dg.AssetExecutionContext) -> list[dt.date]:
    """The days this run is for, in order."""
    return sorted(dt.date.fromisoformat(key) for key in context.partition_keys)


def last_release_year(today: dt.date) -> int:
    """The last partition of `release_years`: films of later years belong to it too."""
    return today.year + YEARS_AHEAD
