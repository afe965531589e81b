"""Run health: which runs still have a process, on whatever host.

Dagster does not look, so that a run whose process was killed may stay "started" for ever. A run's process therefore
holds a lock in the warehouse, and runs whose lock nobody holds are marked failed. Dagster then retries them elsewhere.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import dagster as dg
from sqlalchemy import Engine

from horror_pipeline.warehouse.run_locks import held_run, nobody_executes

SETTLE_SECONDS = 8.0
"""A run takes its lock shortly after it has started; with the patience below it has twice as long."""

PATIENCE_SECONDS = 6.0
"""A process takes its lock again within seconds after Postgres was away, so a second look decides."""


@contextmanager
def executing(engine: Engine, instance: dg.DagsterInstance, run_id: str) -> Iterator[None]:
    """Hold the lock that says that this process executes the run.

    If the run was marked failed meanwhile, this process is ended: another one may execute the run's retry.
    """

    def is_wanted() -> bool:
        run = instance.get_run_by_id(run_id)
        return run is None or not run.is_finished

    with held_run(engine, run_id, is_wanted):
        yield


def reap_dead_runs(
    instance: dg.DagsterInstance,
    engine: Engine,
    *,
    clock: Callable[[], float] = time.time,
    sleep: Callable[[float], None] = time.sleep,
) -> list[str]:
    """Mark runs failed whose process has died.

    Args:
        instance: where runs are recorded.
        engine: the warehouse, where processes hold the locks of their runs.
        clock: seconds since the epoch.
        sleep: waits so many seconds.

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
    """Yield the runs under way, except those that may be about to take their lock."""
    for record in instance.get_run_records(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED])):
        # The start was told by the clock of another machine, which may be wrong in either direction.
        if record.start_time is None or abs(now - record.start_time) >= SETTLE_SECONDS:
            yield record.dagster_run.run_id


def _is_free(engine: Engine, run_id: str) -> bool:
    with nobody_executes(engine, run_id) as is_free:
        return is_free
