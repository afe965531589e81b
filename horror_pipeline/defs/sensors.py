"""The sensors that post alerts and a weekly digest, and the one that marks runs whose process has died as failed."""

from __future__ import annotations

import time

import dagster as dg

from horror_pipeline.defs.resources import Clock, Warehouse
from horror_pipeline.orchestration.alerts import Alerts, Cursor
from horror_pipeline.orchestration.breakouts import message_of
from horror_pipeline.orchestration.code_version import note_code_version
from horror_pipeline.orchestration.digest import message_of as digest_of
from horror_pipeline.orchestration.digest import week_due
from horror_pipeline.orchestration.liveness import reap_dead_runs
from horror_pipeline.orchestration.messages import poster, ui_url
from horror_pipeline.orchestration.monitoring import note_finished_runs
from horror_pipeline.settings import get_settings
from horror_pipeline.warehouse.movers import newest_breakouts
from horror_pipeline.warehouse.weeks import read_week


def status_if(setting: object) -> dg.DefaultSensorStatus:
    """Return the initial status of a sensor, which is running if the setting is set and stopped otherwise."""
    return dg.DefaultSensorStatus.RUNNING if setting else dg.DefaultSensorStatus.STOPPED


@dg.sensor(
    minimum_interval_seconds=30,
    default_status=status_if(get_settings().horror_alert_webhook),
)
def failure_alerts(context: dg.SensorEvaluationContext) -> dg.SensorResult:
    """Post one JSON message for each failed run, failed check and stale asset to `HORROR_ALERT_WEBHOOK`."""
    settings = get_settings()
    post = poster(settings)
    if post is None:
        return dg.SensorResult(skip_reason="HORROR_ALERT_WEBHOOK is not set", cursor="")
    alerts = Alerts(context.instance, ui_url(settings), post, time.time())
    cursor, why_stopped = alerts.post_since(Cursor.parse(context.cursor))
    if why_stopped:
        context.log.warning(f"messages are kept for the next try: {why_stopped}")
    summary = f"{alerts.posted} posted" if alerts.posted or why_stopped else "nothing new has failed"
    return dg.SensorResult(skip_reason=f"{summary}; {why_stopped}" if why_stopped else summary, cursor=str(cursor))


@dg.sensor(
    minimum_interval_seconds=300,
    default_status=status_if(get_settings().horror_alert_breakouts),
)
def breakout_alerts(context: dg.SensorEvaluationContext, warehouse: Warehouse) -> dg.SensorResult:
    """Post the breakouts of each new day of `movie_movers` to `HORROR_ALERT_WEBHOOK`, as one JSON message."""
    settings = get_settings()
    post = poster(settings)
    if post is None:
        return dg.SensorResult(skip_reason="HORROR_ALERT_WEBHOOK is not set")
    with warehouse.connect() as connection:
        day, rows = newest_breakouts(connection)
    if day is None or str(day) == context.cursor:
        return dg.SensorResult(skip_reason="no new day has movers")
    if rows:
        try:
            post(message_of(day, rows, ui_url(settings)))
        except OSError as error:
            context.log.warning(f"the message is kept for the next try: {error}")
            return dg.SensorResult(skip_reason=str(error))
    return dg.SensorResult(skip_reason=f"{len(rows)} films broke out on {day}", cursor=str(day))


@dg.sensor(
    minimum_interval_seconds=600,
    default_status=status_if(get_settings().horror_alert_webhook),
)
def weekly_digest(context: dg.SensorEvaluationContext, warehouse: Warehouse, clock: Clock) -> dg.SensorResult:
    """Post a summary of the past week to `HORROR_ALERT_WEBHOOK` every Monday, as one JSON message.

    The message says how many runs there were and how many failed, how the errors of forecasts compare with those of
    forecasting "no change", and which films broke out. The sensor's cursor is the first day of the last week that was
    posted. A week that could not be posted is skipped once the next week's message is due.
    """
    settings, monday = get_settings(), week_due(clock())
    post = poster(settings)
    if post is None:
        return dg.SensorResult(skip_reason="HORROR_ALERT_WEBHOOK is not set")
    if context.cursor is None:
        return dg.SensorResult(skip_reason="the first week to be posted is the present one", cursor=str(monday))
    if str(monday) <= context.cursor:
        return dg.SensorResult(skip_reason=f"the week from {context.cursor} is posted")
    with warehouse.connect() as connection:
        week = read_week(connection, monday)
    try:
        post(digest_of(week, ui_url(settings)))
    except OSError as error:
        context.log.warning(f"the message is kept for the next try: {error}")
        return dg.SensorResult(skip_reason=str(error))
    return dg.SensorResult(skip_reason=f"the week from {monday} was posted", cursor=str(monday))


@dg.sensor(minimum_interval_seconds=15, default_status=dg.DefaultSensorStatus.RUNNING)
def dead_runs(context: dg.SensorEvaluationContext, warehouse: Warehouse) -> dg.SkipReason:
    """Mark runs on any host as failed if their process has died, because they would otherwise block the queue forever.

    Also record in `finished_runs` which runs ended, for monitoring.
    """
    note_code_version(warehouse)
    reaped = reap_dead_runs(context.instance, warehouse)
    context.update_cursor(note_finished_runs(context.instance, warehouse, context.cursor) or "")
    return dg.SkipReason(f"marked failed: {', '.join(reaped)}" if reaped else "every run under way has a live process")
