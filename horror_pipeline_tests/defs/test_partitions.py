from __future__ import annotations

import datetime as dt

import dagster as dg
import pytest
from sqlalchemy import Engine

from horror_pipeline.definitions import loaded_defs
from horror_pipeline.defs.partitions import closed_days, days, last_release_year, release_years
from horror_pipeline.orchestration.missing import (
    change_days_wanted,
    missing_ranges,
    range_tags,
    snapshot_days_wanted,
)
from horror_pipeline_tests.defs.runs import Ingest
from horror_pipeline_tests.tmdb.fake import FakeTmdb

NOON = dt.datetime(2026, 11, 22, 12, tzinfo=dt.UTC)
TODAY = NOON.date()


def test_release_years_reach_two_years_ahead() -> None:
    keys = release_years.get_partition_keys(current_time=NOON)
    assert (keys[0], keys[-1], len(keys)) == ("2010", "2028", 19)
    assert str(last_release_year(TODAY)) == keys[-1]


def test_a_new_year_adds_one_release_year() -> None:
    before = release_years.get_partition_keys(current_time=dt.datetime(2026, 12, 31, 23, 59, tzinfo=dt.UTC))
    after = release_years.get_partition_keys(current_time=dt.datetime(2027, 1, 1, 0, 0, 1, tzinfo=dt.UTC))
    assert set(after) - set(before) == {"2029"}


def test_days_include_today_and_closed_days_do_not() -> None:
    assert days.get_partition_keys(current_time=NOON)[-1] == "2026-11-22"
    assert closed_days.get_partition_keys(current_time=NOON)[-1] == "2026-11-21"


PARTITIONED = [asset for asset in loaded_defs().assets or () if isinstance(asset, dg.AssetsDefinition)]
PARTITIONED = [asset for asset in PARTITIONED if asset.partitions_def is not None]
WRONG = {
    "none": ({}, "launched without a partition; launch it for one partition, or a range, from"),
    "in the future": ({"dagster/partition": "FUTURE"}, "FUTURE is no partition of"),
    "a range into the future": (range_tags("LATE", "FUTURE"), "FUTURE is no partition of"),
    "reversed": (range_tags("LATE", "EARLY"), "ends at EARLY, before it begins at LATE"),
}
NOW = dt.datetime.now(dt.UTC).date()
DAYS = {"EARLY": "2026-01-01", "LATE": str(NOW - dt.timedelta(days=1)), "FUTURE": str(NOW + dt.timedelta(days=3))}
YEARS = {"EARLY": "2020", "LATE": "2026", "FUTURE": "2099"}


@pytest.mark.parametrize(("tags", "problem"), WRONG.values(), ids=WRONG)
@pytest.mark.parametrize("asset", PARTITIONED, ids=lambda asset: asset.key.to_user_string())
def test_a_run_without_partitions_or_for_some_that_do_not_exist_fails_and_says_why(
    module_engine: Engine, asset: dg.AssetsDefinition, tags: dict[str, str], problem: str
) -> None:
    if not tags and asset.key.to_user_string() == "popularity_forecasts":
        pytest.skip("a run without a partition makes the forecasts that are missing")
    keys = DAYS if isinstance(asset.partitions_def, dg.DailyPartitionsDefinition) else YEARS
    for name, key in keys.items():
        problem = problem.replace(name, key)
    with dg.DagsterInstance.ephemeral() as instance:
        ingest = Ingest(module_engine, FakeTmdb([]), instance)
        given = {name: keys[key] for name, key in tags.items()}
        result = ingest.run(asset, tags=given, succeeds=False)
    (error,) = [event.step_failure_data for event in result.all_events if event.is_step_failure]
    assert error.user_failure_data is not None
    assert problem in (error.user_failure_data.description or "")
    assert ingest.client.stats.requests == 0


def test_nothing_is_wanted_of_changes_before_a_film_was_ever_read() -> None:
    assert change_days_wanted(None, TODAY) == []


def test_changes_are_wanted_since_the_first_read_but_no_further_back_than_tmdb_tells() -> None:
    assert change_days_wanted(dt.date(2026, 11, 20), TODAY) == [dt.date(2026, 11, 20), dt.date(2026, 11, 21)]
    wanted = change_days_wanted(dt.date(2026, 1, 1), TODAY)
    assert (wanted[0], wanted[-1], len(wanted)) == (dt.date(2026, 11, 8), dt.date(2026, 11, 21), 14)


def span(*november: int) -> set[dt.date]:
    return {dt.date(2026, 11, day) for day in november}


LONG_AGO = dt.date(2026, 1, 1)


def test_history_begins_as_far_back_as_exports_reach_and_data_is_kept() -> None:
    wanted = snapshot_days_wanted(set(), None, TODAY, 180)
    assert (len(wanted), wanted[-1]) == (90, TODAY)
    assert len(snapshot_days_wanted(set(), None, TODAY, 10)) == 10


def test_a_first_run_that_failed_for_its_oldest_days_is_completed_within_a_week() -> None:
    stored = span(*range(2, 23))
    assert len(snapshot_days_wanted(stored, dt.date(2026, 11, 15), TODAY, 180)) == 90
    assert len(snapshot_days_wanted(stored, dt.date(2026, 11, 14), TODAY, 180)) < 90


def test_days_since_the_newest_are_wanted_as_far_back_as_exports_reach() -> None:
    assert snapshot_days_wanted(span(1, 2), LONG_AGO, TODAY, 180)[0] == dt.date(2026, 11, 2)
    assert len(snapshot_days_wanted({LONG_AGO}, LONG_AGO, TODAY, 180)) == 90


def test_a_hole_is_wanted_for_a_week() -> None:
    # 10 November can no longer be had: asked for daily, it would fail daily until February
    stored = span(1, 22) | span(*range(11, 22))
    assert min(snapshot_days_wanted(stored, LONG_AGO, TODAY, 180)) == dt.date(2026, 11, 15)


def test_history_never_reaches_before_its_first_day() -> None:
    assert min(snapshot_days_wanted(span(20, 21), LONG_AGO, TODAY, 180)) == dt.date(2026, 11, 20)


def test_every_stretch_of_missing_days_is_asked_for_by_itself_the_newest_first() -> None:
    wanted = sorted(span(*range(1, 9)))
    days_of = [(first.day, last.day) for first, last in missing_ranges(wanted, span(1, 2, 4, 7))]
    assert days_of == [(8, 8), (5, 6), (3, 3)]
    assert missing_ranges(wanted, set(wanted)) == []
