"""`horror db`: migrate the databases, open a shell on the warehouse, stop the embedded Postgres."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import ExitStack
from typing import Annotated

import typer

from horror_pipeline.cli.terminal import out, print_note
from horror_pipeline.errors import HorrorError
from horror_pipeline.settings import get_settings

WAIT_HELP = "Seconds to wait for a database that is still starting or being migrated."

app = typer.Typer(no_args_is_help=True, help="Migrate the database, open psql on it, or stop the embedded Postgres.")


@app.command()
def upgrade(wait: Annotated[float, typer.Option(min=0, help=WAIT_HELP)] = 0) -> None:
    """Migrate the warehouse and Dagster's database to the schema of this version."""
    import dagster as dg

    from horror_pipeline.cli.exec import retried
    from horror_pipeline.runtime.databases import given_url, migrate
    from horror_pipeline.runtime.environment import make_home, prepared
    from horror_pipeline.warehouse.engine import opened

    settings = get_settings()
    make_home(settings)
    if url := given_url(settings):
        with ExitStack() as stack:
            migrate(retried(lambda: stack.enter_context(opened(url)), wait, print_note))
    with prepared(settings), dg.DagsterInstance.get() as instance:
        instance.upgrade()
    out.print("the databases are at this version's schema")


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def psql(context: typer.Context) -> None:
    """Open a psql shell on the warehouse; further arguments go to psql."""
    from horror_pipeline.runtime.environment import prepared

    with prepared(get_settings()) as environment:
        # psql handles Ctrl-C itself: it cancels the query, not the shell.
        previous = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            done = subprocess.run(["psql", *context.args], env=os.environ | environment.variables())  # noqa: S603, S607
        except FileNotFoundError:
            raise HorrorError("psql is not installed", "install PostgreSQL's client, or use another one") from None
        finally:
            signal.signal(signal.SIGINT, previous)
    sys.exit(done.returncode)


@app.command()
def stop() -> None:
    """Stop the embedded Postgres that `horror env` left running."""
    from horror_pipeline.runtime import postgres

    if postgres.stop_if_unused(get_settings().horror_home, unpin=True):
        out.print("the embedded Postgres is stopped")
    else:
        out.print("the embedded Postgres is still in use, by `horror up` or a run, and stops with the last of them")
