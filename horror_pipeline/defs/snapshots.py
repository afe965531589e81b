"""The asset `movie_snapshots`: a day's popularity of every known film, from that day's id export."""

import datetime as dt
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

import dagster as dg
from sqlalchemy import Engine

from horror_pipeline.defs.partitions import days, days_of
from horror_pipeline.defs.resources import Clock, Tmdb, Warehouse
from horror_pipeline.domain import TMDB_POOL
from horror_pipeline.errors import ExportUnavailableError, TmdbError, WarehouseError
from horror_pipeline.orchestration.each_partition import record_partitions
from horror_pipeline.orchestration.metadata import Figures
from horror_pipeline.orchestration.monitoring import counted
from horror_pipeline.orchestration.partition_checks import record_results
from horror_pipeline.orchestration.progress import Progress
from horror_pipeline.tmdb.client import TmdbClient
from horror_pipeline.tmdb.exports import Export, is_awaited, read_export, require_films
from horror_pipeline.warehouse import snapshot_stats, snapshots
from horror_pipeline.warehouse.snapshot_stats import DayFigures

FILES_IN_FLIGHT = 2

LOWEST_ROW_RATIO = 0.9
LOWEST_COVERAGE = 0.9

ROWS_HOLD = dg.AssetCheckSpec(
    "row_count_holds",
    asset="movie_snapshots",
    partitions_def=days,
    description=f"The day has at least {LOWEST_ROW_RATIO:.0%} of the rows of the day before it.",
)
CATALOGUE_IS_COVERED = dg.AssetCheckSpec(
    "catalogue_is_covered",
    asset="movie_snapshots",
    description=f"The newest day has a row for at least {LOWEST_COVERAGE:.0%} of the films known to exist.",
)
SCALE_HOLDS = dg.AssetCheckSpec(
    "scale_holds",
    asset="movie_snapshots",
    partitions_def=days,
    blocking=True,
    description=f"The median film's popularity is between {1 / snapshot_stats.HIGHEST_SCALE_RATIO} and "
    f"{snapshot_stats.HIGHEST_SCALE_RATIO} times that of the day before. TMDB changed its scale in March 2025. Models "
    "never learn from both sides of such a break.",
)
NO_FUTURE_DATES = dg.AssetCheckSpec(
    "no_future_dates",
    asset="movie_snapshots",
    blocking=True,
    description="No row has a date in the future.",
)


@dg.asset(
    key="movie_snapshots",
    partitions_def=days,
    backfill_policy=dg.BackfillPolicy.single_run(),
    deps=[
        dg.AssetDep("movies", partition_mapping=dg.AllPartitionMapping()),
        dg.AssetDep(["raw", "discover_pages"], partition_mapping=dg.AllPartitionMapping()),
    ],
    group_name="core",
    kinds={"python", "postgres"},
    code_version="1",
    pool=TMDB_POOL,
    output_required=False,
    check_specs=[ROWS_HOLD, CATALOGUE_IS_COVERED, SCALE_HOLDS, NO_FUTURE_DATES],
)
def movie_snapshots(
    context: dg.AssetExecutionContext, warehouse: Warehouse, tmdb: Tmdb, clock: Clock
) -> Iterator[dg.MaterializeResult | dg.AssetCheckResult]:
    """The popularity of every known film on a day, and its percentile among all films of the day.

    Popularity comes from the id export that TMDB publishes under the day's date and keeps for about 90 days. Votes come
    from the listing that was read on the same day, if there was one. A run replaces all rows of its days, so running a
    day again adds films that became known later. A run skips days whose export is not published yet. If another export
    is not available, the run fails, but its other days are stored.
    """
    taken = _Taken()
    try:
        with counted(context, warehouse, tmdb):
            _take_days(context, warehouse, tmdb, clock, taken)
    except BaseException:
        record_partitions(context, taken.done)  # these days are stored, whatever ended the run
        raise
    if taken.failed or taken.awaited:
        # If the asset yielded a result, Dagster would record every partition of the run, even those that failed.
        record_partitions(context, taken.done)
    else:
        for day, figures in taken.done.items():
            context.add_asset_metadata(figures, partition_key=str(day))
        yield dg.MaterializeResult()
    for day, reason in taken.awaited.items():
        context.log.warning(f"{reason}; this day is skipped, and the next scheduled run takes it")
        context.log_event(dg.AssetObservation(context.asset_key, partition=str(day), metadata={"skipped": reason}))
    judged = _judge(context, warehouse, sorted(taken.done), clock().date())
    if taken.failed:
        yield from judged if taken.done else ()
        raise ExportUnavailableError(_why_failed(taken, len(context.partition_keys)))
    yield from judged


@dataclass
class _Taken:
    """The days of a run: figures of the stored days, and the reasons why others failed or are not published yet."""

    done: dict[dt.date, Figures] = field(default_factory=dict)
    failed: dict[dt.date, str] = field(default_factory=dict)
    awaited: dict[dt.date, str] = field(default_factory=dict)


def _why_failed(taken: _Taken, requested: int) -> str:
    reasons = "; ".join((taken.failed | taken.awaited).values())
    if requested == 1:
        return reasons
    if not taken.done:
        return f"none of the {requested} days could be taken: {reasons}"
    return f"{requested - len(taken.done)} of {requested} days could not be taken, the others are stored: {reasons}"


