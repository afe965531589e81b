"""The asset `prediction_outcomes`, and its checks of the errors of earlier predictions."""

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import dagster as dg

from horror_pipeline.defs.partitions import days, days_of
from horror_pipeline.defs.resources import Warehouse
from horror_pipeline.modeling import live_error
from horror_pipeline.orchestration.each_partition import record_partitions
from horror_pipeline.orchestration.learning import read_champions
from horror_pipeline.orchestration.partition_checks import record_results
from horror_pipeline.warehouse import forecasts, outcomes, tables
from horror_pipeline.warehouse.days import days_left_out

MIN_VOTES_JUDGED = 10

MOST_SCALE_SHIFT = 2.0
"""If the typical film's popularity changes by more than this factor in a month, its scale must have changed."""

SKILL_DAYS = 7
"""Days over which forecasts are compared with "no change"; the result of a single day depends too much on chance."""

CATCH_UP_DAYS = 7
"""A run also writes any missing outcomes of this many days before its first day."""

LIVE_ERROR_IS_AS_PROMISED = dg.AssetCheckSpec(
    "live_error_is_as_promised",
    asset="prediction_outcomes",
    partitions_def=days,
    description=f"No model's error on outcomes is above {live_error.MOST_LIVE_ERROR} times its error in the backtest.",
)
POPULARITY_SCALE_HOLDS = dg.AssetCheckSpec(
    "popularity_scale_holds",
    asset="prediction_outcomes",
    partitions_def=days,
    description=f"The typical film's popularity is within a factor of {MOST_SCALE_SHIFT} of its value when predicted.",
)

FORECASTS_BEAT_NO_CHANGE = dg.AssetCheckSpec(
    "forecasts_beat_no_change",
    asset="prediction_outcomes",
    description='In the last week, live forecasts of every horizon were at least as good as forecasting "no change".',
)


@dg.asset(
    key="prediction_outcomes",
    partitions_def=days,
    backfill_policy=dg.BackfillPolicy.single_run(),
    deps=["movie_snapshots", dg.AssetDep("model_predictions")],
    group_name="predictions",
    kinds={"postgres"},
    code_version="1",
    check_specs=[LIVE_ERROR_IS_AS_PROMISED, POPULARITY_SCALE_HOLDS, FORECASTS_BEAT_NO_CHANGE],
)
def prediction_outcomes(
    context: dg.AssetExecutionContext, warehouse: Warehouse
) -> Iterator[dg.MaterializeResult | dg.AssetCheckResult]:
    """Earlier predictions, compared with the snapshot of a day.

    A prediction for a released film is compared 1, 7 and 30 days after it was made. The last prediction made before a
    film's release is compared on the day of release, and 7 and 30 days later. Ratings are compared only for films whose
    votes were listed on the day of the snapshot.
    """
    _catch_up(context, warehouse)
    with warehouse.connect() as connection:
        champions = read_champions(connection)
    promised = {name: row["metrics"]["mean"]["mae"] for name, row in champions.items() if row}
    judged: dict[str, list[dg.AssetCheckResult]] = {}
    for day in days_of(context):
        with warehouse.begin() as connection:
            written = outcomes.replace_outcomes(connection, day)
            accuracy = outcomes.accuracy(connection, day, MIN_VOTES_JUDGED)
            shift = outcomes.popularity_shift(connection, day)
        figures = {"dagster/partition_row_count": written, **live_error.live_figures(accuracy)}
        context.add_asset_metadata(figures, partition_key=day.isoformat())
        judged[day.isoformat()] = [_error_check(accuracy, promised), _scale_check(*shift)]
    with warehouse.connect() as connection:
        skill = forecasts.live_skill(connection, max(days_of(context)) - dt.timedelta(days=SKILL_DAYS - 1))
    yield dg.MaterializeResult()
    yield from (*record_results(context, judged), _skill_check(skill))


def _catch_up(context: dg.AssetExecutionContext, warehouse: Warehouse) -> None:
    """Write the outcomes that earlier days with a snapshot lack because another day of their run failed."""
    first, column = min(days_of(context)), tables.prediction_outcomes.c.outcome_date
    with warehouse.begin() as connection:
        left_out = days_left_out(connection, column, first, CATCH_UP_DAYS)
        written = {day: outcomes.replace_outcomes(connection, day) for day in left_out}
    record_partitions(context, {day: {"dagster/partition_row_count": rows} for day, rows in written.items() if rows})


def _error_check(accuracy: Sequence[Mapping[str, Any]], promised: Mapping[str, float]) -> dg.AssetCheckResult:
    broken = live_error.broken_promises(accuracy, promised)
    return dg.AssetCheckResult(
        check_name=LIVE_ERROR_IS_AS_PROMISED.name,
        passed=not broken,
        metadata=broken or {"judged": len(accuracy)},
    )


def _scale_check(films: int, shift: float | None) -> dg.AssetCheckResult:
    is_judged = films >= live_error.FEWEST_JUDGED and shift is not None
    return dg.AssetCheckResult(
        check_name=POPULARITY_SCALE_HOLDS.name,
        passed=not is_judged or 1 / MOST_SCALE_SHIFT <= (shift or 0.0) <= MOST_SCALE_SHIFT,
        metadata={"films": films, **({} if shift is None else {"median_ratio": round(shift, 4)})},
    )


def _skill_check(skill: Mapping[int, Mapping[str, Any]]) -> dg.AssetCheckResult:
    worse = {
        f"{days} days": f"skill {figures['skill']:.3f}"
        for days, figures in skill.items()
        if figures["skill"] is not None and figures["skill"] < 0
    }
    return dg.AssetCheckResult(
        check_name=FORECASTS_BEAT_NO_CHANGE.name,
        passed=not worse,
        metadata=worse or {"horizons_judged": len(skill)},
    )
