"""Noting in the warehouse how runs ended and how they used TMDB, for monitoring, which sees the warehouse alone."""

from __future__ import annotations

import datetime as dt

import dagster as dg
from sqlalchemy import Engine
from sqlalchemy.dialects.postgresql import insert

from horror_pipeline.domain import RUN_TAGS
from horror_pipeline.tmdb.client import ClientStats
from horror_pipeline.warehouse.tables import finished_runs

FINISHED = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]

MOST_RUNS = 1_000
"""Runs noted at once; the next time goes on from there."""

OVERLAP = dt.timedelta(minutes=1)
"""Runs are looked at again for so long, because the clocks of hosts differ. Noting one twice changes nothing."""


def tag_requests(instance: dg.DagsterInstance, run_id: str, stats: ClientStats) -> None:
    """Say in tags of the run, which outlive its process, how it used TMDB."""
    counts = {"requests": stats.requests, "retries": stats.retries, "refusals": stats.rate_limited}
    instance.add_run_tags(run_id, {RUN_TAGS[name]: str(count) for name, count in counts.items()})


def note_finished_runs(instance: dg.DagsterInstance, engine: Engine, since: str | None) -> str | None:
    """Note the runs that ended.

    Args:
        instance: where runs are recorded.
        engine: the warehouse.
        since: what this function last returned; None notes every run that is still recorded.

    Returns:
        Up to when runs are noted.
    """
    after = dt.datetime.fromisoformat(since) - OVERLAP if since else None
    records = instance.get_run_records(
        dg.RunsFilter(statuses=FINISHED, updated_after=after),
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
        | {name: int(tag) if (tag := record.dagster_run.tags.get(key)) else None for name, key in RUN_TAGS.items()}
        for record in records
    ]
    with engine.begin() as connection:
        connection.execute(insert(finished_runs).values(rows).on_conflict_do_nothing())
    return str(rows[-1]["ended_at"])
