"""Whether the day that is due is there: checks of that day alone, and the sensor that judges them while nothing runs.

A freshness policy passes whenever any partition is materialized, so a backfill of last year would silence it.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable

import dagster as dg
from sqlalchemy import Connection, Engine

from horror_pipeline.defs.resources import Clock
from horror_pipeline.settings import get_settings
from horror_pipeline.warehouse import raw, snapshots

DUE_HOURS = 12
"""Hours of the UTC day after which its export, and the changes of the day before, should be stored."""

DUE_DAY_IS_STORED = "due_day_is_stored"


def _snapshots(connection: Connection, day: dt.date) -> tuple[dt.date, set[dt.date]]:
    return day, snapshots.snapshot_days(connection)


def _changes(connection: Connection, day: dt.date) -> tuple[dt.date, set[dt.date]]:
    return day - dt.timedelta(days=1), raw.collected_change_days(connection)


STORED: dict[str, Callable[[Connection, dt.date], tuple[dt.date, set[dt.date]]]] = {
    "movie_snapshots": _snapshots,
    "raw/movie_changes": _changes,
}
"""By asset: from the day whose data is out, the day that is due, and the days that are stored."""


def judge(connection: Connection, asset: str, now: dt.datetime) -> tuple[bool, str]:
    """Say whether the asset's due day is stored; before any film is known, nothing is due."""
    day, stored = STORED[asset](connection, (now - dt.timedelta(hours=DUE_HOURS)).date())
    first_read = raw.first_read_date(connection)
    if first_read is None or first_read > day:
        return True, f"films were first read after {day}"
    return day in stored, f"{day} is {'stored' if day in stored else 'due and not stored'}"


def due_day_check(asset: str) -> dg.AssetChecksDefinition:
    """Make the check of an asset's due day."""

    @dg.asset_check(
        asset=dg.AssetKey.from_user_string(asset),
        name=DUE_DAY_IS_STORED,
        description=f"The newest day that TMDB has published for {DUE_HOURS} hours is stored, whatever other days were "
        "stored since. The sensor `due_days` judges it every ten minutes.",
    )
    def check(warehouse: dg.ResourceParam[Engine], clock: dg.ResourceParam[Clock]) -> dg.AssetCheckResult:
        with warehouse.connect() as connection:
            passed, description = judge(connection, asset, clock())
        return dg.AssetCheckResult(passed=passed, description=description)

    return check


snapshots_are_due = due_day_check("movie_snapshots")
changes_are_due = due_day_check("raw/movie_changes")


@dg.sensor(
    minimum_interval_seconds=600,
    default_status=(
        dg.DefaultSensorStatus.RUNNING if get_settings().horror_schedules else dg.DefaultSensorStatus.STOPPED
    ),
)
def due_days(
    context: dg.SensorEvaluationContext, warehouse: dg.ResourceParam[Engine], clock: dg.ResourceParam[Clock]
) -> dg.SensorResult:
    """Record the check `due_day_is_stored` of each daily asset when its result changes."""
    with warehouse.connect() as connection:
        found = {asset: judge(connection, asset, clock()) for asset in STORED}
    told = json.loads(context.cursor or "{}")
    evaluations = [
        dg.AssetCheckEvaluation(
            asset_key=dg.AssetKey.from_user_string(asset),
            check_name=DUE_DAY_IS_STORED,
            passed=passed,
            description=description,
        )
        for asset, (passed, description) in found.items()
        if told.get(asset) != [passed, description]
    ]
    return dg.SensorResult(asset_events=evaluations, cursor=json.dumps(found))
