"""The `horror` command: arguments, what a person reads, exit codes. The work itself is done in other packages.

Every error that a person can cause or correct is one line on standard error and exit code 1, without a traceback.
Heavy imports happen in the commands that need them, so that `horror --help` is quick.
"""

from __future__ import annotations

import datetime as dt
import errno
import logging
import shlex
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from sqlalchemy.exc import DBAPIError

from horror_pipeline.cli.backfill import app as backfill_app
from horror_pipeline.cli.db import WAIT_HELP
from horror_pipeline.cli.db import app as db_app
from horror_pipeline.cli.terminal import discard_output, err, open_standard_streams, out, print_error, print_source
from horror_pipeline.domain import FORECAST_HORIZONS_DAYS, MOVER_SPANS_DAYS
from horror_pipeline.errors import HorrorError, WarehouseError
from horror_pipeline.runtime.signals import end_in_order
from horror_pipeline.settings import get_settings

if TYPE_CHECKING:
    from horror_pipeline.runtime.environment import Environment

app = typer.Typer(
    name="horror",
    help="Collect horror films from TMDB into Postgres, and forecast their popularity. Start with `horror run`, then "
    "`horror up`.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(db_app, name="db")
app.add_typer(backfill_app, name="backfill")


Format = Annotated[Literal["table", "csv", "json"], typer.Option("--format", help="How to print them.")]


def main() -> None:
    """Run the command line; every known error is one line and exit code 1."""
    open_standard_streams()
    end_in_order()
    # Dagster warns at every start about its beta and preview parameters, which do not concern users of `horror`.
    warnings.filterwarnings("ignore", message=r".*currently in (beta|preview)")
    # Without a handler, Python would print Dagster's log to the terminal. What a run has to say is in its event log.
    logging.getLogger("dagster").addHandler(logging.NullHandler())
    try:
        try:
            app()
        finally:
            sys.stdout.flush()
    except HorrorError as error:
        print_error(error)
        sys.exit(1)
    except KeyboardInterrupt:
        err.print("horror: interrupted")
        sys.exit(130)
    except DBAPIError as error:
        reason = str(error.orig).strip().partition("\n")[0]
        remedy = (
            "check that it runs, and that DATABASE_URL and DAGSTER_DATABASE_URL are databases of the pipeline alone"
        )
        print_error(WarehouseError(f"the database failed: {reason}", remedy))
        sys.exit(1)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EBADF, errno.EPIPE):
            raise
        print_error(HorrorError(f"cannot write: {error.strerror}"))
        discard_output()
        sys.exit(1)


@app.command()
def run() -> None:
    """Bring everything up to date once: database, films, history, models, predictions and forecasts.

    It is safe to stop and to repeat: the next run continues where this one ended.
    """
    import dagster as dg

    from horror_pipeline.cli.predictions import print_predictions
    from horror_pipeline.cli.run import bring_up_to_date, check_credential, print_next_steps
    from horror_pipeline.runtime.environment import prepared
    from horror_pipeline.warehouse.predictions import top_predictions

    settings = get_settings()
    print_source(settings)
    check_credential(settings)  # first, so that a wrong key is reported before a database is created
    with prepared(settings) as environment:
        with dg.DagsterInstance.get() as instance:
            failures = bring_up_to_date(environment, instance, out)
        with environment.transaction() as connection:
            print_predictions(top_predictions(connection, limit=10), "table", out)
        print_next_steps(environment, out)
    for failure in failures:
        print_error(failure)
    if failures:
        sys.exit(1)


@app.command()
def up() -> None:
    """Serve the dashboard, the API and the Dagster UI, and run the schedules, until Ctrl-C.

    The dashboard and the API are on port 8000 (HORROR_WEB_PORT), the Dagster UI is on port 3000 (HORROR_UI_PORT).
    """
    from horror_pipeline.cli.up import reserved, serve
    from horror_pipeline.runtime.environment import make_home, prepared

    settings = get_settings()
    make_home(settings)
    with reserved(settings):
        print_source(settings)
        with prepared(settings) as environment:
            serve(environment, out)


