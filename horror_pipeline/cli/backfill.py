"""`horror backfill`: a range of partitions as one run."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Annotated

import typer

from horror_pipeline.cli.terminal import out, print_source
from horror_pipeline.errors import HorrorError
from horror_pipeline.settings import get_settings

app = typer.Typer(no_args_is_help=True, help="Collect a range of years or days again, as one run; exit 1 if any fails.")

FirstDay = Annotated[dt.datetime, typer.Option("--from", formats=["%Y-%m-%d"], help="First day, like 2026-11-20.")]
LastDay = Annotated[dt.datetime, typer.Option("--to", formats=["%Y-%m-%d"], help="Last day, like 2026-11-22.")]


@app.command("catalogue")
def catalogue(
    first: Annotated[int, typer.Option("--from", help="First release year.")],
    last: Annotated[int, typer.Option("--to", help="Last release year.")],
) -> None:
    """Fetch TMDB's listings of release years again, and the details of their films that are missing or outdated."""
    from horror_pipeline.defs.partitions import release_years

    _backfill("ingest_catalogue", str(first), str(last), release_years.get_partition_keys())


@app.command("snapshots")
def snapshots(first: FirstDay, last: LastDay) -> None:
    """Take the popularity of past days, at most about 90 back, from TMDB's id exports."""
    from horror_pipeline.defs.partitions import days

    _backfill("snapshot_popularity", f"{first:%Y-%m-%d}", f"{last:%Y-%m-%d}", days.get_partition_keys())


@app.command("changes")
def changes(first: FirstDay, last: LastDay) -> None:
    """Collect which films TMDB edited on past days, at most 14 back."""
    from horror_pipeline.defs.partitions import closed_days

    _backfill("collect_changes", f"{first:%Y-%m-%d}", f"{last:%Y-%m-%d}", closed_days.get_partition_keys())


def _backfill(job_name: str, first: str, last: str, keys: Sequence[str]) -> None:
    import dagster as dg

    from horror_pipeline.cli.run import check_credential, run_step
    from horror_pipeline.runtime.environment import prepared

    if first > last:
        raise HorrorError(f"--from {first} is after --to {last}")
    for key in (first, last):
        if key not in keys:
            raise HorrorError(f"{key} is not a partition of {job_name}: they run from {keys[0]} to {keys[-1]}")
    settings = get_settings()
    print_source(settings)
    check_credential(settings)
    with prepared(settings), dg.DagsterInstance.get() as instance:
        run_step(job_name, instance, out, (first, last))
