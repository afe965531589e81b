"""Running a job of the graph in this process, for the `horror` command: no daemon, no queue, an honest result.

What belongs here: launching, what a run of `horror run` or `horror backfill` asks for, and clearing up after runs whose
process died. What does not: talking to the person at the terminal.
"""

from __future__ import annotations

import datetime as dt
import os
import re
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import dagster as dg
from sqlalchemy import Engine

from horror_pipeline import definitions
from horror_pipeline.defs.automation import change_days_wanted, missing_days, range_tags
from horror_pipeline.warehouse import catalogue

PROCESS_TAG = "horror/process"
"""`host:pid:start` of the process a run lives in, so that a later command can tell whether it still does."""

QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
"""The run's log goes to Dagster's event log; the terminal shows progress instead."""


class ErrorInfo(Protocol):
    """What Dagster tells of an exception."""

    @property
    def message(self) -> str: ...  # noqa: D102

    @property
    def cause(self) -> ErrorInfo | None: ...  # noqa: D102


@dataclass(frozen=True)
class JobResult:
    """What became of a run.

    Attributes:
        job_name: the job.
        run_id: Dagster's id of the run.
        success: whether every step succeeded.
        failures: one line per failed step, without traceback.
        metadata: the last materialisation's figures by asset key, numbers and texts only.
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
    tags = {PROCESS_TAG: this_process()} | (range_tags(*partitions) if partitions else {})
    job = definitions.defs().resolve_job_def(name)
    result = job.execute_in_process(instance=instance, tags=tags, raise_on_error=False, run_config=QUIET)
    return JobResult(
        job_name=name,
        run_id=result.run_id,
        success=result.success,
        failures=_failures(result.all_events),
        metadata=_figures(result),
    )


def _failures(events: Sequence[dg.DagsterEvent]) -> list[str]:
    """A line for each step that failed; where none did, for the run itself, as when a resource would not start."""
    steps = [(event.step_key, event.step_failure_data.error) for event in events if event.is_step_failure]
    runs = [(event.job_name, event.job_failure_data.error) for event in events if event.is_job_failure]
    return [f"{name}: {root_message(error)}" for name, error in steps or runs]


def root_message(error: ErrorInfo | None) -> str:
    """What the innermost cause says, without its class and traceback."""
    while error is not None and error.cause is not None:
        error = error.cause
    lines = error.message.strip().splitlines() if error is not None else []
    return re.sub(r"^[\w.]+: ", "", lines[0]) if lines else "failed without a message"


def _figures(result: dg.ExecuteInProcessResult) -> dict[str, dict[str, int | float | str]]:
    figures: dict[str, dict[str, int | float | str]] = {}
    for event in result.all_events:
        if event.is_step_materialization and event.asset_key is not None:
            values = {
                key: entry.value for key, entry in event.step_materialization_data.materialization.metadata.items()
            }
            figures[event.asset_key.to_user_string()] = {
                key: value for key, value in values.items() if isinstance(value, int | float | str)
            }
    return figures


def pending_change_days(warehouse: Engine, today: dt.date) -> tuple[str, str] | None:
    """First and last closed day whose changes `horror run` has yet to collect; None when there is none."""
    with warehouse.connect() as connection:
        wanted = change_days_wanted(catalogue.first_read_date(connection), today)
        found = missing_days(wanted, catalogue.collected_change_days(connection))
    return (str(found[0]), str(found[1])) if found else None


def this_process() -> str:
    """This process as `PROCESS_TAG` writes it."""
    return f"{socket.gethostname()}:{os.getpid()}:{_start_time(os.getpid())}"


def reap_dead_runs(instance: dg.DagsterInstance, *, also_untagged: bool = False) -> list[str]:
    """Mark runs failed whose process on this machine has died: a killed run would stay "started" for ever.

    Args:
        instance: where runs are recorded.
        also_untagged: also those started by a daemon; only true where no daemon or code server is alive.

    Returns:
        The ids of the runs marked.
    """
    reaped = []
    started = [dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.CANCELING]
    for run in instance.get_runs(filters=dg.RunsFilter(statuses=started)):
        tag = run.tags.get(PROCESS_TAG)
        if (tag is None and also_untagged) or (tag is not None and _is_dead(tag)):
            instance.report_run_failed(run, "The process of this run died before it ended; run it again.")
            reaped.append(run.run_id)
    return reaped


def _is_dead(tag: str) -> bool:
    host, pid, start = tag.rsplit(":", 2)
    return host == socket.gethostname() and _start_time(int(pid)) != start


def _start_time(pid: int) -> str:
    """When a process started, in ticks since boot: a pid used again has another; '' where it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (FileNotFoundError, ProcessLookupError):
        pass
    try:  # no /proc, as on macOS: alive is all that can be told
        os.kill(pid, 0)
    except ProcessLookupError:
        return ""
    return "alive"