@app.command()
def env() -> None:
    """Print `export` lines: after eval "$(horror env)", Dagster's commands and psql use the same database."""
    from horror_pipeline.runtime import postgres
    from horror_pipeline.runtime.environment import prepared

    settings = get_settings()
    with prepared(settings) as environment:
        if environment.is_embedded:
            postgres.pin(settings.horror_home)
            err.print("The embedded Postgres stays up for this shell; end it with: horror db stop")
        if sys.stdout.isatty():
            err.print('Passwords may follow. To use these lines: eval "$(horror env)"')
        for name, value in environment.variables().items():
            typer.echo(f"export {name}={shlex.quote(value)}")


@app.command("exec", context_settings={"allow_interspersed_args": False, "ignore_unknown_options": True})
def exec_(
    command: Annotated[list[str], typer.Argument(help="The command and its arguments, after --.")],
    wait: Annotated[float, typer.Option(min=0, help=WAIT_HELP)] = 0,
) -> None:
    """Run another command, such as dagster or pg_dump, with the database running and its address exported."""
    from horror_pipeline.cli.exec import exec_with_environment

    exec_with_environment(command, get_settings(), wait)


@app.command()
def worker(
    runs: Annotated[int, typer.Option(min=1, help="How many runs to execute at once.")] = 2,
    wait: Annotated[float, typer.Option(min=0, help=WAIT_HELP)] = 0,
) -> None:
    """Execute runs on this machine, as one of several; this needs HORROR_RUN_LAUNCHER=celery."""
    from horror_pipeline.cli.worker import serve_runs

    serve_runs(get_settings(), runs, wait)


@app.command()
def doctor() -> None:
    """Check the settings, TMDB and the databases, and say how to fix what is wrong; exit 1 if a run would fail."""
    from horror_pipeline.cli.doctor import diagnose, print_diagnoses

    diagnoses = diagnose()
    print_diagnoses(diagnoses, out)
    if any(diagnosis.is_fatal for diagnosis in diagnoses):
        sys.exit(1)


@contextmanager
def _reading(output: Format) -> Iterator[Environment]:
    """Prepare the warehouse for a command that prints rows; above a table, print a note if the films are invented."""
    from horror_pipeline.runtime.environment import prepared

    settings = get_settings()
    with prepared(settings) as environment:
        if output == "table":
            print_source(settings)
        yield environment


@app.command()
def predictions(
    upcoming: Annotated[bool, typer.Option("--upcoming", help="Only films not yet released.")] = False,
    undervalued: Annotated[bool, typer.Option("--undervalued", help="Furthest below expected rating first.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many films.")] = 20,
    output: Format = "table",
) -> None:
    """Print what is usual for each film (its expected popularity and rating), the highest popularity first."""
    from horror_pipeline.cli.predictions import print_predictions
    from horror_pipeline.warehouse.predictions import top_predictions

    stage = "before_release" if upcoming else None
    with _reading(output) as environment:
        with environment.transaction() as connection:
            rows = top_predictions(connection, stage, "undervalued" if undervalued else "popularity", limit)
        print_predictions(rows, output, out)


@app.command()
def forecasts(
    movers: Annotated[bool, typer.Option("--movers", help="The largest relative changes first.")] = False,
    horizon: Annotated[int, typer.Option(help="Days ahead: 1, 3, 7, 14 or 30.")] = 7,
    limit: Annotated[int, typer.Option(min=1, max=1_000_000, help="How many films.")] = 20,
    output: Format = "table",
) -> None:
    """Print what popularity will be in some days, the highest forecast first."""
    from horror_pipeline.cli.predictions import print_forecasts
    from horror_pipeline.warehouse.forecasts import top_forecasts

    if horizon not in FORECAST_HORIZONS_DAYS:
        raise HorrorError(f"there is no forecast {horizon} days ahead", "choose 1, 3, 7, 14 or 30 for --horizon")
    with _reading(output) as environment:
        with environment.transaction() as connection:
            rows = top_forecasts(connection, horizon, "movers" if movers else "popularity", limit)
        print_forecasts(rows, output, out)


