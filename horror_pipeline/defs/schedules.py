"""The schedules of the asset jobs, and the decision whether a tick has anything to do.

Dagster runs only the latest of the ticks it missed. The daily schedules therefore look for missing days and
request each range of them as one run.
"""

from __future__ import annotations

import calendar
import datetime as dt

import dagster as dg

from horror_pipeline.defs.jobs import collect_changes, ingest_catalogue, snapshot_popularity, train_and_predict
from horror_pipeline.defs.partitions import last_release_year
from horror_pipeline.defs.resources import Warehouse
from horror_pipeline.orchestration import forecasting
from horror_pipeline.orchestration.missing import days_of_new_films, days_to_take, missing_change_days, range_tags
from horror_pipeline.settings import get_settings
from horror_pipeline.warehouse import features

ACTIVE = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]

INITIAL = dg.DefaultScheduleStatus.RUNNING if get_settings().horror_schedules else dg.DefaultScheduleStatus.STOPPED


def _skip_if_active(context: dg.ScheduleEvaluationContext, job_name: str) -> dg.SkipReason | None:
    """Return a reason to skip the tick while a run of the job is queued or under way."""
    runs = context.instance.get_run_records(dg.RunsFilter(job_name=job_name, statuses=ACTIVE), limit=1)
    return dg.SkipReason(f"the previous {job_name} is still running") if runs else None


def _tick(context: dg.ScheduleEvaluationContext) -> dt.datetime:
    return context.scheduled_execution_time.astimezone(dt.UTC)


def _run_key(context: dg.ScheduleEvaluationContext) -> str:
    return f"{_tick(context):%Y-%m-%dT%H:%M}"


@dg.schedule(job=ingest_catalogue, cron_schedule="15 8 * * *", default_status=INITIAL)
def daily_catalogue(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
    """Ingest the films of all release years once a day, after TMDB has published its daily export."""
    if skip := _skip_if_active(context, ingest_catalogue.name):
        return skip
    years = str(get_settings().horror_first_year), str(last_release_year(_tick(context).date()))
    return dg.RunRequest(run_key=_run_key(context), tags=range_tags(*years))


@dg.schedule(job=collect_changes, cron_schedule="5 8 * * *", default_status=INITIAL)
def daily_changes(context: dg.ScheduleEvaluationContext, warehouse: Warehouse) -> dg.RunRequest | dg.SkipReason:
    """Collect TMDB's changes of the past days for which they are missing, at most 14 days back."""
    if skip := _skip_if_active(context, collect_changes.name):
        return skip
    missing = missing_change_days(warehouse, _tick(context).date())
    if missing is None:
        return dg.SkipReason("no film was ever read, or the changes of the last 14 days are collected")
    return dg.RunRequest(run_key=_run_key(context), tags=range_tags(*missing))


@dg.schedule(job=snapshot_popularity, cron_schedule="0 9 * * *", default_status=INITIAL)
def daily_snapshot(context: dg.ScheduleEvaluationContext, warehouse: Warehouse) -> list[dg.RunRequest] | dg.SkipReason:
    """Collect the days that are missing from history, including today, at most 90 days back.

    If new films were found in the past week, all days that TMDB still exports are collected again on Monday, which adds
    the past of these films.
    """
    if skip := _skip_if_active(context, snapshot_popularity.name):
        return skip
    today = _tick(context).date()
    with warehouse.connect() as connection:
        again = days_of_new_films(connection, today) if today.weekday() == calendar.MONDAY else None
        # Each range gets its own run, so that a day whose export has expired does not fail the others.
        ranges = [again] if again else days_to_take(connection, today, get_settings().horror_retention_days)
    if not ranges:
        return dg.SkipReason("no day is missing from history")
    return [
        dg.RunRequest(run_key=f"{_run_key(context)} {first}", tags=range_tags(str(first), str(last)))
        for first, last in ranges
    ]


@dg.schedule(job=train_and_predict, cron_schedule="5 * * * *", default_status=INITIAL)
def hourly_training(context: dg.ScheduleEvaluationContext, warehouse: Warehouse) -> dg.RunRequest | dg.SkipReason:
    """Train and predict when anything the models learn from has changed since the last training."""
    if skip := _skip_if_active(context, train_and_predict.name):
        return skip
    with warehouse.connect() as connection:
        last_trained = features.state(connection, features.PREDICTIONS_STEP)
        films_are_known = features.training_fingerprint(connection) == last_trained
        if films_are_known and forecasting.is_up_to_date(connection, _tick(context).date()):
            return dg.SkipReason("nothing the models learn from has changed since the last training")
    return dg.RunRequest(run_key=_run_key(context))
