from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import dagster as dg
import pytest
from sqlalchemy import URL, Engine, func, select, text

from horror_pipeline.defs.retention import (
    daily_retention,
    delete_old_data,
    enforce_retention,
)
from horror_pipeline.orchestration.check_results import delete_check_results
from horror_pipeline.settings import Settings
from horror_pipeline.warehouse import bulk
from horror_pipeline.warehouse.tables import movies

DAYS = dg.DailyPartitionsDefinition("2026-01-01")


@dg.asset(partitions_def=DAYS)
def by_day() -> None:
    """A partitioned asset."""


@dg.asset
def whole() -> None:
    """An asset without partitions."""


@dg.asset(partitions_def=DAYS, check_specs=[dg.AssetCheckSpec("holds", asset="checked")])
def checked() -> dg.MaterializeResult:
    """A partitioned asset with a check."""
    return dg.MaterializeResult(check_results=[dg.AssetCheckResult(passed=True, check_name="holds")])


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


@pytest.fixture
def instance_on_postgres(tmp_path: Path, database_url: URL) -> Iterator[dg.DagsterInstance]:
    """An instance that keeps its records where the real one does; slower than a file."""
    storage = {"postgres": {"postgres_url": database_url.render_as_string(hide_password=False)}}
    with dg.DagsterInstance.local_temp(str(tmp_path), overrides={"storage": storage}) as instance:
        yield instance


def retain(engine: Engine, instance: dg.DagsterInstance, days_from_now: int) -> dg.ExecuteInProcessResult:
    """Run the job as it will run some days from now."""
    now = dt.datetime.now(dt.UTC) + dt.timedelta(days=days_from_now)
    resources: dict[str, Any] = {"warehouse": engine, "settings": Settings(_env_file=None), "clock": lambda: now}
    job = dg.Definitions(jobs=[enforce_retention], resources=resources).resolve_job_def("enforce_retention")
    return job.execute_in_process(instance=instance)


def make(instance: dg.DagsterInstance, asset: dg.AssetsDefinition, partition: str | None = None) -> str:
    return dg.materialize([asset], instance=instance, partition_key=partition).run_id


def test_old_runs_go_but_those_behind_the_newest_data_stay(engine: Engine, instance: dg.DagsterInstance) -> None:
    old = {make(instance, by_day, "2026-01-01"), make(instance, whole)}
    newest = {make(instance, by_day, "2026-01-01"), make(instance, by_day, "2026-01-02"), make(instance, whole)}

    young = retain(engine, instance, days_from_now=29).run_id
    assert {run.run_id for run in instance.get_runs()} == {young} | old | newest

    retain(engine, instance, days_from_now=31)
    left = {run.run_id for run in instance.get_runs()}
    assert newest <= left
    assert not left & old
    assert instance.get_materialized_partitions(by_day.key) == {"2026-01-01", "2026-01-02"}

    retain(engine, instance, days_from_now=181)  # the data of all has gone by then; an asset's last run always stays
    assert instance.get_materialized_partitions(by_day.key) == {"2026-01-02"}


def runs_with_results(instance: dg.DagsterInstance) -> set[str]:
    """The runs of which results of asset checks are stored."""
    with cast(Any, instance.event_log_storage).index_connection() as connection:
        return set(connection.execute(text("SELECT run_id FROM asset_check_executions")).scalars())


def test_check_results_go_but_those_of_runs_that_stay_and_the_newest_of_each_check(
    instance_on_postgres: dg.DagsterInstance,
) -> None:
    instance, now = instance_on_postgres, dt.datetime.now(dt.UTC)
    first, second, third = (make(instance, checked, f"2026-01-0{day}") for day in (1, 2, 3))
    tomorrow = now + dt.timedelta(days=1)
    delete_check_results(instance, now - dt.timedelta(days=1), set())
    assert runs_with_results(instance) == {first, second, third}
    assert (delete_check_results(instance, tomorrow, {second}) or 0) > 0
    assert runs_with_results(instance) == {second, third}
    delete_check_results(instance, tomorrow, set())
    assert runs_with_results(instance) == {third}


def test_where_all_data_went_no_asset_counts_as_made(instance: dg.DagsterInstance) -> None:
    make(instance, checked, "2026-01-01")
    run_id = make(instance, whole)
    instance.wipe_assets(instance.get_asset_keys())  # as `horror purge --all` does
    assert instance.get_materialized_partitions(checked.key) == set()
    assert instance.get_latest_materialization_event(whole.key) is None
    assert instance.get_run_by_id(run_id) is not None
    make(instance, checked, "2026-01-02")
    assert instance.get_materialized_partitions(checked.key) == {"2026-01-02"}


def test_tmdb_data_older_than_the_setting_goes(engine: Engine) -> None:
    now = dt.datetime.now(dt.UTC)
    instants = {name: now for name in ("first_seen_at", "observed_at", "details_fetched_at")}
    film = {"tmdb_id": 1, "title": "Film", "genres": ["Horror"], "is_adult": False} | instants
    count = select(func.count()).select_from(movies)
    with engine.begin() as connection:
        bulk.copy_rows(connection, movies, [film])
    for days, left in ((180, 1), (181, 0)):
        settings, then = Settings(_env_file=None), now + dt.timedelta(days=days)
        delete_old_data(dg.build_op_context(), warehouse=engine, settings=settings, clock=lambda then=then: then)
        with engine.connect() as connection:
            assert connection.execute(count).scalar() == left


def test_it_is_asked_for_once_a_day() -> None:
    when = dt.datetime(2026, 11, 22, 3, 30, tzinfo=dt.UTC)
    with dg.build_schedule_context(scheduled_execution_time=when) as context:
        request = daily_retention(context)
    assert isinstance(request, dg.RunRequest)
    assert request.run_key == "2026-11-22"
