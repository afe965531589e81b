from __future__ import annotations

import datetime as dt

from horror_pipeline.defs.automation import change_days_wanted, missing_days, snapshot_days_wanted
from horror_pipeline.defs.partitions import closed_days, days, last_release_year, release_years

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


def test_nothing_is_wanted_of_changes_before_a_film_was_ever_read() -> None:
    assert change_days_wanted(None, TODAY) == []


def test_changes_are_wanted_since_the_first_read_but_no_further_back_than_tmdb_tells() -> None:
    assert change_days_wanted(dt.date(2026, 11, 20), TODAY) == [dt.date(2026, 11, 20), dt.date(2026, 11, 21)]
    wanted = change_days_wanted(dt.date(2026, 1, 1), TODAY)
    assert (wanted[0], wanted[-1], len(wanted)) == (dt.date(2026, 11, 8), dt.date(2026, 11, 21), 14)


def test_history_begins_today_and_later_reaches_as_far_as_exports_do() -> None:
    assert snapshot_days_wanted(None, TODAY) == [TODAY]
    assert snapshot_days_wanted(dt.date(2026, 11, 20), TODAY)[0] == dt.date(2026, 11, 20)
    assert len(snapshot_days_wanted(dt.date(2026, 1, 1), TODAY)) == 90


def test_the_range_asked_for_spans_every_missing_day() -> None:
    wanted = [dt.date(2026, 11, day) for day in range(1, 8)]
    have = {dt.date(2026, 11, day) for day in (1, 2, 4, 7)}
    assert missing_days(wanted, have) == (dt.date(2026, 11, 3), dt.date(2026, 11, 6))
    assert missing_days(wanted, set(wanted)) is None
