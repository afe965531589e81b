import datetime as dt
import zoneinfo
from collections.abc import Iterator, Sequence
from typing import Any

import dagster as dg
import pytest
from sqlalchemy import Engine, create_engine, insert

from horror_pipeline.defs.schedules import (
    ACTIVE,
    daily_catalogue,
    daily_changes,
    daily_snapshot,
    hourly_training,
)
from horror_pipeline.orchestration.missing import PARTITION, RANGE_END, RANGE_START
from horror_pipeline.warehouse import features, raw, snapshots, tables
from horror_pipeline_tests.warehouse import history

TICK = dt.datetime(2026, 11, 22, 9, tzinfo=dt.UTC)
ENDED = {
    dg.DagsterRunStatus.SUCCESS,
    dg.DagsterRunStatus.FAILURE,
    dg.DagsterRunStatus.CANCELED,
    dg.DagsterRunStatus.MANAGED,  # these two are not in use
    dg.DagsterRunStatus.SUSPENDED,
}
SCHEDULES = (daily_catalogue, daily_changes, daily_snapshot, hourly_training)


@pytest.fixture(scope="module")
def instance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.local_temp(str(tmp_path_factory.mktemp("dagster"))) as instance:
        yield instance


@pytest.fixture(autouse=True)
def _no_runs(instance: dg.DagsterInstance) -> None:
    instance.wipe()


class Clockwork:
    """Evaluates a schedule's tick as the daemon would."""

    def __init__(self, instance: dg.DagsterInstance, warehouse: Engine) -> None:
        self.instance, self.warehouse = instance, warehouse

    def tick(self, schedule: dg.ScheduleDefinition, at: dt.datetime = TICK) -> list[dg.RunRequest] | str:
        """The runs asked for, or why there are none."""
        with dg.build_schedule_context(
            self.instance, scheduled_execution_time=at, resources={"warehouse": self.warehouse}
        ) as context:
            found = schedule.evaluate_tick(context)
        return list(found.run_requests) if found.run_requests else str(found.skip_message)

    def ranges(self, schedule: dg.ScheduleDefinition, at: dt.datetime = TICK) -> list[tuple[str, str]]:
        requests = self.tick(schedule, at)
        assert not isinstance(requests, str), requests
        return [
            (one.tags.get(RANGE_START) or one.tags[PARTITION], one.tags.get(RANGE_END) or one.tags[PARTITION])
            for one in requests
        ]

    def keys(self, schedule: dg.ScheduleDefinition, at: dt.datetime = TICK) -> list[str | None]:
        requests = self.tick(schedule, at)
        assert not isinstance(requests, str), requests
        return [one.run_key for one in requests]


@pytest.fixture
def clockwork(instance: dg.DagsterInstance, engine: Engine) -> Clockwork:
    return Clockwork(instance, engine)


def start(instance: dg.DagsterInstance, job_name: str, status: dg.DagsterRunStatus) -> None:
    instance.add_run(dg.DagsterRun(job_name=job_name, status=status))


def store_days(engine: Engine, *november: int) -> None:
    days = [dt.date(2026, 11, day) for day in november]
    with engine.begin() as connection:
        snapshots.ensure_months(connection, days)
        for day in days:
            values: dict[str, Any] = {"tmdb_id": 1, "snapshot_date": day, "popularity": 1.0}
            row = values | {"popularity_percentile": 1.0, "source": "export"}
            connection.execute(insert(tables.movie_snapshots), row)


def store_film(engine: Engine, seen: dt.datetime) -> None:
    with engine.begin() as connection:
        moments = dict.fromkeys(("first_seen_at", "observed_at", "details_fetched_at"), seen)
        row = {"tmdb_id": 1, "title": "Nosferatu", "genres": ["Horror"], "is_adult": False}
        connection.execute(insert(tables.movies), row | moments)


def store_details(engine: Engine, read: dt.datetime) -> None:
    with engine.begin() as connection:
        document = {"tmdb_id": 1, "release_year": 2020, "payload": {}, "missing_parts": []}
        connection.execute(insert(tables.movie_details), document | dict.fromkeys(("fetched_at", "changed_at"), read))


