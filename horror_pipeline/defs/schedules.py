"""When what runs: the jobs and their schedules.

What belongs here: job selections, cron lines, and the decision whether a tick has anything to do. What does not: the
work. Dagster runs only the latest of the ticks it missed, so every daily schedule looks for the days that are missing
and asks for them as one run over the range.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

import dagster as dg
from sqlalchemy import Engine

from horror_pipeline.defs.asset_checks import AS_DECLARED
from horror_pipeline.defs.partitions import last_release_year
from horror_pipeline.settings import get_settings
from horror_pipeline.warehouse import features, raw, snapshots

RANGE_START, RANGE_END = "dagster/asset_partition_range_start", "dagster/asset_partition_range_end"

CHANGES_REACH_DAYS = 14
"""How far back TMDB tells what changed."""

EXPORTS_REACH_DAYS = 90
"""How long TMDB keeps a day's id export."""

HOLE_DAYS = 7
"""How long a day missing between others is asked for again: later its export is most likely gone, and every run fails
for it. Days since the newest one are asked for however many they are."""

RETRY_ONCE = {"dagster/max_retries": "1", "dagster/retry_strategy": "FROM_FAILURE"}
"""Of a run whose process died."""

RETRY_TMDB_ONCE = RETRY_ONCE | {"dagster/retry_on_asset_or_op_failure": "true"}
"""Also of a run that failed by itself: what it asks is on another machine, and what it did is not done again."""

ACTIVE = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]

INITIAL = dg.DefaultScheduleStatus.RUNNING if get_settings().horror_schedules else dg.DefaultScheduleStatus.STOPPED

collect_changes = dg.define_asset_job(
    "collect_changes",
    selection=dg.AssetSelection.assets(["raw", "movie_changes"]),
    description="What TMDB edited or deleted on a day.",
    tags=RETRY_TMDB_ONCE,
)

ingest_catalogue = dg.define_asset_job(
    "ingest_catalogue",
    selection=dg.AssetSelection.assets(["raw", "discover_pages"], ["raw", "movie_details"], ["movies"]),
    description="Sweep release years, read the details that are due, and clean them into movies.",
    tags=RETRY_TMDB_ONCE,
)

snapshot_popularity = dg.define_asset_job(
    "snapshot_popularity",
    selection=dg.AssetSelection.assets("movie_snapshots", "prediction_outcomes"),
    description="Popularity of every known film on a day, and how earlier predictions held against it.",
    tags=RETRY_TMDB_ONCE,
)

train_and_predict = dg.define_asset_job(
    "train_and_predict",
    # The check of what it learns from comes along: it was written by another run, which could not stop this one.
    selection=dg.AssetSelection.groups("features", "models", "predictions")
    - dg.AssetSelection.assets("prediction_outcomes")
    | dg.AssetSelection.checks(dg.AssetCheckKey(dg.AssetKey("movies"), AS_DECLARED)),
    description="Features, models and predictions from what the warehouse holds now.",
    tags=RETRY_ONCE,
)


def range_tags(first: str, last: str) -> dict[str, str]:
    """Tags that make one run of the partitions from first to last, both included."""
    return {RANGE_START: first, RANGE_END: last}


def is_active(instance: dg.DagsterInstance, job_name: str) -> bool:
    """Whether a run of the job is queued or under way."""
    return bool(instance.get_runs(filters=dg.RunsFilter(job_name=job_name, statuses=ACTIVE), limit=1))


def missing_days(wanted: Sequence[dt.date], have: set[dt.date]) -> tuple[dt.date, dt.date] | None:
    """The range from the first to the last missing day; None when nothing is missing."""
    missing = [day for day in wanted if day not in have]
    return (min(missing), max(missing)) if missing else None


def change_days_wanted(first_read: dt.date | None, today: dt.date) -> list[dt.date]:
    """Closed days whose changes matter: since details were first read, as far back as TMDB tells."""
    if first_read is None:
        return []
    start = max(first_read, today - dt.timedelta(days=CHANGES_REACH_DAYS))
    return [start + dt.timedelta(days=n) for n in range((today - start).days)]


