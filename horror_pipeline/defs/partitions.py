"""The two kinds of partitions, release years and UTC days, and their keys as years and dates."""

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
    end_offset=YEARS_AHEAD + 1,  # the current year is an open window and counts as one ahead
)
"""Release years, from `HORROR_FIRST_YEAR` to two years ahead; the last takes every later film as well."""

days = dg.DailyPartitionsDefinition(start_date=FIRST_DAY, end_offset=1)
"""UTC days, today included: a day's id export is final once TMDB has published it."""

closed_days = dg.DailyPartitionsDefinition(start_date=FIRST_DAY)
"""UTC days that are over: only then are TMDB's changes of a day complete."""


def years_of(context: dg.AssetExecutionContext) -> list[int]:
    """Return the release years of this run, in order."""
    return sorted(int(key) for key in context.partition_keys)


def days_of(context: dg.AssetExecutionContext) -> list[dt.date]:
    """Return the days of this run, in order."""
    return sorted(dt.date.fromisoformat(key) for key in context.partition_keys)


def last_release_year(today: dt.date) -> int:
    """Return the last partition of `release_years`, which also takes the films of later years."""
    return today.year + YEARS_AHEAD
