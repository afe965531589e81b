"""The forecast assets: the forecaster, and the forecasts that are made each day for every film."""

import datetime as dt
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import dagster as dg

from horror_pipeline.defs.partitions import days, days_of
from horror_pipeline.defs.resources import Clock, Warehouse
from horror_pipeline.domain import FORECASTER_NAME
from horror_pipeline.modeling.artifacts import library_versions
from horror_pipeline.orchestration import forecasting
from horror_pipeline.orchestration.each_partition import record_partitions
from horror_pipeline.orchestration.learning import SEED
from horror_pipeline.orchestration.metadata import Figures, skip
from horror_pipeline.orchestration.progress import Progress
from horror_pipeline.warehouse import forecasts, models, predictions


@dg.asset(
    key=FORECASTER_NAME,
    deps=["movies", dg.AssetDep("movie_snapshots", partition_mapping=dg.LastPartitionMapping())],
    group_name="models",
    kinds={"scikitlearn", "postgres"},
    code_version="1",
)
def popularity_forecaster(
    context: dg.AssetExecutionContext, warehouse: Warehouse, clock: Clock
) -> dg.MaterializeResult:
    """The model that forecasts how popularity changes within 1, 3, 7, 14 and 30 days, learned from the daily history.

    Each horizon has its own gradient boosting model. It is tested on the newest weeks, with models that were fitted on
    the days before them, and is used only if it beats the forecast "no change" by more than chance. Otherwise, "no
    change" is forecast. All models are fitted again once a week, more often while the history is short, and when a day
    of the history was stored late or gained films. All versions are in `model_versions`.
    """
    with warehouse.connect() as connection:
        days_stored = forecasting.days_of_history(connection)
        reason = forecasting.why_refit(connection, days_stored) if days_stored else "there is no history yet"
    if days_stored and reason is not None:
        _fit(warehouse, days_stored, clock())
    context.log.info(reason or "the forecaster is recent")
    with warehouse.connect() as connection:
        row = models.champion(connection, FORECASTER_NAME)
    version = dg.DataVersion(row["model_version"] if row else "no champion")
    metadata = {"reason": reason or "the forecaster is recent", **_metadata(row)}
    return dg.MaterializeResult(metadata=metadata, data_version=version)


def _fit(warehouse: Warehouse, days_stored: Sequence[dt.date], now: dt.datetime) -> None:
    from horror_pipeline.modeling.forecasting.forecaster import fit_forecaster

    made_on = days_stored[-1]
    with warehouse.connect() as connection:
        films_known = forecasting.films_known(connection, made_on)
    history, release_dates = forecasting.read_history(warehouse, days_stored[0], made_on)
    fitted = fit_forecaster(history, release_dates, made_on, SEED)
    row = forecasting.version_row(fitted, history, days_stored=len(days_stored), films_known=films_known)
    with warehouse.begin() as connection:
        models.promote(connection, row | {"trained_at": now, "library_versions": library_versions()})
    models.vacuum_versions(warehouse)


def _metadata(row: dict[str, Any] | None) -> dict[str, Any]:
    """Describe the champion by horizon, compared with the forecast "no change"."""
    if row is None:
        return {}
    from horror_pipeline.modeling import charts

    figures: dict[str, Any] = {key: row[key] for key in ("model_version", "algorithm", "training_rows")}
    figures["trained_at"] = dg.MetadataValue.timestamp(row["trained_at"])
    horizons = row["metrics"]["horizons"]
    figures["horizons"] = dg.MetadataValue.md(forecasting.horizon_table(horizons))
    if ratios := {f"{days} days": 1 - figure["skill"] for days, figure in horizons.items() if figure["days"]}:
        chart = charts.markdown("error by horizon", charts.errors_by_horizon(ratios))
        figures["error_by_horizon"] = dg.MetadataValue.md(chart)
    if held := horizons["7"]["reliability"]:
        chance, came, _ = zip(*held, strict=True)
        chart = charts.markdown("chances", charts.reliability("popularity higher after 7 days", chance, came))
        figures["chances"] = dg.MetadataValue.md(chart)
    return figures


@dg.asset(
    key="popularity_forecasts",
    partitions_def=days,
    backfill_policy=dg.BackfillPolicy.single_run(),
    # `movie_snapshots` is no dependency here, because Dagster cannot map its days to a run without a partition.
    deps=[FORECASTER_NAME],
    group_name="predictions",
    kinds={"scikitlearn", "postgres"},
    code_version="1",
    output_required=False,
)
def popularity_forecasts(
    context: dg.AssetExecutionContext, warehouse: Warehouse, clock: Clock
) -> Iterator[dg.MaterializeResult]:
    """Popularity of every film 1, 3, 7, 14 and 30 days after a day, with 80 % intervals, from what was known that day.

    Forecasts from the newest day are made by the present forecaster. Forecasts from past days are made as they would
    have been made then, by a forecaster fitted on the Monday of that week. They are marked `is_backtest`, and never
    replace forecasts that were made at the time. A run without a partition makes the forecasts from the newest day and
    all that are missing. What contributed to each forecast from the newest day is in `prediction_explanations`.
    """
    today, has_days = clock().date(), context.has_partition_key or context.has_partition_key_range
    with warehouse.connect() as connection:
        plan = forecasting.plan(connection, days_of(context) if has_days else None, today)
    reasons = "; ".join(f"{reason} (days: {count})" for reason, count in Counter(plan.skipped.values()).items())
    if not plan.days:
        skip(context, reasons or "every day has its forecasts")
        return
    if reasons:
        context.log.info(f"not forecast: {reasons}")
    progress = Progress(context.log, "days of forecasts", len(plan.days))
    done: dict[str, Figures] = {}
    for day, made in forecasting.forecasts_of(warehouse, plan, SEED):
        is_backtest = day != plan.live_day
        with warehouse.begin() as connection:
            rows = forecasts.replace_forecasts(connection, day, made.columns, is_backtest=is_backtest)
            if not is_backtest:
                predictions.replace_explanations(connection, made.explanations, of_forecasts=True)
        done[str(day)] = {"dagster/partition_row_count": rows, "films_without_forecast": made.films_without}
        progress.advance()
    progress.finish()
    if plan.live_day is not None:
        with warehouse.begin() as connection:
            forecasting.finish(connection, plan.live_day, clock())
    if has_days and not plan.skipped:
        for key, figures in done.items():
            context.add_asset_metadata(figures, partition_key=key)
        yield dg.MaterializeResult()
    else:
        # If the asset yielded a result, Dagster would record every partition of the run, not only those that were made.
        record_partitions(context, done)
