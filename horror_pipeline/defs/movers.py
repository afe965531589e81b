"""The asset `movie_movers`."""

import datetime as dt

import dagster as dg

from horror_pipeline.defs.partitions import days, days_of
from horror_pipeline.defs.resources import Warehouse
from horror_pipeline.domain import FORECAST_WINDOW_DAYS
from horror_pipeline.orchestration.each_partition import record_partitions
from horror_pipeline.orchestration.forecasting import read_history
from horror_pipeline.orchestration.metadata import Figures
from horror_pipeline.warehouse import movers as table
from horror_pipeline.warehouse import snapshots, tables
from horror_pipeline.warehouse.days import days_left_out

CATCH_UP_DAYS = 7
"""A run also computes any missing movers of this many days before its first day."""


@dg.asset(
    key="movie_movers",
    partitions_def=days,
    backfill_policy=dg.BackfillPolicy.single_run(),
    deps=["movie_snapshots", dg.AssetDep("movies", partition_mapping=dg.AllPartitionMapping())],
    group_name="predictions",
    kinds={"pandas", "postgres"},
    code_version="1",
)
def movie_movers(context: dg.AssetExecutionContext, warehouse: Warehouse) -> dg.MaterializeResult:
    """How popularity and rank changed over 1, 7 and 30 days, and which rises are unusual for such a film.

    A change is compared with earlier changes of similar films, which had about the same popularity and were about as
    far from their release. `change_percentile` is the share of these changes that were smaller. What similar films have
    in common on a day is removed first, so a rise that many of them share is not unusual. A breakout is a rise that
    brings a film into, or up within, the day's top tenth. It is larger than 99 % of the changes of similar films, and
    than any earlier change of the film itself. When a past day is stored, the movers of later days are computed again,
    because these days are compared with it.
    """
    from horror_pipeline.modeling.movers import movers

    requested = days_of(context)
    with warehouse.connect() as connection:
        caught_up = days_left_out(connection, tables.movie_movers.c.snapshot_date, requested[0], CATCH_UP_DAYS)
        stored = sorted(snapshots.snapshot_days(connection))
    later = [day for day in stored if 0 < (day - requested[-1]).days < FORECAST_WINDOW_DAYS]
    wanted = [*caught_up, *requested, *later]
    first = wanted[0] - dt.timedelta(days=FORECAST_WINDOW_DAYS)
    history, release_dates = read_history(warehouse, first, wanted[-1])
    done: dict[dt.date, Figures] = {}
    for day, found in movers(history, release_dates, wanted):
        with warehouse.begin() as connection:
            rows = table.replace_movers(connection, day, {str(name): found[name].tolist() for name in found})
        done[day] = {"dagster/partition_row_count": rows, "breakouts": int(found["is_breakout"].sum())}
    record_partitions(context, {day: done[day] for day in (*caught_up, *later)})
    for day in requested:
        context.add_asset_metadata(done[day], partition_key=day.isoformat())
    return dg.MaterializeResult()