def snapshot_days_wanted(have: set[dt.date], today: dt.date) -> list[dt.date]:
    """Days history should hold: since it began, as far back as exports reach, today included.

    Args:
        have: days it holds.
        today: the present UTC day.
    """
    first, newest = min(have, default=today), max(have, default=today)
    start = max(first, today - dt.timedelta(days=EXPORTS_REACH_DAYS - 1))
    start = max(start, min(newest, today - dt.timedelta(days=HOLE_DAYS)))
    return [start + dt.timedelta(days=n) for n in range((today - start).days + 1)]


def missing_ranges(wanted: Sequence[dt.date], have: set[dt.date]) -> list[tuple[dt.date, dt.date]]:
    """First and last day of every stretch of missing days, the newest first."""
    ranges: list[tuple[dt.date, dt.date]] = []
    for day in sorted(set(wanted) - have):
        if ranges and day - ranges[-1][1] == dt.timedelta(days=1):
            ranges[-1] = ranges[-1][0], day
        else:
            ranges.append((day, day))
    return ranges[::-1]


def _tick(context: dg.ScheduleEvaluationContext) -> dt.datetime:
    return context.scheduled_execution_time.astimezone(dt.UTC)


def _run_key(context: dg.ScheduleEvaluationContext) -> str:
    return f"{_tick(context):%Y-%m-%dT%H:%M}"


@dg.schedule(job=ingest_catalogue, cron_schedule="15 8 * * *", default_status=INITIAL)
def daily_catalogue(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
    """Sweep every release year once a day, after TMDB's daily export is out."""
    if is_active(context.instance, ingest_catalogue.name):
        return dg.SkipReason("the previous ingest_catalogue is still running")
    years = str(get_settings().horror_first_year), str(last_release_year(_tick(context).date()))
    return dg.RunRequest(run_key=_run_key(context), tags=range_tags(*years))


@dg.schedule(job=collect_changes, cron_schedule="5 8 * * *", default_status=INITIAL)
def daily_changes(
    context: dg.ScheduleEvaluationContext, warehouse: dg.ResourceParam[Engine]
) -> dg.RunRequest | dg.SkipReason:
    """Collect the closed days whose changes are missing, at most 14 days back."""
    if is_active(context.instance, collect_changes.name):
        return dg.SkipReason("the previous collect_changes is still running")
    with warehouse.connect() as connection:
        wanted = change_days_wanted(raw.first_read_date(connection), _tick(context).date())
        found = missing_days(wanted, raw.collected_change_days(connection))
    if found is None:
        return dg.SkipReason("no film was ever read, or every closed day of the last 14 is collected")
    return dg.RunRequest(run_key=_run_key(context), tags=range_tags(*map(str, found)))


@dg.schedule(job=snapshot_popularity, cron_schedule="0 9 * * *", default_status=INITIAL)
def daily_snapshot(
    context: dg.ScheduleEvaluationContext, warehouse: dg.ResourceParam[Engine]
) -> list[dg.RunRequest] | dg.SkipReason:
    """Take the days missing from history, today included, at most 90 days back."""
    if is_active(context.instance, snapshot_popularity.name):
        return dg.SkipReason("the previous snapshot_popularity is still running")
    with warehouse.connect() as connection:
        have = snapshots.snapshot_days(connection)
    # A run of its own for each stretch: a day that cannot be had any more costs the others nothing.
    ranges = missing_ranges(snapshot_days_wanted(have, _tick(context).date()), have)
    if not ranges:
        return dg.SkipReason("history has a snapshot of every day it should")
    return [
        dg.RunRequest(run_key=f"{_run_key(context)} {first}", tags=range_tags(str(first), str(last)))
        for first, last in ranges
    ]


@dg.schedule(job=train_and_predict, cron_schedule="5 * * * *", default_status=INITIAL)
def hourly_training(
    context: dg.ScheduleEvaluationContext, warehouse: dg.ResourceParam[Engine]
) -> dg.RunRequest | dg.SkipReason:
    """Train and predict when anything the models learn from has changed since the last training."""
    if is_active(context.instance, train_and_predict.name):
        return dg.SkipReason("the previous train_and_predict is still running")
    with warehouse.connect() as connection:
        now = features.training_fingerprint(connection)
        if now == features.last_trained_fingerprint(connection):
            return dg.SkipReason("nothing the models learn from has changed since the last training")
    return dg.RunRequest(run_key=_run_key(context))
