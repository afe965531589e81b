from __future__ import annotations

import datetime as dt

import dagster as dg
import pytest
from sqlalchemy import Engine, insert

from horror_pipeline.defs.due_days import (
    DUE_DAY_IS_STORED,
    EVERY_DAY_IS_GOOD,
    due_days,
    judge,
    judge_days,
    snapshots_are_due,
)
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
    with dg.DagsterInstance.ephemeral() as instance:
        for now in (LATE, LATE + dt.timedelta(minutes=10), LATE + ONE_DAY):
            with dg.build_sensor_context(instance=instance, cursor=cursor) as context:
                result = due_days(context, warehouse=known, clock=lambda now=now: now)
            assert isinstance(result, dg.SensorResult)
            cursor = result.cursor
            found = [event for event in result.asset_events if isinstance(event, dg.AssetCheckEvaluation)]
            recorded.append([(event.asset_key.to_user_string(), event.check_name, event.passed) for event in found])
    both_fail = [("movie_snapshots", DUE_DAY_IS_STORED, False), ("raw/movie_changes", DUE_DAY_IS_STORED, False)]
    assert recorded == [[*both_fail, ("movie_snapshots", EVERY_DAY_IS_GOOD, True)], [], both_fail]


def test_the_check_says_the_same_in_a_run(known: Engine) -> None:
    definitions = dg.Definitions(
        asset_checks=[snapshots_are_due], resources={"warehouse": known, "clock": lambda: LATE}
    )
    job = definitions.resolve_implicit_global_asset_job_def()
    (found,) = job.execute_in_process(raise_on_error=False).get_asset_check_evaluations()
    assert (found.passed, found.description) == (False, "2026-11-22 is due and not stored")


def note(instance: dg.DagsterInstance, day: dt.date, *, passed: bool) -> None:
    """Record a result of the day's check, as a run over several days does."""

    @dg.op
    def judging(context) -> None:  # type: ignore[no-untyped-def]  # Dagster reads the annotation
        key = dg.AssetKey("movie_snapshots")
        context.log_event(dg.AssetCheckEvaluation(key, "scale_holds", passed, partition=str(day)))

    dg.GraphDefinition("work", node_defs=[judging]).to_job().execute_in_process(instance=instance)


def test_a_bad_day_stays_red_after_a_good_one_until_it_is_taken_again(known: Engine) -> None:
    bad, good = TODAY - ONE_DAY, TODAY
    with dg.DagsterInstance.ephemeral() as instance, known.begin() as connection:
        note(instance, bad, passed=False)
        assert judge_days(instance, connection)[0], "it is not stored any more"
        put(connection, bad, {1: 60.0})
        put(connection, good, {1: 1.0})
        note(instance, good, passed=True)
        assert judge_days(instance, connection) == (False, f"failed their checks: {bad}")
        note(instance, bad, passed=True)
        assert judge_days(instance, connection)[0]