def _take_days(
    context: dg.AssetExecutionContext, warehouse: Engine, tmdb: TmdbClient, clock: Clock, taken: _Taken
) -> None:
    """Collect the days of the run one after the other, and record the result of each in `taken`."""
    wanted = days_of(context)
    with warehouse.begin() as connection:
        known = snapshots.known_ids(connection)
        snapshots.ensure_months(connection, wanted)
    if not known:
        raise WarehouseError("no film is known yet, so there is nothing to take the popularity of", "run: horror run")

    def read(day: dt.date) -> Export:
        return read_export(tmdb, day, known, now=clock())

    progress = Progress(context.log, "days of history", len(wanted))
    for day, reading in _in_flight(wanted, read):
        try:
            taken.done[day] = _store(warehouse, day, reading.result(), len(known))
        except ExportUnavailableError as error:
            kind = taken.awaited if is_awaited(day, clock()) else taken.failed
            kind[day] = str(error)
            context.log.error(str(error))
        except TmdbError as error:  # the server itself fails: the other days would fail as well
            taken.failed[day] = f"{day} and the days after it were not taken: {error}"
            break
        progress.advance()
    progress.finish()


def _in_flight(
    wanted: Sequence[dt.date], read: Callable[[dt.date], Export]
) -> Iterator[tuple[dt.date, Future[Export]]]:
    """Yield each day in order with the future of its export; at most `FILES_IN_FLIGHT` exports are read at once."""
    with ThreadPoolExecutor(FILES_IN_FLIGHT, thread_name_prefix="export") as pool:
        reading: deque[tuple[dt.date, Future[Export]]] = deque()
        try:
            for day in wanted:
                reading.append((day, pool.submit(read, day)))
                if len(reading) == FILES_IN_FLIGHT:
                    yield reading.popleft()
            while reading:
                yield reading.popleft()
        finally:
            for _, waiting in reading:
                waiting.cancel()


def _store(warehouse: Engine, day: dt.date, export: Export, films: int) -> Figures:
    """Replace the day's rows by what the export and the listing of that day say, in one transaction."""
    import pandas as pd

    from horror_pipeline.transform.snapshots import COLUMNS, LISTING, snapshot_of_day

    columns = ["tmdb_id", "popularity", "vote_count", "vote_average"]
    with warehouse.begin() as connection:
        snapshots.lock_day(connection, day)
        require_films(export, day, snapshots.films_expected(connection, day))
        listed = pd.DataFrame(snapshots.listed_on(connection, day), columns=columns)
        stored = pd.DataFrame(snapshots.stored_day(connection, day), columns=[*columns, "source"])
        snapshots.ensure_months(connection, [day])  # retention may have dropped its table since the run began
        rows = snapshot_of_day(day, export.popularity, listed, stored)
        counts = snapshots.replace_day(connection, day, {name: rows[name].tolist() for name in COLUMNS})
        snapshots.note_known_films(connection, day, films)
    return {
        "dagster/partition_row_count": counts.total,
        "new": counts.new,
        "changed": counts.changed,
        "removed": counts.removed,
        "from_listing": int((rows["source"] == LISTING).sum()),
        "with_votes": int(rows["vote_count"].notna().sum()),
        "without_popularity": export.without_popularity,
        "films_without_row": films - counts.total,
        "export_lines": export.lines,
        "export_bytes": export.received_bytes,
        "export_malformed": export.malformed,
    }


# -- checks ------------------------------------------------------------------------------------------------------------


def _judge(
    context: dg.AssetExecutionContext, warehouse: Engine, taken: Sequence[dt.date], today: dt.date
) -> list[dg.AssetCheckResult]:
    if not taken:  # Dagster requires a result of every check, even if no day was collected
        specs = (ROWS_HOLD, CATALOGUE_IS_COVERED, SCALE_HOLDS, NO_FUTURE_DATES)
        return [
            dg.AssetCheckResult(check_name=spec.name, passed=True, description="no day was taken") for spec in specs
        ]
    with warehouse.connect() as connection:
        figures = [snapshot_stats.day_figures(connection, day) for day in taken]
        future = snapshot_stats.future_rows(connection, today)
    by_day = {str(day.day): [_rows_hold(day), _scale_holds(day)] for day in figures}
    return [
        *record_results(context, by_day),
        _catalogue_is_covered(figures[-1]),
        dg.AssetCheckResult(check_name=NO_FUTURE_DATES.name, passed=future == 0, metadata={"rows": future}),
    ]


def _rows_hold(day: DayFigures) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        check_name=ROWS_HOLD.name,
        passed=day.rows >= LOWEST_ROW_RATIO * day.previous_rows,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"{day.day} has {day.rows:,} rows, {day.previous_day or 'no day before'} had {day.previous_rows:,}",
        metadata={"rows": day.rows, "previous_rows": day.previous_rows},
    )


def _catalogue_is_covered(newest: DayFigures) -> dg.AssetCheckResult:
    coverage = newest.covered_films / max(1, newest.existing_films)
    return dg.AssetCheckResult(
        check_name=CATALOGUE_IS_COVERED.name,
        passed=coverage >= LOWEST_COVERAGE,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"day": str(newest.day), "coverage": coverage, "films": newest.existing_films},
    )


def _scale_holds(day: DayFigures) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        check_name=SCALE_HOLDS.name,
        passed=not day.is_scale_broken,
        description=f"popularity of {day.day} is on another scale than that of {day.previous_day}: the median "
        f"film has {day.scale_ratio:.3g} times as much"
        if day.is_scale_broken
        else None,
        metadata={} if day.scale_ratio is None else {"ratio": day.scale_ratio},
    )