def test_every_release_year_is_swept_daily_as_one_run(clockwork: Clockwork) -> None:
    assert clockwork.ranges(daily_catalogue) == [("2010", "2028")]


def test_the_new_year_is_swept_from_its_first_day(clockwork: Clockwork) -> None:
    assert clockwork.ranges(daily_catalogue, dt.datetime(2027, 1, 1, 8, 15, tzinfo=dt.UTC)) == [("2010", "2029")]


@pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda schedule: schedule.name)
def test_runs_never_overlap(instance: dg.DagsterInstance, schedule: dg.ScheduleDefinition) -> None:
    clockwork = Clockwork(instance, create_engine("postgresql+psycopg2://nobody.invalid/none"))  # is not asked
    assert set(ACTIVE) == set(dg.DagsterRunStatus) - ENDED
    # A queued run cannot be made without a code location; it is told by the same filter.
    for status in set(ACTIVE) - {dg.DagsterRunStatus.QUEUED}:
        instance.wipe()
        start(instance, schedule.job_name, status)
        assert clockwork.tick(schedule) == f"the previous {schedule.job_name} is still running"


def test_a_run_that_has_ended_holds_up_nothing(clockwork: Clockwork) -> None:
    store_film(clockwork.warehouse, TICK - dt.timedelta(days=2))
    store_details(clockwork.warehouse, TICK - dt.timedelta(days=2))
    for schedule in SCHEDULES:
        for status in ENDED:
            start(clockwork.instance, schedule.job_name, status)
        assert not isinstance(clockwork.tick(schedule), str)


@pytest.mark.parametrize(
    ("stored", "wanted"),
    [
        ((), [("2026-08-25", "2026-11-22")]),  # a new warehouse takes all that TMDB still has
        ((21,), [("2026-11-22", "2026-11-22")]),
        ((18, 19), [("2026-11-20", "2026-11-22")]),  # the machine was off for two days: their ticks never came
        ((18, 20, 21), [("2026-11-22", "2026-11-22"), ("2026-11-19", "2026-11-19")]),  # a failed day
    ],
)
def test_missed_days_of_history_are_asked_for_when_the_machine_is_back(
    clockwork: Clockwork, stored: Sequence[int], wanted: list[tuple[str, str]]
) -> None:
    store_days(clockwork.warehouse, *stored)
    assert clockwork.ranges(daily_snapshot) == wanted


def test_a_day_that_is_there_is_not_taken_again(clockwork: Clockwork) -> None:
    store_days(clockwork.warehouse, 21, 22)
    assert clockwork.tick(daily_snapshot) == "no day is missing from history"


def test_days_collected_before_the_first_ingest_was_complete_are_asked_for_again(clockwork: Clockwork) -> None:
    today = TICK.date()
    every_day = [today - dt.timedelta(days=back) for back in range(90)]
    with clockwork.warehouse.begin() as connection:
        for tmdb_id in (1, 2):
            history.add_films(connection, [tmdb_id], at=TICK)
            document: dict[str, Any] = {"tmdb_id": tmdb_id, "release_year": 2026, "payload": {}, "missing_parts": []}
            connection.execute(insert(tables.movie_details), document | {"fetched_at": TICK, "changed_at": TICK})
        for day in every_day:
            history.put(connection, day, {1: 1.0})
            snapshots.note_known_films(connection, day, 1 if day < today else 2)
    assert clockwork.ranges(daily_snapshot) == [("2026-08-25", "2026-11-21")]
    with clockwork.warehouse.begin() as connection:
        for day in every_day:
            snapshots.note_known_films(connection, day, 2)
        history.add_films(connection, [3], at=TICK + dt.timedelta(days=1))  # new at TMDB: no export of the past has it
    assert clockwork.tick(daily_snapshot) == "no day is missing from history"


def test_changes_wait_for_the_first_film(clockwork: Clockwork) -> None:
    assert "no film was ever read" in str(clockwork.tick(daily_changes))


