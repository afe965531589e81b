"""Run health: which runs still have a process.

Dagster does not look, so that a run whose process was killed may stay "started" for ever. A run is therefore tagged
with its process, and runs whose process has died are marked failed.
"""

from __future__ import annotations

import os
import socket
from pathlib import Path

import dagster as dg

PROCESS_TAG = "horror/process"
"""`run:host:pid:start` of the process that executes a run. A retried run inherits the tags of the run before it; a tag
that names another run says nothing about this one."""

UNDER_WAY = [dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.CANCELING]


def process_tags(run_id: str) -> dict[str, str]:
    """Return the tag of a run that this process executes."""
    return {PROCESS_TAG: f"{run_id}:{socket.gethostname()}:{os.getpid()}:{_start_time(os.getpid())}"}


def reap_dead_runs(instance: dg.DagsterInstance, *, also_untagged: bool = False) -> list[str]:
    """Mark runs failed whose process on this machine has died.

    Args:
        instance: where runs are recorded.
        also_untagged: mark also the runs whose process is unknown, or on a host of another name. This is right only
            before the code server starts, when no run of a daemon can be alive.

    Returns:
        The ids of the runs marked.
    """
    reaped = []
    for record in instance.get_run_records(dg.RunsFilter(statuses=UNDER_WAY)):
        run = record.dagster_run
        is_dead = _is_dead(run)
        if is_dead or (is_dead is None and also_untagged):
            instance.report_run_failed(run, "The process of this run died before it ended; run it again.")
            reaped.append(run.run_id)
    return reaped


def _is_dead(run: dg.DagsterRun) -> bool | None:
    """Whether the run's process has died; None if that is unknown."""
    run_id, host, pid, start = (run.tags.get(PROCESS_TAG, "").split(":") + [""] * 4)[:4]
    if run_id != run.run_id or host != socket.gethostname():
        return None
    return _start_time(int(pid)) != start


def _start_time(pid: int) -> str:
    """Return when a process started, in ticks since boot, which a reused pid does not share; '' if it is gone."""
    try:
        if not Path("/proc/self/stat").exists():  # as on macOS, where all that can be known is whether it is alive
            os.kill(pid, 0)
            return "alive"
        state, *fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return ""
    return "" if state == "Z" else fields[18]
