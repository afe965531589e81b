"""Nothing is kept for ever: TMDB's data by its terms, Dagster's runs, events and ticks by the setting.

What belongs here: the job `enforce_retention` and its schedule, and what Dagster is to forget. What does not: which
rows are too old, which is in `warehouse.history`.
"""

import datetime as dt
from collections.abc import Iterator, Set
from typing import Any, cast

import dagster as dg
from sqlalchemy import Engine, String, bindparam, text

from horror_pipeline.defs.resources import Clock
from horror_pipeline.defs.schedules import INITIAL
from horror_pipeline.settings import Settings
from horror_pipeline.warehouse import retention

FINISHED = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]

MOST_RUNS = 2_000
"""Runs deleted at once, oldest first: some 20 a second go, and what is left goes the next day."""

RECORDS_A_QUERY = 500


@dg.op(out=dg.Out(dg.Nothing))
def delete_old_data(
    context: dg.OpExecutionContext,
    warehouse: dg.ResourceParam[Engine],
    settings: dg.ResourceParam[Settings],
    clock: dg.ResourceParam[Clock],
) -> None:
    """Delete documents, films, history and predictions older than HORROR_RETENTION_DAYS; models' metrics stay."""
    limit = clock().date() - dt.timedelta(days=settings.horror_retention_days)
    with warehouse.begin() as connection:
        deleted = retention.purge(connection, limit)
    context.log.info(f"rows from before {limit} deleted: " + ", ".join(f"{name} {n:,}" for name, n in deleted.items()))
    context.add_output_metadata({"deleted_before": str(limit), **deleted})


@dg.op(out=dg.Out(dg.Nothing), ins={"after": dg.In(dg.Nothing)})
def delete_old_runs(
    context: dg.OpExecutionContext, settings: dg.ResourceParam[Settings], clock: dg.ResourceParam[Clock]
) -> None:
    """Delete Dagster's finished runs, their events, logs and check results, and ticks, past HORROR_RUN_HISTORY_DAYS.

    The newest run of each partition stays as long as the data it made, or the partition would look never made.
    """
    now, instance = clock(), context.instance
    before = now - dt.timedelta(days=settings.horror_run_history_days)
    needed = set(_runs_behind_data(instance, now - dt.timedelta(days=settings.horror_retention_days)))
    finished = instance.get_run_ids(filters=dg.RunsFilter(statuses=FINISHED, created_before=before))
    old = [run_id for run_id in reversed(finished) if run_id not in needed][:MOST_RUNS]
    for run_id in old:
        instance.delete_run(run_id)
        instance.compute_log_manager.delete_logs(prefix=[run_id])
    results = _delete_check_results(instance, before, needed & set(finished))
    for state in instance.all_instigator_state():
        instance.purge_ticks(state.instigator_origin_id, state.selector_id, before.timestamp())
    context.log.info(f"{len(old):,} runs from before {before:%Y-%m-%d} deleted, and the ticks from before it")
    context.add_output_metadata(
        {
            "runs_deleted": len(old),
            "runs_kept_for_their_data": len(needed & set(finished)),
            "check_results_deleted": results,
        }
    )


def _runs_behind_data(instance: dg.DagsterInstance, since: dt.datetime) -> Iterator[str]:
    """The runs that last materialised an asset or a partition of one, unless that is longer ago than data is kept."""
    for key in instance.get_asset_keys():
        latest = instance.get_latest_materialization_event(key)
        if latest is not None:
            yield latest.run_id
        made = dg.DagsterEventType.ASSET_MATERIALIZATION
        ids = sorted(instance.get_latest_storage_id_by_partition(key, made).values())
        for start in range(0, len(ids), RECORDS_A_QUERY):
            wanted = dg.AssetRecordsFilter(asset_key=key, storage_ids=ids[start : start + RECORDS_A_QUERY])
            found = instance.fetch_materializations(wanted, limit=RECORDS_A_QUERY)
            yield from (record.run_id for record in found.records if record.timestamp >= since.timestamp())


_OLD_CHECK_RESULTS = text(
    """
    DELETE FROM asset_check_executions
    WHERE create_timestamp < :before AND run_id NOT IN :kept
      AND id NOT IN (SELECT max(id) FROM asset_check_executions GROUP BY asset_key, check_name)
    """
).bindparams(bindparam("kept", type_=String, expanding=True))


def _delete_check_results(instance: dg.DagsterInstance, before: dt.datetime, kept: Set[str]) -> int:
    """Delete results of asset checks but the newest of each, and those of runs that stay; returns how many.

    Dagster deletes them neither with their run nor otherwise, and they take as much room as the events.
    """
    storage = cast(
        Any, instance.event_log_storage
    )  # what is in SQL has connections; the base class knows nothing of it
    with storage.index_connection() as connection:
        values = {"before": before.replace(tzinfo=None), "kept": sorted(kept)}
        return int(connection.execute(_OLD_CHECK_RESULTS, values).rowcount)


def forget_materialisations(instance: dg.DagsterInstance) -> None:
    """Have Dagster show every asset and partition as never made: their data is gone, all of it.

    Of parts of an asset Dagster can forget nothing on Postgres: they go with their runs, in `delete_old_runs`.
    """
    instance.wipe_assets(instance.get_asset_keys())


@dg.job(tags={"dagster/max_retries": "1"})
def enforce_retention() -> None:
    """Delete what is older than may be kept: TMDB's data, then Dagster's own history."""
    delete_old_runs(after=delete_old_data())


@dg.schedule(job=enforce_retention, cron_schedule="30 3 * * *", default_status=INITIAL)
def daily_retention(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
    """Once a day, in the quiet hours."""
    return dg.RunRequest(run_key=f"{context.scheduled_execution_time:%Y-%m-%d}")
