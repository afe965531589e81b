"""The assets of forecasts: the forecaster, and what it forecasts for every film on each day."""

import datetime as dt
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import dagster as dg
from sqlalchemy import Engine

from horror_pipeline.defs.partitions import days, days_of
from horror_pipeline.defs.resources import Clock
from horror_pipeline.domain import FORECASTER_NAME
from horror_pipeline.modeling.artifacts import library_versions
from horror_pipeline.orchestration import forecasting
from horror_pipeline.orchestration.each_partition import record_partitions
from horror_pipeline.orchestration.learning import SEED
from horror_pipeline.orchestration.metadata import Figures, last_metadata, skip
from horror_pipeline.orchestration.progress import Progress
from horror_pipeline.warehouse import forecasts, models

if TYPE_CHECKING:
    from horror_pipeline.modeling.forecasting.forecaster import FittedForecaster

CHARTS = ("error_by_horizon", "error_by_day")
"""Metadata that holds a picture."""


@dg.asset(
    key=FORECASTER_NAME,
    deps=["movies", dg.AssetDep("movie_snapshots", partition_mapping=dg.LastPartitionMapping())],
    group_name="models",
    kinds={"scikitlearn", "postgres"},
    code_version="1",
)
def popularity_forecaster(
    context: dg.AssetExecutionContext, warehouse: dg.ResourceParam[Engine], clock: dg.ResourceParam[Clock]
) -> dg.MaterializeResult:
    """How popularity changes within 1, 3, 7, 14 and 30 days, learned from the daily history of all films.

    One gradient boosting for each horizon. The newest weeks are forecast by models fitted before them; a model serves only
    if its errors are smaller than those of "no change" by more than chance, and otherwise no change is forecast. The
    forecaster is fitted anew once a week, and earlier when much history was added. All versions are in `model_versions`.
    """
    with warehouse.connect() as connection:
        row = models.champion(connection, FORECASTER_NAME)
        days_stored = forecasting.days_of_history(connection)
    fitted: FittedForecaster | None = None
    reason = "there is no history yet" if not days_stored else forecasting.why_refit(row, days_stored)
    if days_stored and reason is not None:
        fitted = _fit(warehouse, days_stored, clock())
    context.log.info(reason or "the forecaster is recent")
    with warehouse.connect() as connection:
        row = models.champion(connection, FORECASTER_NAME)
    version = dg.DataVersion(row["model_version"] if row else "no champion")
    metadata = {"reason": reason or "the forecaster is recent", **_metadata(context, row, fitted)}
    return dg.MaterializeResult(metadata=metadata, data_version=version)


def _fit(warehouse: Engine, days_stored: Sequence[dt.date], now: dt.datetime) -> "FittedForecaster":
    from horror_pipeline.modeling.forecasting.forecaster import fit_forecaster

    made_on = days_stored[-1]
    history, movies = forecasting.read_history(warehouse, days_stored[0], made_on)
    fitted = fit_forecaster(history, movies, made_on, SEED)
    row = forecasting.version_row(fitted, history, len(days_stored)) | {"trained_at": now}
    with warehouse.begin() as connection:
        models.promote(connection, row | {"library_versions": library_versions()})
    models.vacuum_versions(warehouse)
    return fitted


def _metadata(
    context: dg.AssetExecutionContext, row: dict[str, Any] | None, fitted: "FittedForecaster | None"
) -> dict[str, Any]:
    """Describe the champion horizon by horizon, beside no change."""
    if row is None:
        return {}
    figures: dict[str, Any] = {key: row[key] for key in ("model_version", "algorithm", "training_rows")}
    figures["trained_at"] = dg.MetadataValue.timestamp(row["trained_at"])
    figures["horizons"] = dg.MetadataValue.md(forecasting.horizon_table(row["metrics"]["horizons"]))
    if fitted is None:
        return figures | {key: value for key, value in last_metadata(context).items() if key in CHARTS}
    from horror_pipeline.modeling import charts

    pictures = forecasting.charts_of(fitted)
    return figures | {
        title.replace(" ", "_"): dg.MetadataValue.md(charts.markdown({title: svg})) for title, svg in pictures.items()
    }


@dg.asset(
    key="popularity_forecasts",
    partitions_def=days,
    backfill_policy=dg.BackfillPolicy.single_run(),
    deps=["movie_snapshots", FORECASTER_NAME],
    group_name="predictions",
    kinds={"scikitlearn", "postgres"},
    code_version="1",
    output_required=False,
)
def popularity_forecasts(
    context: dg.AssetExecutionContext, warehouse: dg.ResourceParam[Engine], clock: dg.ResourceParam[Clock]
) -> None:
    """Popularity of every film 1, 3, 7, 14 and 30 days after a day, with 80 % intervals, from what was known on that day.

    The newest day is forecast by the present forecaster. Past days are forecast as they would have been, by forecasters
    fitted in the week of each day on nothing later; these are marked `is_backtest` and never replace a forecast that was
    made at the time. A run without a partition makes the newest day's forecasts and those that are missing.
    """
    today = clock().date()
    with warehouse.connect() as connection:
        plan = forecasting.plan(connection, days_of(context) if context.has_partition_key_range else None, today)
    for day, reason in plan.skipped.items():
        context.log.info(f"{day}: {reason}")
    if not plan.days:
        skip(context, "; ".join(sorted(set(plan.skipped.values()))) or "every day has its forecasts")
        return
    progress = Progress(context.log, "days of forecasts", len(plan.days))
    done: dict[str, Figures] = {}
    for day, made in forecasting.forecasts_of(warehouse, plan, SEED):
        with warehouse.begin() as connection:
            rows = forecasts.replace_forecasts(connection, day, made.columns, is_backtest=made.is_backtest)
        done[str(day)] = {"dagster/partition_row_count": rows, "films_without_forecast": made.films_without}
        progress.advance()
    progress.finish()
    with warehouse.begin() as connection:
        forecasting.finish(connection, clock())
    record_partitions(context, done)