@app.command()
def movers(
    rising: Annotated[bool, typer.Option("--rising", help="The largest relative rises first.")] = False,
    falling: Annotated[bool, typer.Option("--falling", help="The largest relative falls first.")] = False,
    span: Annotated[int, typer.Option(help="Days the change took: 1, 7 or 30.")] = 7,
    limit: Annotated[int, typer.Option(min=1, max=1_000_000, help="How many films.")] = 20,
    output: Format = "table",
) -> None:
    """Print how popularity changed in the last days, the rises most unusual for such a film first."""
    from horror_pipeline.cli.predictions import print_movers
    from horror_pipeline.warehouse.movers import MoverOrder, top_movers

    if span not in MOVER_SPANS_DAYS:
        raise HorrorError(f"changes are not measured over {span} days", "choose 1, 7 or 30 for --span")
    if rising and falling:
        raise HorrorError("--rising and --falling exclude each other", "choose one of them")
    order: MoverOrder = "rising" if rising else "falling" if falling else "breakouts"
    with _reading(output) as environment:
        with environment.transaction() as connection:
            rows = top_movers(connection, span, order, limit)
        print_movers(rows, output, out)


@app.command()
def diff(
    before: Annotated[str, typer.Argument(metavar="A", help="A database URL, or a day like 2026-11-20.")],
    after: Annotated[str, typer.Argument(metavar="B", help="What to compare it with: another URL or day.")],
    examples: Annotated[int, typer.Option(min=0, max=1_000, help="Example rows of each kind, by table.")] = 3,
    output: Annotated[Literal["text", "json"], typer.Option("--format", help="How to print them.")] = "text",
) -> None:
    """Print what changed between two warehouses or two days, by table.

    The exit code is 0 if nothing differs, 1 if something does, and 2 after an error.
    """
    from horror_pipeline.cli.diff import differences_of, print_differences

    try:
        found = differences_of(before, after, get_settings(), examples)
    except HorrorError as error:
        print_error(error)
        sys.exit(2)
    print_differences(found, output, out)
    sys.exit(1 if any(found) else 0)


@app.command()
def demo(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65_535, help="Port to listen on.")] = 8801,
) -> None:
    """Serve the demo, a made-up TMDB, without the pipeline."""
    from horror_pipeline.demo.server import banner, serve

    with serve(port, host=host) as server, suppress(KeyboardInterrupt):
        out.print(banner(server.api_url, server.exports_url), markup=False)
        threading.Event().wait()


@app.command()
def purge(
    older_than: Annotated[int | None, typer.Option(min=1, help="Delete TMDB data older than this many days.")] = None,
    all_: Annotated[bool, typer.Option("--all", help="Delete all TMDB data, and what was learned from it.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Delete without asking.")] = False,
) -> None:
    """Delete TMDB data from the warehouse, after asking, and print how many rows were deleted."""
    from horror_pipeline.runtime.environment import prepared
    from horror_pipeline.warehouse import retention

    if (older_than is None) == (not all_):
        raise HorrorError("say what to delete: horror purge --older-than DAYS, or horror purge --all")
    what = "all TMDB data" if older_than is None else f"TMDB data older than {older_than} days"
    with prepared(get_settings()) as environment:
        if not yes and not typer.confirm(f"Delete {what} from {environment.database_url.render_as_string()}?"):
            raise HorrorError("nothing was deleted")
        with environment.transaction() as connection:
            if older_than is None:
                import dagster as dg

                rows = retention.purge_all(connection)
                # This is inside the transaction, so that no rows are deleted if it fails. Dagster can wipe whole assets
                # only: the events of single partitions are deleted with their runs, by `delete_old_runs`.
                with dg.DagsterInstance.get() as instance:
                    instance.wipe_assets(instance.get_asset_keys())
            else:
                rows = retention.purge(connection, dt.datetime.now(dt.UTC).date() - dt.timedelta(days=older_than))
    for table, count in rows.items():
        out.print(f"{table:<28}{count:>12,} rows deleted")
    if all_:
        out.print("Dagster shows every asset as not materialized; its runs and their logs stay until they expire")
