"""The two kinds of partitions, release years and UTC days, and their keys as years and dates."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

import dagster as dg

from horror_pipeline.orchestration.missing import range_of
from horror_pipeline.settings import get_settings

FIRST_DAY = "2026-01-01"
"""First day of history. It is fixed, so that existing partitions never disappear."""

YEARS_AHEAD = 2

release_years = dg.TimeWindowPartitionsDefinition(
    cron_schedule="0 0 1 1 *",
    start=str(get_settings().horror_first_year),
    fmt="%Y",
    end_offset=YEARS_AHEAD + 1,  # the current year is an open window and counts as one ahead
)
"""Release years, from `HORROR_FIRST_YEAR` to two years ahead. The last one also holds the films of later years."""

days = dg.DailyPartitionsDefinition(start_date=FIRST_DAY, end_offset=1)
"""UTC days, including today, because a day's id export no longer changes once TMDB has published it."""

closed_days = dg.DailyPartitionsDefinition(start_date=FIRST_DAY)
"""UTC days that are over, because TMDB's changes of a day are complete only then."""


def years_of(context: dg.AssetExecutionContext) -> list[int]:
    """Return the release years of this run, in order."""
    return [int(key) for key in _keys_of(context)]


def days_of(context: dg.AssetExecutionContext) -> list[dt.date]:
    """Return the days of this run, in order."""
    return [dt.date.fromisoformat(key) for key in _keys_of(context)]


def _keys_of(context: dg.AssetExecutionContext) -> Sequence[str]:
    """Return the partition keys that the run's tags name; Dagster does not check that they exist.

    Raises:
        Failure: the tags name no partition, one that does not exist, or a range that ends before it begins.
    """
    definition, name = context.assets_def.partitions_def, context.asset_key.to_user_string()
    assert definition is not None  # noqa: S101  # only partitioned assets call this
    keys: Sequence[str] = definition.get_partition_keys()
    remedy = f"launch it for one partition, or a range, from {keys[0]} to {keys[-1]}"
    launched = range_of(context.run.tags)
    if launched is None:
        raise dg.Failure(f"{name} was launched without a partition; {remedy}")
    first, last = launched
    if unknown := [key for key in (first, last) if key not in keys]:
        raise dg.Failure(f"{' and '.join(dict.fromkeys(unknown))} is no partition of {name}; {remedy}")
    if first > last:
        raise dg.Failure(f"the range of partitions ends at {last}, before it begins at {first}; {remedy}")
    return keys[keys.index(first) : keys.index(last) + 1]


def last_release_year(today: dt.date) -> int:
    """Return the last partition of `release_years`, which also holds the films of later years."""
    return today.year + YEARS_AHEAD
