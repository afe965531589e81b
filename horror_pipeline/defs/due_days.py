"""Checks that the newest day is stored and that no stored day failed a check, and the sensor that evaluates them.

Dagster by itself shows neither. A freshness policy passes if any partition was materialized lately, even one of last
year. An asset's overview counts only the newest result of a partitioned check, so a good day would hide a bad one.
"""

import datetime as dt
import json
from collections.abc import Callable

import dagster as dg
from sqlalchemy import Connection

from horror_pipeline.defs.resources import Clock, Warehouse
from horror_pipeline.defs.sensors import status_if
from horror_pipeline.defs.snapshots import ROWS_HOLD, SCALE_HOLDS
from horror_pipeline.orchestration.each_partition import LONGEST_LIST
from horror_pipeline.settings import get_settings
from horror_pipeline.warehouse import raw, snapshots

DUE_HOURS = 12
"""Hours after a UTC day began when its id export, and the changes of the day before, should be stored."""

DUE_DAY_IS_STORED, EVERY_DAY_IS_GOOD = "due_day_is_stored", "every_day_is_good"

HISTORY = dg.AssetKey("movie_snapshots")


STORED: dict[str, tuple[Callable[[Connection], set[dt.date]], int]] = {
    "movie_snapshots": (snapshots.snapshot_days, 0),
    "raw/movie_changes": (raw.collected_change_days, 1),
}
"""By asset: the function that reads which days are stored, and how many days its due day is before that of exports."""


def judge(connection: Connection, asset: str, now: dt.datetime) -> tuple[bool, str]:
    """Return whether the newest day due is stored, and why. No day before films were first read is due."""
    stored_days, days_back = STORED[asset]
    day = (now - dt.timedelta(hours=DUE_HOURS)).date() - dt.timedelta(days=days_back)
    first_read = raw.first_read_date(connection)
    if first_read is None or first_read > day:
        return True, f"films were first read after {day}"
    is_stored = day in stored_days(connection)
    return is_stored, f"{day} is {'stored' if is_stored else 'due and not stored'}"


def judge_days(instance: dg.DagsterInstance, connection: Connection) -> tuple[bool, str]:
    """Return whether every stored day of history passed its checks when it was last collected, and which did not."""
    keys = [dg.AssetCheckKey(HISTORY, spec.name) for spec in (ROWS_HOLD, SCALE_HOLDS)]
    failed = {
        found.partition_key
        for found in instance.event_log_storage.get_asset_check_partition_info(keys)
        if found.latest_execution_status.value == "FAILED"
    }
    bad = sorted(str(day) for day in snapshots.snapshot_days(connection) if str(day) in failed)
    listed = ", ".join(bad[:LONGEST_LIST]) + (", …" if len(bad) > LONGEST_LIST else "")
    return not bad, f"failed their checks: {listed}" if bad else "no stored day failed its checks"


@dg.asset_check(
    asset=HISTORY,
    name=EVERY_DAY_IS_GOOD,
    description=f"Every stored day passed `{ROWS_HOLD.name}` and `{SCALE_HOLDS.name}` when it was last taken. To "
    "correct a day that did not, take it and the day after it again: `horror backfill snapshots`.",
)
def history_is_good(context: dg.AssetCheckExecutionContext, warehouse: Warehouse) -> dg.AssetCheckResult:
    """Check that each stored day passed its own checks when it was last collected."""
    with warehouse.connect() as connection:
        passed, description = judge_days(context.instance, connection)
    return dg.AssetCheckResult(passed=passed, description=description)


def due_day_check(asset: str) -> dg.AssetChecksDefinition:
    """Build the check that the newest day due of an asset is stored."""

    @dg.asset_check(
        asset=dg.AssetKey.from_user_string(asset),
        name=DUE_DAY_IS_STORED,
        description=f"The newest day that TMDB has published for {DUE_HOURS} hours is stored. A backfill of "
        "other days does not count. The sensor `due_days` judges it every ten minutes.",
    )
    def check(warehouse: Warehouse, clock: Clock) -> dg.AssetCheckResult:
        with warehouse.connect() as connection:
            passed, description = judge(connection, asset, clock())
        return dg.AssetCheckResult(passed=passed, description=description)

    return check


snapshots_are_due = due_day_check("movie_snapshots")
changes_are_due = due_day_check("raw/movie_changes")


@dg.sensor(
    minimum_interval_seconds=600,
    default_status=status_if(get_settings().horror_schedules),
)
def due_days(context: dg.SensorEvaluationContext, warehouse: Warehouse, clock: Clock) -> dg.SensorResult:
    """Record `due_day_is_stored` of daily assets and `every_day_is_good` of the history when their results change."""
    with warehouse.connect() as connection:
        found = {f"{asset}:{DUE_DAY_IS_STORED}": judge(connection, asset, clock()) for asset in STORED}
        found[f"movie_snapshots:{EVERY_DAY_IS_GOOD}"] = judge_days(context.instance, connection)
    recorded = json.loads(context.cursor or "{}")
    evaluations = [
        dg.AssetCheckEvaluation(
            asset_key=dg.AssetKey.from_user_string(name.partition(":")[0]),
            check_name=name.partition(":")[2],
            passed=passed,
            description=description,
        )
        for name, (passed, description) in found.items()
        if recorded.get(name) != [passed, description]
    ]
    return dg.SensorResult(asset_events=evaluations, cursor=json.dumps(found))
