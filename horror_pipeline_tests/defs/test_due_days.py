from __future__ import annotations

import datetime as dt
import json

import dagster as dg
import pytest
from sqlalchemy import Engine, insert

from horror_pipeline.defs.due_days import due_days, judge, snapshots_are_due
from horror_pipeline.warehouse.tables import movie_details
from horror_pipeline_tests.warehouse.history import ONE_DAY, put

TODAY = dt.date(2026, 11, 22)
LATE = dt.datetime(2026, 11, 22, 12, 1, tzinfo=dt.UTC)


@pytest.fixture
def known(engine: Engine) -> Engine:
    """A warehouse whose films were first read long ago."""
    row = {
        "tmdb_id": 1,
        "release_year": 2020,
        "payload": {},
        "payload_hash": "x",
        "missing_parts": [],
        "changed_at": LATE,
    }
    with engine.begin() as connection:
        connection.execute(insert(movie_details).values(**row, fetched_at=LATE - 30 * ONE_DAY))
    return engine


def test_a_backfill_of_old_days_does_not_turn_off_the_alarm_that_today_is_missing(known: Engine) -> None:
    with known.begin() as connection:
        put(connection, TODAY - ONE_DAY, {1: 1.0})
        assert judge(connection, "movie_snapshots", LATE) == (False, "2026-11-22 is due and not stored")
        for back in range(2, 9):
            put(connection, TODAY - back * ONE_DAY, {1: 1.0})
        assert not judge(connection, "movie_snapshots", LATE)[0]
        put(connection, TODAY, {1: 1.0})
        assert judge(connection, "movie_snapshots", LATE) == (True, "2026-11-22 is stored")


def test_today_is_due_from_noon_and_changes_a_day_later(known: Engine) -> None:
    with known.begin() as connection:
        put(connection, TODAY - ONE_DAY, {1: 1.0})
        assert judge(connection, "movie_snapshots", LATE - dt.timedelta(minutes=2))[0]
        assert judge(connection, "raw/movie_changes", LATE) == (False, "2026-11-21 is due and not stored")


def test_before_any_film_is_known_nothing_is_due(engine: Engine) -> None:
    with engine.begin() as connection:
        assert judge(connection, "movie_snapshots", LATE)[0]


def test_the_sensor_records_a_result_when_it_changes(known: Engine) -> None:
    cursor, recorded = None, []
    for now in (LATE, LATE + dt.timedelta(minutes=10), LATE + ONE_DAY):
        with dg.build_sensor_context(cursor=cursor) as context:
            result = due_days(context, warehouse=known, clock=lambda now=now: now)
        assert isinstance(result, dg.SensorResult)
        cursor = result.cursor
        found = [event for event in result.asset_events if isinstance(event, dg.AssetCheckEvaluation)]
        recorded.append([(event.asset_key.to_user_string(), event.passed) for event in found])
    both_fail = [("movie_snapshots", False), ("raw/movie_changes", False)]
    assert recorded == [both_fail, [], both_fail]
    assert set(json.loads(cursor or "")) == {"movie_snapshots", "raw/movie_changes"}


def test_the_check_says_the_same_in_a_run(known: Engine) -> None:
    definitions = dg.Definitions(
        asset_checks=[snapshots_are_due], resources={"warehouse": known, "clock": lambda: LATE}
    )
    job = definitions.resolve_implicit_global_asset_job_def()
    (found,) = job.execute_in_process(raise_on_error=False).get_asset_check_evaluations()
    assert (found.passed, found.description) == (False, "2026-11-22 is due and not stored")
