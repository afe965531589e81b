"""A run whose process has died is marked failed, on whatever host that was; a live one never is."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import dagster as dg
import pytest
from sqlalchemy import Engine

from horror_pipeline.definitions import loaded_defs
from horror_pipeline.orchestration.liveness import SETTLE_SECONDS, executing, reap_dead_runs

STARTED = dg.DagsterRunStatus.STARTED


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


@dg.op
def nothing() -> None:
    pass


@dg.job
def job() -> None:
    nothing()


def started_run(instance: dg.DagsterInstance) -> str:
    run_id = instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTING).run_id
    event = dg.DagsterEvent(event_type_value="PIPELINE_START", job_name="job")
    instance.report_dagster_event(event, run_id)
    return run_id


def later(seconds: float = 60) -> Callable[[], float]:
    return lambda: time.time() + seconds


def reap(instance: dg.DagsterInstance, engine: Engine, seconds: float = 60, while_waiting: object = None) -> list[str]:
    def sleep(_: float) -> None:
        if callable(while_waiting):
            while_waiting()

    return reap_dead_runs(instance, engine, clock=later(seconds), sleep=sleep)


def status(instance: dg.DagsterInstance, run_id: str) -> dg.DagsterRunStatus:
    run = instance.get_run_by_id(run_id)
    assert run is not None
    return run.status


def test_a_run_that_nobody_executes_is_marked_failed(instance: dg.DagsterInstance, engine: Engine) -> None:
    run_id = started_run(instance)
    assert reap(instance, engine) == [run_id]
    assert status(instance, run_id) == dg.DagsterRunStatus.FAILURE
    assert reap(instance, engine) == []


def test_a_run_under_way_stays(instance: dg.DagsterInstance, engine: Engine) -> None:
    run_id = started_run(instance)
    with executing(engine, instance, run_id):
        assert reap(instance, engine) == []
    assert status(instance, run_id) == STARTED


@pytest.mark.parametrize("seconds", [SETTLE_SECONDS - 5, 5 - SETTLE_SECONDS], ids=["young", "clock behind"])
def test_a_run_that_has_just_started_may_be_about_to_take_its_lock(
    instance: dg.DagsterInstance, engine: Engine, seconds: float
) -> None:
    started_run(instance)
    assert reap(instance, engine, seconds) == []


def test_a_clock_two_minutes_off_hides_no_dead_run(instance: dg.DagsterInstance, engine: Engine) -> None:
    run_id = started_run(instance)
    assert reap(instance, engine, -120) == [run_id]


def test_a_run_whose_process_takes_its_lock_again_stays(instance: dg.DagsterInstance, engine: Engine) -> None:
    run_id = started_run(instance)
    taken = executing(engine, instance, run_id)
    assert reap(instance, engine, while_waiting=taken.__enter__) == []
    taken.__exit__(None, None, None)


def test_every_job_holds_the_lock_of_its_run() -> None:
    definitions = loaded_defs()
    for name in [found.name for found in definitions.resolve_all_job_defs() if not found.name.startswith("__")]:
        nodes: list[Any] = list(definitions.resolve_job_def(name).all_node_defs)
        assert any("warehouse" in node.required_resource_keys for node in nodes), name
