"""The `horror` command.

What belongs here: arguments, what a person reads, exit codes. What does not: the work itself. Every error a person can
cause or mend is one line on standard error and exit code 1, without traceback. Heavy imports happen in the commands
that need them, so that `horror --help` is quick.
"""

from __future__ import annotations

import datetime as dt
import os
import signal
import subprocess
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from horror_pipeline.errors import HorrorError
from horror_pipeline.settings import Settings, get_settings

if TYPE_CHECKING:
    import dagster as dg

    from horror_pipeline.runtime.environment import Environment

app = typer.Typer(
    name="horror",
    help="Horror films on TMDB, their popularity day by day, and predictions with error bars, in Postgres.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
db_app = typer.Typer(no_args_is_help=True, help="The warehouse's database.")
backfill_app = typer.Typer(no_args_is_help=True, help="A range of partitions as one run, with an honest exit code.")
app.add_typer(db_app, name="db")
app.add_typer(backfill_app, name="backfill")

WAIT_HELP = "Seconds to wait for a database that is still starting or being migrated."

PIPED_WIDTH = 120
"""Columns of what is not written to a terminal, where nothing says how wide it may be."""

out = Console(highlight=False, width=None if sys.stdout.isatty() else PIPED_WIDTH)
err = Console(stderr=True, highlight=False)


class OutputFormat(StrEnum):
    """How `horror predictions` prints."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"


def main() -> None:
    """Run the command line; every known error is one line and exit code 1."""
    # Dagster says at every start which of its parameters may change one day: noise for whoever runs `horror`.
    warnings.filterwarnings("ignore", message=r".*currently in (beta|preview)")
    try:
        app()
    except HorrorError as error:
        err.print(f"[bold red]horror:[/] {_escape(str(error))}", soft_wrap=True)
        sys.exit(1)
    except KeyboardInterrupt:
        err.print("horror: interrupted")
        sys.exit(130)


def _escape(text: str) -> str:
    from rich.markup import escape

    return escape(text)


def _say_beside(line: str) -> None:
    """One line on standard error, as it is: it may hold brackets, and a log's lines are not folded."""
    err.print(line, markup=False, soft_wrap=True)


def _say_source(settings: Settings) -> None:
    if settings.is_demo:
        out.print(
            "[bold yellow]DEMO DATA[/]: TMDB_API_KEY is not set, so every film below is invented. "
            "None of it is TMDB data.",
            soft_wrap=True,
        )


@contextmanager
def _ready(settings: Settings) -> Iterator[Environment]:
    from horror_pipeline.runtime.environment import prepared

    with prepared(settings) as environment:
        yield environment


@contextmanager
def _instance() -> Iterator[dg.DagsterInstance]:
    import dagster as dg

    with dg.DagsterInstance.get() as instance:
        yield instance


def _check_credential(settings: Settings) -> None:
    if not settings.is_demo:
        from horror_pipeline.tmdb.client import TmdbClient

        with TmdbClient.from_settings(settings) as client:
            client.check_credential()


@app.command()
def run() -> None:
    """Bring everything up to date once: database, films, today's snapshot, models, predictions."""
    from horror_pipeline.cli.run import bring_up_to_date, print_next_steps

    settings = get_settings()
    _say_source(settings)
    _check_credential(settings)  # first: a wrong key is told at once, not after a database was made
    with _ready(settings) as environment:
        with _instance() as instance:
            bring_up_to_date(environment, instance, out)
        _print_predictions(environment, limit=10)
        print_next_steps(environment, out)


@app.command()
def up() -> None:
    """Serve until Ctrl-C: Dagster's UI and daemon, dashboard and API."""
    from horror_pipeline.cli.up import reserved, serve
    from horror_pipeline.runtime.environment import make_home

    settings = get_settings()
    make_home(settings)
    with reserved(settings):
        _say_source(settings)
        with _ready(settings) as environment:
            serve(environment, out)


@app.command()
def env() -> None:
    """Print `export` lines: after eval "$(horror env)", Dagster's own commands and psql work in this shell."""
    from horror_pipeline.runtime import postgres

    settings = get_settings()
    with _ready(settings) as environment:
        if environment.is_embedded:
            postgres.pin(settings.horror_home)
            err.print("The embedded Postgres stays up for this shell; end it with: horror db stop")
        if sys.stdout.isatty():
            err.print('Passwords may follow. To use these lines: eval "$(horror env)"')
        typer.echo("\n".join(environment.shell_lines()))


@app.command("exec", context_settings={"allow_interspersed_args": False, "ignore_unknown_options": True})
def exec_(
    command: Annotated[list[str], typer.Argument(help="The command and its arguments, after --.")],
    wait: Annotated[float, typer.Option(min=0, help=WAIT_HELP)] = 0,
) -> None:
    """Run another command, like one of Dagster's, with everything it needs ready and exported."""
    from horror_pipeline.cli.exec import become

    become(command, get_settings(), wait, _say_beside)


@app.command()
def doctor() -> None:
    """Say what is configured, reachable and wrong, and what to do about each; exit 1 if it cannot run."""
    from horror_pipeline.cli.doctor.diagnosis import print_findings
    from horror_pipeline.cli.doctor.machine import examine

    findings = examine()
    print_findings(findings, out)
    if any(finding.is_fatal for finding in findings):
        sys.exit(1)


@app.command()
def predictions(
    upcoming: Annotated[bool, typer.Option("--upcoming", help="Only films not yet released.")] = False,
    undervalued: Annotated[bool, typer.Option("--undervalued", help="Most under-valued by rating first.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many films.")] = 20,
    output: Annotated[OutputFormat, typer.Option("--format", help="How to print them.")] = OutputFormat.TABLE,
) -> None:
    """Print the newest predictions."""
    settings = get_settings()
    with _ready(settings) as environment:
        if output is OutputFormat.TABLE:
            _say_source(settings)
        _print_predictions(environment, upcoming=upcoming, undervalued=undervalued, limit=limit, output=output)


def _print_predictions(
    environment: Environment,
    *,
    upcoming: bool = False,
    undervalued: bool = False,
    limit: int,
    output: OutputFormat = OutputFormat.TABLE,
) -> None:
    from horror_pipeline.cli.predictions import print_predictions
    from horror_pipeline.warehouse import predictions as predictions_table
    from horror_pipeline.warehouse.engine import connect

    engine = connect(environment.database_url)
    try:
        with engine.connect() as connection:
            rows = predictions_table.top_predictions(
                connection,
                stage="before_release" if upcoming else None,
                order="undervalued" if undervalued else "popularity",
                limit=limit,
            )
    finally:
        engine.dispose()
    print_predictions(rows, output.value, out)


@app.command()
def demo(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65_535, help="Port to listen on.")] = 8801,
) -> None:
    """Serve the made-up TMDB alone."""
    from horror_pipeline.demo.server import banner, run_forever

    run_forever(host, port, on_ready=lambda server: out.print(banner(server.api_url, server.exports_url), markup=False))


