"""Which runs still have a process: Dagster does not look, and a run whose process was killed may stay "started".

What belongs here: tagging a run with the process it lives in, and marking failed those whose process has died. What
does not: launching runs, retrying them.
"""

from __future__ import annotations

import os
import socket
from pathlib import Path

import dagster as dg

PROCESS_TAG = "horror/process"
"""`run:host:pid:start` of the process a run lives in. A retried run inherits the tags of the one before, and with them
a tag that names another run: it says nothing of this one."""

UNDER_WAY = [dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.CANCELING]


def process_tags(run_id: str) -> dict[str, str]:
    """The tag of a run that lives in this process."""
    return {PROCESS_TAG: f"{run_id}:{socket.gethostname()}:{os.getpid()}:{_start_time(os.getpid())}"}


def reap_dead_runs(instance: dg.DagsterInstance, *, also_untagged: bool = False) -> list[str]:
    """Mark runs failed whose process on this machine has died.

    Args:
        instance: where runs are recorded.
        also_untagged: also those whose process is unknown, or on a host of another name; only true where no run of a
            daemon can be alive, that is before the code server starts.

    Returns:
        The ids of the runs marked.
    """
    reaped = []
    for run in instance.get_runs(filters=dg.RunsFilter(statuses=UNDER_WAY)):
        is_dead = _is_dead(run)
        if is_dead or (is_dead is None and also_untagged):
            instance.report_run_failed(run, "The process of this run died before it ended; run it again.")
            reaped.append(run.run_id)
    return reaped


def _is_dead(run: dg.DagsterRun) -> bool | None:
    """Whether the run's process has died; None where it cannot be told."""
    run_id, host, pid, start = (run.tags.get(PROCESS_TAG, "").split(":") + [""] * 4)[:4]
    if run_id != run.run_id or host != socket.gethostname():
        return None
    return _start_time(int(pid)) != start


def _start_time(pid: int) -> str:
    """When a process started, in ticks since boot: a pid used again has another; '' where it is gone."""
    try:
        state, *fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return "" if state == "Z" else fields[18]
    except (FileNotFoundError, ProcessLookupError):
        pass
    try:  # no /proc, as on macOS: alive is all that can be told
        os.kill(pid, 0)
    except ProcessLookupError:
        return ""
    return "alive"
