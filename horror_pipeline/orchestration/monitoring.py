"""Recording finished runs and requests to TMDB in the warehouse, because monitoring has no access to Dagster."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg
from sqlalchemy import Engine
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import DBAPIError

from horror_pipeline.tmdb.client import TmdbClient
from horror_pipeline.warehouse.locks import tmdb_lock
from horror_pipeline.warehouse.tables import finished_runs, request_counts

FINISHED = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]

MOST_RUNS = 1_000
"""Highest number of runs recorded by one call; the next call continues after them."""

OVERLAP = dt.timedelta(minutes=1)
"""Each call also reads runs that ended up to this long before the last recorded one, because clocks of hosts differ.
Recording a run twice has no effect."""


@contextmanager
def counted(context: dg.AssetExecutionContext, warehouse: Engine, tmdb: TmdbClient) -> Iterator[None]:
    """Add the requests made inside the block to the asset's count, even if the block raises."""
    before = tmdb.stats
    try:
        yield
    finally:
        made = tmdb.stats - before
        counts = {"requests": made.requests, "retries": made.retries, "refusals": made.rate_limited}
        add = insert(request_counts).values(asset=context.asset_key.to_user_string(), **counts)
        sums = {name: request_counts.c[name] + add.excluded[name] for name in counts}
        try:
            with warehouse.begin() as connection:
                connection.execute(add.on_conflict_do_update(index_elements=["asset"], set_=sums))
        except DBAPIError as error:  # an error raised in the block must not be hidden
            context.log.warning(f"{made.requests} requests are not counted: {type(error).__name__}")


@contextmanager
def asking_tmdb(context: dg.AssetExecutionContext, warehouse: Engine, tmdb: TmdbClient) -> Iterator[None]:
    """Hold the lock on TMDB, which only one run at a time may call, and count the requests made inside the block."""
    with tmdb_lock(warehouse, context.run.run_id, context.log.info), counted(context, warehouse, tmdb):
        yield


def note_finished_runs(instance: dg.DagsterInstance, engine: Engine, since: str | None) -> str | None:
    """Record finished runs in the warehouse.

    Args:
        instance: where Dagster records runs.
        engine: the warehouse.
        since: what this function last returned; None records every run that Dagster still has.

    Returns:
        When the last recorded run ended.
    """
    records = instance.get_run_records(
        dg.RunsFilter(statuses=FINISHED, updated_after=dt.datetime.fromisoformat(since) - OVERLAP if since else None),
        limit=MOST_RUNS,
        order_by="update_timestamp",
        ascending=True,
    )
    if not records:
        return since
    rows = [
        {
            "run_id": record.dagster_run.run_id,
            "job_name": record.dagster_run.job_name,
            "outcome": record.dagster_run.status.value.lower(),
            "ended_at": record.update_timestamp.replace(tzinfo=dt.UTC),
        }
        for record in records
    ]
    with engine.begin() as connection:
        connection.execute(insert(finished_runs).values(rows).on_conflict_do_nothing())
    return str(rows[-1]["ended_at"])
