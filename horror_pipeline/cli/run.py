"""The steps of `horror run` and `horror backfill`, and what the terminal shows while they go on.

What belongs here: their order, progress and the lines after each. What does not: what a job does.
"""

from __future__ import annotations

import datetime as dt
import logging
import os
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from horror_pipeline.errors import HorrorError

if TYPE_CHECKING:
    import dagster as dg

    from horror_pipeline.orchestration.launch import JobResult
    from horror_pipeline.runtime.environment import Environment

SECONDS_BETWEEN_PLAIN_LINES = 5.0

FIGURES = (
    "rows",
    "dagster/row_count",
    "requests",
    "new",
    "changed",
    "unchanged",
    "rejected",
    "gone",
    "reason",
    "skipped",
)
"""Figures of a materialisation worth a place on the terminal's line."""


def bring_up_to_date(environment: Environment, instance: dg.DagsterInstance, out: Console) -> None:
    """Materialise the whole graph once.

    Args:
        environment: a prepared environment.
        instance: where runs are recorded.
        out: the terminal.

    Raises:
        HorrorError: a job failed; what was stored before and by the jobs before it is still there.
    """
    from horror_pipeline.defs.partitions import last_release_year
    from horror_pipeline.orchestration.liveness import reap_dead_runs
    from horror_pipeline.orchestration.missing import missing_change_days
    from horror_pipeline.warehouse.engine import connect

    reap_dead_runs(instance)
    settings = environment.settings
    today = dt.datetime.now(dt.UTC).date()
    engine = connect(environment.database_url)
    try:
        changes = missing_change_days(engine, today)
    finally:
        engine.dispose()
    if changes:
        run_step("collect_changes", instance, out, changes)
    run_step("ingest_catalogue", instance, out, (str(settings.horror_first_year), str(last_release_year(today))))
    run_step("snapshot_popularity", instance, out, (str(today), str(today)))
    run_step("train_and_predict", instance, out)


def run_step(
    job_name: str, instance: dg.DagsterInstance, out: Console, partitions: tuple[str, str] | None = None
) -> JobResult:
    """Run one job in this process, showing its progress.

    Raises:
        HorrorError: a step failed; the message holds one line for each.
    """
    from horror_pipeline.definitions import loaded_defs
    from horror_pipeline.orchestration.launch import run_job

    span = f" {partitions[0]}…{partitions[1]}" if partitions and partitions[0] != partitions[1] else ""
    span = f" {partitions[0]}" if partitions and not span else span
    started = time.monotonic()
    with _shown_progress(out, f"{job_name}{span}"):
        result = run_job(loaded_defs(), job_name, instance, partitions)
    if not result.success:
        details = "; ".join(result.failures) or "no step said why"
        raise HorrorError(f"{job_name}{span} failed (run {result.run_id}): {details}")
    out.print(f"[green]✓[/] {job_name}{span} [dim]{time.monotonic() - started:.1f} s[/]")
    for asset, figures in result.metadata.items():
        told = ", ".join(
            f"{name.removeprefix('dagster/')} {_number(figures[name])}" for name in FIGURES if name in figures
        )
        if told:
            out.print(f"    {asset}: [dim]{escape(told)}[/]", soft_wrap=True)
    return result


def _number(value: float | str) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)


@contextmanager
def _shown_progress(out: Console, title: str) -> Iterator[None]:
    """Show the records of the progress logger: as bars on a terminal, as a line now and then otherwise."""
    from horror_pipeline.orchestration.progress import TERMINAL

    if out.is_terminal:
        columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
        with Progress(*columns, console=out, transient=True) as progress:
            progress.add_task(title, total=None)
            handler: logging.Handler = _Bars(progress)
            TERMINAL.addHandler(handler)
            try:
                yield
            finally:
                TERMINAL.removeHandler(handler)
    else:
        out.print(f"{title} …")
        handler = _Lines(out)
        TERMINAL.addHandler(handler)
        try:
            yield
        finally:
            TERMINAL.removeHandler(handler)


class _Bars(logging.Handler):
    """One bar per label."""

    def __init__(self, progress: Progress) -> None:
        super().__init__()
        self.progress = progress
        self.tasks: dict[str, TaskID] = {}

    def emit(self, record: logging.LogRecord) -> None:
        label, done, total = record.__dict__["label"], record.__dict__["done"], record.__dict__["total"]
        if label not in self.tasks:
            self.tasks[label] = self.progress.add_task(f"  {label}", total=total)
        self.progress.update(self.tasks[label], completed=done, total=total)


class _Lines(logging.Handler):
    """A line every few seconds."""

    def __init__(self, out: Console) -> None:
        super().__init__()
        self.out = out
        self.last = time.monotonic()

    def emit(self, record: logging.LogRecord) -> None:
        if time.monotonic() - self.last >= SECONDS_BETWEEN_PLAIN_LINES:
            self.last = time.monotonic()
            values = record.__dict__
            self.out.print(f"    {values['label']}: {values['done']:,} of {values['total']:,}")


def print_next_steps(environment: Environment, out: Console) -> None:
    """Say where to look next, with commands as this shell finds them."""
    settings = environment.settings
    horror = "horror" if shutil.which("horror") else os.path.relpath(sys.argv[0])
    steps = (
        ("make up", f"Dagster UI http://{settings.horror_web_host}:{settings.horror_ui_port}"),
        ("", f"dashboard  http://{settings.horror_web_host}:{settings.horror_web_port}"),
        (f"{horror} predictions", "print more of them: --upcoming, --undervalued, --format csv"),
        (f"{horror} db psql", "query them: SELECT * FROM latest_predictions LIMIT 10"),
        (f"{horror} doctor", "what is configured, reachable and wrong"),
    )
    width = max(len(command) for command, _ in steps)
    out.print()
    out.print("Next:")
    for command, says in steps:
        out.print(f"  {command:<{width}}  {says}", soft_wrap=True)
