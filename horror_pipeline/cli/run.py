"""The steps of `horror run` and `horror backfill`, in order, and what the terminal shows during and after each."""

from __future__ import annotations

import datetime as dt
import logging
import os
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from sqlalchemy import text

from horror_pipeline.cli.terminal import printable
from horror_pipeline.errors import HorrorError
from horror_pipeline.runtime.ports import local_url
from horror_pipeline.runtime.signals import raise_if_interrupted

if TYPE_CHECKING:
    import dagster as dg
    from sqlalchemy import Engine

    from horror_pipeline.runtime.environment import Environment
    from horror_pipeline.settings import Settings
    from horror_pipeline.tmdb.client import TmdbClient

Partitions = tuple[str, str] | None
"""First and last partition of a run, both included; None for a job without partitions."""

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
"""The metadata of a materialization that the terminal shows, in this order."""


def check_credential(settings: Settings) -> None:
    """Ask TMDB whether it takes the credential; the demo needs none.

    Raises:
        TmdbError: TMDB refuses the credential, or cannot be reached.
    """
    if settings.tmdb_source == "tmdb":
        with tmdb_client(settings) as client:
            client.check_credential()


def tmdb_client(settings: Settings) -> TmdbClient:
    """Make a client of TMDB as the settings say."""
    from horror_pipeline.tmdb.client import TmdbClient

    return TmdbClient(
        api_url=settings.tmdb_api_url,
        exports_url=settings.tmdb_exports_url,
        api_key=settings.tmdb_api_key.get_secret_value() if settings.tmdb_api_key else None,
        requests_per_second=settings.tmdb_requests_per_second,
        connections=settings.tmdb_connections,
    )


def bring_up_to_date(environment: Environment, instance: dg.DagsterInstance, out: Console) -> list[HorrorError]:
    """Materialize the whole graph once.

    A failed step does not stop the steps that can do without it: without today's snapshot, models learn from the films
    and days that are stored already.

    Args:
        environment: a prepared environment.
        instance: where runs are recorded.
        out: the terminal.

    Returns:
        One error per failed step. What was stored before it failed is still there.

    Raises:
        HorrorError: `ingest_catalogue` failed, and no films are stored that the next steps could use.
    """
    from horror_pipeline.orchestration.liveness import reap_dead_runs
    from horror_pipeline.warehouse.engine import opened
    from horror_pipeline.warehouse.locks import kept_data

    with opened(environment.database_url) as engine:
        reap_dead_runs(instance, engine)
        failures: list[HorrorError] = []
        with kept_data(engine):  # also between two steps, so that no purge comes between them
            for job_name, partitions in _due_steps(engine, environment.settings, dt.datetime.now(dt.UTC).date()):
                raise_if_interrupted()
                try:
                    run_step(job_name, instance, out, partitions)
                except HorrorError as failure:
                    if job_name == "ingest_catalogue" and not _has_films(environment):
                        raise
                    failures.append(failure)
                    out.print(f"[red]✗[/] {job_name} failed; going on with what does not depend on it")
    return failures


def _due_steps(engine: Engine, settings: Settings, today: dt.date) -> Iterator[tuple[str, Partitions]]:
    """Yield the steps that are due, in order. Run each before asking for the next: earlier steps decide what is due."""
    from horror_pipeline.defs.partitions import last_release_year
    from horror_pipeline.orchestration.missing import days_to_take, missing_change_days

    if changes := missing_change_days(engine, today):
        yield "collect_changes", changes
    yield "ingest_catalogue", (str(settings.horror_first_year), str(last_release_year(today)))
    with engine.connect() as connection:  # today is collected again, because its listing may have new votes
        days = days_to_take(connection, today, settings.horror_retention_days, with_today=True)
    # The newest stretch of days comes first: it ends today, which is what the steps after it need.
    for first, last in days:
        yield "snapshot_popularity", (str(first), str(last))
    yield "train_and_predict", None


def _has_films(environment: Environment) -> bool:
    with environment.transaction() as connection:
        return bool(connection.scalar(text("SELECT EXISTS (SELECT FROM movies)")))


def run_step(job_name: str, instance: dg.DagsterInstance, out: Console, partitions: Partitions = None) -> None:
    """Run one job in this process and show its progress.

    Raises:
        HorrorError: the job failed; the message names each failed step of it.
    """
    from horror_pipeline.definitions import loaded_defs
    from horror_pipeline.orchestration.launch import run_job

    title = " ".join([job_name, *(["…".join(dict.fromkeys(partitions))] if partitions else [])])
    started = time.monotonic()
    with _shown_progress(out, title):
        result = run_job(loaded_defs(), job_name, instance, partitions)
    if not result.success:
        details = "; ".join(result.failures) or "no step said why"
        raise HorrorError(f"{title} failed (run {result.run_id}): {details}")
    out.print(f"[green]✓[/] {title} [dim]{time.monotonic() - started:.1f} s[/]")
    for asset, figures in result.metadata.items():
        shown = ", ".join(
            f"{name.removeprefix('dagster/')} {_number(figures[name])}" for name in FIGURES if name in figures
        )
        if shown:
            out.print(f"    {asset}: [dim]{escape(printable(shown))}[/]", soft_wrap=True)


def _number(value: float | str) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)


@contextmanager
def _shown_progress(out: Console, title: str) -> Iterator[None]:
    """Show the records of the progress logger: as bars on a terminal, otherwise as a line every few seconds."""
    from horror_pipeline.orchestration.progress import TERMINAL

    with ExitStack() as stack:
        if out.is_terminal:
            columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
            progress = stack.enter_context(Progress(*columns, console=out, transient=True))
            progress.add_task(title, total=None)
            handler: logging.Handler = _Bars(progress)
        else:
            out.print(f"{title} …")
            handler = _Lines(out)
        TERMINAL.addHandler(handler)
        stack.callback(TERMINAL.removeHandler, handler)
        yield


class _Bars(logging.Handler):
    """Shows one progress bar for each label."""

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
    """Prints a line every few seconds at most."""

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
    """Say where to look next, with the path of `horror` if the shell does not find the bare name."""
    settings = environment.settings
    horror = "horror" if shutil.which("horror") else os.path.relpath(sys.argv[0])
    steps = (
        ("make up", f"Dagster UI {local_url(settings.horror_web_host, settings.horror_ui_port)}"),
        ("", f"dashboard  {local_url(settings.horror_web_host, settings.horror_web_port)}"),
        (f"{horror} forecasts", "popularity in 7 days: --movers, --horizon 30, --format csv"),
        (f"{horror} predictions", "what is usual for such films: --upcoming, --undervalued, --format csv"),
        (f"{horror} db psql", "query them: SELECT * FROM latest_predictions LIMIT 10"),
        (f"{horror} doctor", "what is configured, reachable and wrong"),
    )
    width = max(len(command) for command, _ in steps)
    out.print()
    out.print("Next:")
    for command, purpose in steps:
        out.print(f"  {command:<{width}}  {purpose}", soft_wrap=True)
