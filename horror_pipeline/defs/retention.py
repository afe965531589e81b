"""The job `enforce_retention` and its schedule: delete TMDB's data and Dagster's records that are too old.

Old ticks of schedules and sensors are deleted by Dagster itself, as `dagster.yaml` says.
"""

import datetime as dt
import shutil
from collections.abc import Iterator

import dagster as dg

from horror_pipeline.defs.resources import Clock, PipelineSettings, Warehouse
from horror_pipeline.defs.schedules import INITIAL
from horror_pipeline.orchestration.check_results import delete_check_results
from horror_pipeline.orchestration.monitoring import FINISHED
from horror_pipeline.warehouse import retention

MOST_RUNS = 2_000
"""Highest number of runs that the job deletes each day, oldest first. It deletes about 20 a second."""

RECORDS_A_QUERY = 500


@dg.op(out=dg.Out(dg.Nothing))
def delete_old_data(
    context: dg.OpExecutionContext, warehouse: Warehouse, settings: PipelineSettings, clock: Clock
) -> None:
    """Delete documents, films, history and predictions older than HORROR_RETENTION_DAYS; metrics of models are kept."""
    limit = clock().date() - dt.timedelta(days=settings.horror_retention_days)
    with warehouse.begin() as connection:
        deleted = retention.purge(connection, limit)
    context.log.info(f"rows from before {limit} deleted: " + ", ".join(f"{name} {n:,}" for name, n in deleted.items()))
    context.add_output_metadata({"deleted_before": str(limit), **deleted})


@dg.op(out=dg.Out(dg.Nothing), ins={"after": dg.In(dg.Nothing)})
def delete_old_runs(context: dg.OpExecutionContext, settings: PipelineSettings, clock: Clock) -> None:
    """Delete Dagster's finished runs, with their events, logs and check results, older than HORROR_RUN_HISTORY_DAYS.

    The newest run of each partition is kept as long as its data, because Dagster would otherwise show the partition as
    missing.
    """
    now, instance = clock(), context.instance
    before = now - dt.timedelta(days=settings.horror_run_history_days)
    needed = set(_runs_behind_data(instance, now - dt.timedelta(days=settings.horror_retention_days)))
    finished = dg.RunsFilter(statuses=FINISHED, created_before=before)
    records = instance.get_run_records(finished, limit=MOST_RUNS + len(needed), ascending=True)
    run_ids = [record.dagster_run.run_id for record in records]
    old = [run_id for run_id in run_ids if run_id not in needed][:MOST_RUNS]
    for run_id in old:
        instance.delete_run(run_id)
        shutil.rmtree(settings.dagster_home / "storage" / run_id, ignore_errors=True)  # what its steps printed
    results = delete_check_results(instance, before, needed)
    if results is None:
        context.log.warning(
            f"old results of asset checks are kept: Dagster {dg.__version__} may store them in another way"
        )
    context.log.info(f"{len(old):,} runs from before {before:%Y-%m-%d} deleted")
    context.add_output_metadata(
        {
            "runs_deleted": len(old),
            "runs_kept_for_their_data": len(needed & set(run_ids)),
            "check_results_deleted": results or 0,
        }
    )


def _runs_behind_data(instance: dg.DagsterInstance, since: dt.datetime) -> Iterator[str]:
    """Yield the ids of the last run that materialized each asset, and of the last for each partition since a moment."""
    for key in instance.get_asset_keys():
        latest = instance.get_latest_materialization_event(key)
        if latest is not None:
            yield latest.run_id
        partitions: set[str | None] = set()
        cursor, has_more = None, latest is not None
        while has_more:
            wanted = dg.AssetRecordsFilter(key, after_timestamp=since.timestamp())
            page = instance.fetch_materializations(wanted, limit=RECORDS_A_QUERY, cursor=cursor)
            cursor, has_more = page.cursor, page.has_more
            for record in page.records:  # the newest first
                if record.partition_key not in partitions:
                    partitions.add(record.partition_key)
                    yield record.run_id


@dg.job(tags={"dagster/max_retries": "1"})
def enforce_retention() -> None:
    """Delete first TMDB's data, then Dagster's own records, that are older than their retention periods allow."""
    delete_old_runs(after=delete_old_data())


@dg.schedule(job=enforce_retention, cron_schedule="30 3 * * *", default_status=INITIAL)
def daily_retention(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
    """Enforce retention once a day, in the quiet hours."""
    return dg.RunRequest(run_key=f"{context.scheduled_execution_time:%Y-%m-%d}")
