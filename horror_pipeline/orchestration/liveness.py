"""Run health: which runs still have a process, on any host.

Dagster does not check this, so a run whose process was killed may stay "started" forever. A run's process therefore
holds a lock in the warehouse. Runs whose lock nobody holds are marked failed, and Dagster retries them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import dagster as dg
from sqlalchemy import Engine

from horror_pipeline.warehouse.run_locks import held_run, nobody_executes

SETTLE_SECONDS = 8.0
"""Runs that started less than this ago are not checked, because they may not have taken their lock yet."""

PATIENCE_SECONDS = 6.0
"""A free lock is checked again after this time, because after a restart of Postgres, retaking locks takes seconds."""


def executing(engine: Engine, instance: dg.DagsterInstance, run_id: str) -> AbstractContextManager[None]:
    """Hold the lock that shows that this process executes the run.

    If the run has been marked failed, this process is ended, because another one may execute the run's retry.
    """

    def is_wanted() -> bool:
        run = instance.get_run_by_id(run_id)
        return run is None or not run.is_finished

    return held_run(engine, run_id, is_wanted)


def reap_dead_runs(
    instance: dg.DagsterInstance,
    engine: Engine,
    *,
    clock: Callable[[], float] = time.time,
    sleep: Callable[[float], None] = time.sleep,
) -> list[str]:
    """Mark as failed every run whose process has died.

    Args:
        instance: where runs are recorded.
        engine: the warehouse, where processes hold the locks of their runs.
        clock: returns seconds since the epoch.
        sleep: waits a number of seconds.

    Returns:
        The ids of the runs marked.
    """
    suspects = [run_id for run_id in _started(instance, clock()) if _is_free(engine, run_id)]
    if not suspects:
        return []
    sleep(PATIENCE_SECONDS)
    reaped = []
    for run_id in suspects:
        with nobody_executes(engine, run_id) as is_dead:
            run = instance.get_run_by_id(run_id)
            if is_dead and run is not None and run.status == dg.DagsterRunStatus.STARTED:
                instance.report_run_failed(run, "The process of this run died before it ended; run it again.")
                reaped.append(run_id)
    return reaped


def _started(instance: dg.DagsterInstance, now: float) -> Iterator[str]:
    """Yield the ids of started runs, except those that may not have taken their lock yet."""
    for record in instance.get_run_records(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED])):
        # The start time comes from another machine, whose clock may be ahead or behind.
        if record.start_time is None or abs(now - record.start_time) >= SETTLE_SECONDS:
            yield record.dagster_run.run_id


def _is_free(engine: Engine, run_id: str) -> bool:
    with nobody_executes(engine, run_id) as is_free:
        return is_free
