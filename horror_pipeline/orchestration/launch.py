"""Running a job in the process of the `horror` command, without a daemon or a queue."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import dagster as dg

from horror_pipeline.orchestration.failures import ErrorInfo, is_interruption, root_message
from horror_pipeline.orchestration.missing import range_tags

QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
"""Run configuration that keeps the log off the terminal, which shows progress instead. Dagster stores the log."""

STATEMENT_MILLISECONDS = 60_000
"""How long a statement of Dagster's own storage may take."""


@dataclass(frozen=True)
class JobResult:
    """The result of a run.

    Attributes:
        job_name: the job.
        run_id: Dagster's id of the run.
        success: whether every step succeeded.
        failures: one line for each failed step, without traceback.
        metadata: numbers and texts of the run's materializations and observations, by asset key and name; values of a
            name in `SUMMED` are summed, and of any other name, the last one is kept.
    """

    job_name: str
    run_id: str
    success: bool
    failures: list[str]
    metadata: dict[str, dict[str, int | float | str]]


def run_job(
    definitions: dg.Definitions, name: str, instance: dg.DagsterInstance, partitions: tuple[str, str] | None = None
) -> JobResult:
    """Run a job to its end in this process.

    Args:
        definitions: the loaded definitions.
        name: the name of a job of these definitions.
        instance: where the run is recorded.
        partitions: first and last partition key of the run, both included; None for a job without partitions.

    Raises:
        KeyboardInterrupt: a signal ended the run.
    """
    # Reuse connections: by default Dagster opens one for every statement, and a run makes thousands.
    instance.optimize_for_webserver(statement_timeout=STATEMENT_MILLISECONDS, pool_recycle=3600, max_overflow=20)
    # The person at the terminal sees a failure, so a daemon that is started days later must not retry the run.
    tags = {"dagster/max_retries": "0"} | (range_tags(*partitions) if partitions else {})
    job = definitions.resolve_job_def(name)
    result = job.execute_in_process(instance=instance, tags=tags, raise_on_error=False, run_config=QUIET)
    failures = _failures(result.all_events)
    if any(is_interruption(error) for _, error in failures):
        raise KeyboardInterrupt
    return JobResult(
        job_name=name,
        run_id=result.run_id,
        success=result.success,
        failures=[f"{name}: {root_message(error)}" for name, error in failures],
        metadata=_figures(result),
    )


def _failures(events: Sequence[dg.DagsterEvent]) -> list[tuple[str, ErrorInfo | None]]:
    """Return the error of each failed step; if none failed, that of the run, as when a resource did not start."""
    steps = [(event.step_key, event.step_failure_data.error) for event in events if event.is_step_failure]
    runs = [(event.job_name, event.job_failure_data.error) for event in events if event.is_job_failure]
    return [(str(name), error) for name, error in steps or runs]


SUMMED = {"dagster/partition_row_count", "new", "changed", "unchanged", "rejected", "gone"}
"""Figures that each materialization gives for its own partition, so they are summed; others are for the whole run."""


def _figures(result: dg.ExecuteInProcessResult) -> dict[str, dict[str, int | float | str]]:
    """Collect the numbers and texts that the run's materializations and observations hold, by asset key."""
    figures: dict[str, dict[str, int | float | str]] = {}
    for event in result.all_events:
        if event.asset_key is None or not (event.is_step_materialization or event.is_asset_observation):
            continue
        of_asset = figures.setdefault(event.asset_key.to_user_string(), {})
        for key, entry in _metadata_of(event).items():
            value, sum_so_far = entry.value, of_asset.get(key)
            if key in SUMMED and isinstance(value, int) and isinstance(sum_so_far, int):
                of_asset[key] = sum_so_far + value
            elif isinstance(value, int | float | str):
                of_asset[key] = value
    return figures


def _metadata_of(event: dg.DagsterEvent) -> Mapping[str, dg.MetadataValue[Any]]:
    if event.is_step_materialization:
        return event.step_materialization_data.materialization.metadata
    return event.asset_observation_data.asset_observation.metadata