@app.command()
def purge(
    older_than: Annotated[int | None, typer.Option(min=1, help="Delete TMDB data older than this many days.")] = None,
    all_: Annotated[bool, typer.Option("--all", help="Delete all TMDB data, and what was learnt from it.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Delete TMDB data from the warehouse and report how many rows went."""
    from horror_pipeline.warehouse import retention
    from horror_pipeline.warehouse.engine import connect

    if (older_than is None) == (not all_):
        raise HorrorError("say what to delete: horror purge --older-than DAYS, or horror purge --all")
    settings = get_settings()
    what = "all TMDB data" if all_ else f"TMDB data older than {older_than} days"
    with _ready(settings) as environment:
        if not yes and not typer.confirm(f"Delete {what} from {environment.database_url.render_as_string()}?"):
            raise HorrorError("nothing was deleted")
        engine = connect(environment.database_url)
        try:
            with engine.begin() as connection:
                if all_:
                    rows = retention.purge_all(connection)
                    _forget_materializations()  # within: where it fails, nothing was deleted
                else:
                    assert older_than is not None  # noqa: S101 - for the type checker: exactly one is given
                    rows = retention.purge(connection, dt.datetime.now(dt.UTC).date() - dt.timedelta(days=older_than))
        finally:
            engine.dispose()
    for table, count in rows.items():
        out.print(f"{table:<28}{count:>12,} rows deleted")
    if all_:
        out.print("Dagster shows every asset as not materialised; its runs and their logs stay until they are old")


def _forget_materializations() -> None:
    from horror_pipeline.defs.retention import forget_materializations

    with _instance() as instance:
        forget_materializations(instance)


@backfill_app.command("catalogue")
def backfill_catalogue(
    first: Annotated[int, typer.Option("--from", help="First release year.")],
    last: Annotated[int, typer.Option("--to", help="Last release year.")],
) -> None:
    """Sweep release years again and read what is due."""
    from horror_pipeline.defs.partitions import release_years

    _backfill("ingest_catalogue", str(first), str(last), release_years.get_partition_keys())


@backfill_app.command("snapshots")
def backfill_snapshots(
    first: Annotated[dt.datetime, typer.Option("--from", formats=["%Y-%m-%d"], help="First day.")],
    last: Annotated[dt.datetime, typer.Option("--to", formats=["%Y-%m-%d"], help="Last day.")],
) -> None:
    """Take the popularity of past days from TMDB's id exports."""
    from horror_pipeline.defs.partitions import days

    _backfill("snapshot_popularity", f"{first:%Y-%m-%d}", f"{last:%Y-%m-%d}", days.get_partition_keys())


@backfill_app.command("changes")
def backfill_changes(
    first: Annotated[dt.datetime, typer.Option("--from", formats=["%Y-%m-%d"], help="First day.")],
    last: Annotated[dt.datetime, typer.Option("--to", formats=["%Y-%m-%d"], help="Last day.")],
) -> None:
    """Collect what TMDB edited on past days."""
    from horror_pipeline.defs.partitions import closed_days

    _backfill("collect_changes", f"{first:%Y-%m-%d}", f"{last:%Y-%m-%d}", closed_days.get_partition_keys())


def _backfill(job_name: str, first: str, last: str, keys: Sequence[str]) -> None:
    from horror_pipeline.cli.run import run_step

    if first > last:
        raise HorrorError(f"--from {first} is after --to {last}")
    for key in (first, last):
        if key not in keys:
            raise HorrorError(f"{key} is not a partition of {job_name}: they run from {keys[0]} to {keys[-1]}")
    settings = get_settings()
    _say_source(settings)
    _check_credential(settings)
    with _ready(settings), _instance() as instance:
        run_step(job_name, instance, out, (first, last))


@db_app.command("upgrade")
def db_upgrade(wait: Annotated[float, typer.Option(min=0, help=WAIT_HELP)] = 0) -> None:
    """Bring the database, and Dagster's, to this version's schema."""
    from horror_pipeline.cli.exec import retried
    from horror_pipeline.runtime.environment import make_home, uses_embedded
    from horror_pipeline.settings import postgres_url
    from horror_pipeline.warehouse import schema
    from horror_pipeline.warehouse.engine import connect

    settings = get_settings()
    make_home(settings)
    if not uses_embedded(settings):
        assert settings.database_url is not None  # noqa: S101 - for the type checker: uses_embedded saw it
        url = postgres_url(settings.database_url.get_secret_value())
        engine = retried(lambda: connect(url), wait, _say_beside)
        try:
            schema.upgrade(engine)
        finally:
            engine.dispose()
    with _ready(settings), _instance() as instance:
        instance.upgrade()
    out.print("the databases are at this version's schema")


@db_app.command("psql", context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def db_psql(context: typer.Context) -> None:
    """Open a psql shell on the warehouse; further arguments go to psql."""
    with _ready(get_settings()) as environment:
        # psql handles Ctrl-C itself: it cancels the query, not the shell.
        previous = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            done = subprocess.run(["psql", *context.args], env=os.environ | environment.variables())  # noqa: S603, S607
        except FileNotFoundError:
            raise HorrorError("psql is not installed; install PostgreSQL's client, or use any other one") from None
        finally:
            signal.signal(signal.SIGINT, previous)
    sys.exit(done.returncode)


@db_app.command("stop")
def db_stop() -> None:
    """Stop the embedded Postgres that `horror env` left running."""
    from horror_pipeline.runtime import postgres

    if postgres.release(get_settings().horror_home):
        out.print("the embedded Postgres is stopped")
    else:
        out.print("the embedded Postgres is still in use, by `horror up` or a run, and stops with the last of them")