def test_one_run_collects_the_changes_from_the_first_to_the_last_missing_day(clockwork: Clockwork) -> None:
    store_details(clockwork.warehouse, TICK - dt.timedelta(days=7))
    with clockwork.warehouse.begin() as connection:
        for day in (15, 16, 18, 21):
            raw.replace_changes(connection, dt.date(2026, 11, day), [(1, '{"results": [{"id": 1}]}')], TICK)
    assert clockwork.ranges(daily_changes) == [("2026-11-17", "2026-11-20")]


def test_training_is_skipped_while_nothing_changed_and_comes_back_when_something_did(clockwork: Clockwork) -> None:
    engine = clockwork.warehouse
    store_film(engine, TICK - dt.timedelta(days=1))
    assert not isinstance(clockwork.tick(hourly_training), str)
    with engine.begin() as connection:
        features.set_state(connection, features.PREDICTIONS_STEP, features.training_fingerprint(connection), TICK)
    assert clockwork.tick(hourly_training) == ("nothing the models learn from has changed since the last training")
    with engine.begin() as connection:
        connection.execute(tables.movies.update().values(observed_at=TICK))
    assert not isinstance(clockwork.tick(hourly_training), str)


@pytest.mark.parametrize("schedule", [daily_catalogue, daily_snapshot], ids=lambda schedule: schedule.name)
def test_the_same_tick_seen_twice_asks_for_the_same_run(clockwork: Clockwork, schedule: dg.ScheduleDefinition) -> None:
    # As after a clock set back: Dagster launches a run key once.
    assert clockwork.keys(schedule) == clockwork.keys(schedule)
    assert not set(clockwork.keys(schedule)) & set(clockwork.keys(schedule, TICK + dt.timedelta(days=1)))


def test_days_are_utc_days_wherever_the_machine_is(clockwork: Clockwork) -> None:
    # 09:30 on 22 November in Auckland is still 21 November in UTC.
    tick = dt.datetime(2026, 11, 22, 9, 30, tzinfo=zoneinfo.ZoneInfo("Pacific/Auckland"))
    assert clockwork.ranges(daily_snapshot, tick) == [("2026-08-24", "2026-11-21")]


def test_summer_time_neither_doubles_nor_drops_a_tick() -> None:
    # UTC has none: where a zone has, 02:30 comes twice in October and not at all in March.
    assert {schedule.execution_timezone for schedule in SCHEDULES} <= {None, "UTC"}


@pytest.mark.parametrize(("given", "status"), [("off", "STOPPED"), ("on", "RUNNING")])
def test_schedules_start_as_the_setting_says(monkeypatch: pytest.MonkeyPatch, given: str, status: str) -> None:
    import importlib

    from horror_pipeline.defs import schedules
    from horror_pipeline.settings import get_settings

    monkeypatch.setenv("HORROR_SCHEDULES", given)
    get_settings.cache_clear()
    try:
        assert importlib.reload(schedules).daily_catalogue.default_status.value == status
    finally:
        monkeypatch.delenv("HORROR_SCHEDULES")
        get_settings.cache_clear()
        importlib.reload(schedules)


def test_all_days_are_taken_again_on_mondays_if_films_were_found_that_have_no_past(clockwork: Clockwork) -> None:
    engine, monday = clockwork.warehouse, TICK + dt.timedelta(days=1)
    missing = [("2026-11-23", "2026-11-23"), ("2026-11-16", "2026-11-20")]
    store_days(engine, 10, 21, 22)
    store_film(engine, TICK)
    assert clockwork.ranges(daily_snapshot, monday) == missing  # the film has a past
    with engine.begin() as connection:
        connection.execute(tables.movies.update().values(tmdb_id=2))
    assert clockwork.ranges(daily_snapshot, monday) == [("2026-11-10", "2026-11-23")]
    assert clockwork.ranges(daily_snapshot, monday + dt.timedelta(days=1)) != [("2026-11-10", "2026-11-24")]
    with engine.begin() as connection:
        connection.execute(tables.movies.update().values(first_seen_at=TICK - dt.timedelta(days=8)))
    assert clockwork.ranges(daily_snapshot, monday) == missing  # it was tried a week ago
