"""Running a job of the graph in this process, for the `horror` command: no daemon, no queue, an honest result.

What belongs here: launching, and what a run of `horror run` or `horror backfill` asks for. What does not: talking to
the person at the terminal.
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import dagster as dg
from sqlalchemy import Engine

from horror_pipeline import definitions
from horror_pipeline.defs.schedules import change_days_wanted, missing_days, range_tags
from horror_pipeline.orchestration.failures import root_message
from horror_pipeline.orchestration.liveness import process_tags
from horror_pipeline.warehouse import raw

QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
"""The run's log goes to Dagster's event log; the terminal shows progress instead."""


@dataclass(frozen=True)
class JobResult:
    """What became of a run.

    Attributes:
        job_name: the job.
        run_id: Dagster's id of the run.
        success: whether every step succeeded.
        failures: one line per failed step, without traceback.
        metadata: the last materialisation's (or observation's) figures by asset key, numbers and texts only.
    """

    job_name: str
    run_id: str
    success: bool
    failures: list[str]
    metadata: dict[str, dict[str, int | float | str]]


def run_job(name: str, instance: dg.DagsterInstance, partitions: tuple[str, str] | None = None) -> JobResult:
    """Run a job to its end in this process.

    Args:
        name: a job of the graph.
        instance: where the run is recorded.
        partitions: first and last partition key, both included, as one run; None for a job without partitions.
    """
    run_id = str(uuid.uuid4())
    tags = process_tags(run_id) | (range_tags(*partitions) if partitions else {})
    job = _loaded().resolve_job_def(name)
    result = job.execute_in_process(instance=instance, run_id=run_id, tags=tags, raise_on_error=False, run_config=QUIET)
    return JobResult(
        job_name=name,
        run_id=result.run_id,
        success=result.success,
        failures=_failures(result.all_events),
        metadata=_figures(result),
    )


@lru_cache(maxsize=1)
def _loaded() -> dg.Definitions:
    """The graph, loaded once a process."""
    return definitions.defs()


def _failures(events: Sequence[dg.DagsterEvent]) -> list[str]:
    """A line for each step that failed; where none did, for the run itself, as when a resource would not start."""
    steps = [(event.step_key, event.step_failure_data.error) for event in events if event.is_step_failure]
    runs = [(event.job_name, event.job_failure_data.error) for event in events if event.is_job_failure]
    return [f"{name}: {root_message(error)}" for name, error in steps or runs]


ADDED_UP = {"dagster/partition_row_count", "new", "changed", "unchanged", "rejected", "gone"}
"""Figures that a materialisation tells of its partition alone; others are of the whole run."""


def _figures(result: dg.ExecuteInProcessResult) -> dict[str, dict[str, int | float | str]]:
    figures: dict[str, dict[str, int | float | str]] = {}
    for event in result.all_events:
        if event.asset_key is None or not (event.is_step_materialization or event.is_asset_observation):
            continue
        told = figures.setdefault(event.asset_key.to_user_string(), {})
        for key, entry in _told_by(event).items():
            value, before = entry.value, told.get(key)
            if key in ADDED_UP and isinstance(value, int) and isinstance(before, int):
                told[key] = before + value
            elif isinstance(value, int | float | str):
                told[key] = value
    return figures


def _told_by(event: dg.DagsterEvent) -> Mapping[str, dg.MetadataValue[Any]]:
    if event.is_step_materialization:
        return event.step_materialization_data.materialization.metadata
    return event.asset_observation_data.asset_observation.metadata


def pending_change_days(warehouse: Engine, today: dt.date) -> tuple[str, str] | None:
    """First and last closed day whose changes `horror run` has yet to collect; None when there is none."""
    with warehouse.connect() as connection:
        wanted = change_days_wanted(raw.first_read_date(connection), today)
        found = missing_days(wanted, raw.collected_change_days(connection))
    return (str(found[0]), str(found[1])) if found else None
