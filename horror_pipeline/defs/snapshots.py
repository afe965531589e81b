"""The asset `movie_snapshots`: a day's popularity of every known film, from that day's id export.

What belongs here: going through the days of a run, telling what was done, and judging the figures. What does not: how a
file is read, which value wins, SQL.
"""

import datetime as dt
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

import dagster as dg
from sqlalchemy import Engine

from horror_pipeline.defs.partitions import days, days_of
from horror_pipeline.defs.resources import Clock
from horror_pipeline.errors import ExportUnavailableError, TmdbError
from horror_pipeline.orchestration.metadata import OWNERS, column_schema
from horror_pipeline.orchestration.progress import Progress
from horror_pipeline.tmdb.client import TmdbClient
from horror_pipeline.tmdb.exports import Export, is_awaited, read_export
from horror_pipeline.warehouse import snapshot_stats, snapshots, tables
from horror_pipeline.warehouse.snapshot_stats import DayFigures

FILES_IN_FLIGHT = 2

LEAST_OF_FILMS = 0.5
"""An export lists every film of TMDB, horror or not: one with less than half of the films known is not whole."""

LOWEST_ROW_RATIO = 0.9
LOWEST_COVERAGE = 0.9

Figures = dict[str, int | float | str]

ROWS_HOLD = dg.AssetCheckSpec(
    "row_count_holds",
    asset="movie_snapshots",
    description=f"No day has less than {LOWEST_ROW_RATIO:.0%} of the rows of the day before it.",
)
CATALOGUE_IS_COVERED = dg.AssetCheckSpec(
    "catalogue_is_covered",
    asset="movie_snapshots",
    description=f"The newest day has a row for at least {LOWEST_COVERAGE:.0%} of the films that exist.",
)
SCALE_HOLDS = dg.AssetCheckSpec(
    "scale_holds",
    asset="movie_snapshots",
    blocking=True,
    description="Popularity is on the scale of the day before: the median of the films' ratios is between "
    f"{1 / snapshot_stats.HIGHEST_SCALE_RATIO} and {snapshot_stats.HIGHEST_SCALE_RATIO}. TMDB changed the scale in "
    "March 2025. What is learnt from popularity uses one side of a break only.",
)
NO_FUTURE_DATES = dg.AssetCheckSpec(
    "no_future_dates",
    asset="movie_snapshots",
    blocking=True,
    description="No row stands for a day that is still to come.",
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
    owners=OWNERS,
    code_version="1",
    pool="tmdb",
    output_required=False,
    check_specs=[ROWS_HOLD, CATALOGUE_IS_COVERED, SCALE_HOLDS, NO_FUTURE_DATES],
    metadata=column_schema(tables.movie_snapshots),
)
def movie_snapshots(
    context: dg.AssetExecutionContext,
    warehouse: dg.ResourceParam[Engine],
    tmdb: dg.ResourceParam[TmdbClient],
    clock: dg.ResourceParam[Clock],
) -> Iterator[dg.MaterializeResult | dg.AssetCheckResult]:  # type: ignore[type-arg]  # Dagster knows no other
    """Popularity of every known film on a day, and its percentile within the day.

    Comes from the id export TMDB publishes under that day's date, and can be had for some 90 days back; votes are those
    of the listing read on that very day, where there was one. A day is replaced as a whole. Films found since gain
    their past when their days are taken again. Days whose export cannot be had fail the run; the others stay.
    """
    taken = _Taken()
    try:
        _take_days(context, warehouse, tmdb, clock, taken)
    except BaseException:
        _record(context, taken.done)  # what is stored is stored, whatever ended the run
        raise
    if taken.failed or taken.awaited:
        # Without an output Dagster records none of the run's partitions by itself: neither those that failed.
        _record(context, taken.done)
    for day, reason in taken.awaited.items():
        context.log.warning(f"{reason}; skipped, the next scheduled run takes it")
        context.log_event(dg.AssetObservation(context.asset_key, partition=str(day), metadata={"skipped": reason}))
    if taken.failed:
        if taken.done:
            yield from _judge(warehouse, sorted(taken.done), clock().date())
        raise ExportUnavailableError(_why_failed(taken, len(context.partition_keys)))
    judged = _judge(warehouse, sorted(taken.done), clock().date())
    if taken.awaited:
        yield from judged
    else:
        for day, figures in taken.done.items():
            context.add_asset_metadata(figures, partition_key=str(day))
        yield dg.MaterializeResult(check_results=judged)


def _record(context: dg.AssetExecutionContext, done: Mapping[dt.date, Figures]) -> None:
    """Mark days as materialised without an output of the run."""
    for day, figures in done.items():
        context.log_event(dg.AssetMaterialization(context.asset_key, metadata=figures, partition=str(day)))


@dataclass
class _Taken:
    """What became of the days of a run: figures of those stored, sentences for the others."""

    done: dict[dt.date, Figures] = field(default_factory=dict)
    failed: dict[dt.date, str] = field(default_factory=dict)
    awaited: dict[dt.date, str] = field(default_factory=dict)


def _why_failed(taken: _Taken, asked: int) -> str:
    told = "; ".join((taken.failed | taken.awaited).values())
    if asked == 1:
        return told
    if not taken.done:
        return f"none of the {asked} days could be taken: {told}"
    return f"{asked - len(taken.done)} of {asked} days could not be taken, the others are stored: {told}"


def _take_days(
    context: dg.AssetExecutionContext, warehouse: Engine, tmdb: TmdbClient, clock: Clock, taken: _Taken
) -> None:
    """Take the days of the run one after the other, telling in `taken` what became of each."""
    wanted = days_of(context)
    with warehouse.begin() as connection:
        known = snapshots.known_ids(connection)
        snapshots.ensure_months(connection, wanted)
    if not known:
        raise dg.Failure("no film is known yet, so there is nothing to take the popularity of; run: horror run")

    def read(day: dt.date) -> Export:
        least = int(LEAST_OF_FILMS * len(known))
        return read_export(tmdb, day, known, now=clock(), least_lines=least, least_known=least)

    progress = Progress(context.log, "days of history", len(wanted))
    for day, reading in _in_flight(wanted, read):
        try:
            taken.done[day] = _store(warehouse, day, reading.result(), len(known))
        except ExportUnavailableError as error:
            kind = taken.awaited if is_awaited(day, clock()) else taken.failed
            kind[day] = str(error)
            context.log.error(str(error))
        except TmdbError as error:  # the server itself: the other days would fare no better
            taken.failed[day] = f"{day} and the days after it were not taken: {error}"
            break
        progress.advance()
    progress.finish()


def _in_flight(
    wanted: Sequence[dt.date], read: Callable[[dt.date], Export]
) -> Iterator[tuple[dt.date, Future[Export]]]:
    """The days in order, each with its file being read; at most `FILES_IN_FLIGHT` files are, or wait to be stored."""
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
    """Make the day's rows what the export and that day's listing say, in one transaction."""
    import pandas as pd

    from horror_pipeline.transform.snapshots import COLUMNS, LISTING, snapshot_of_day

    columns = ["tmdb_id", "popularity", "vote_count", "vote_average"]
    with warehouse.begin() as connection:
        snapshots.lock_day(connection, day)
        listed = pd.DataFrame(snapshots.listed_on(connection, day), columns=columns)
        stored = pd.DataFrame(snapshots.stored_day(connection, day), columns=[*columns, "source"])
        snapshots.ensure_months(connection, [day])  # dropped since the run began? now that it was read, it stays
        rows = snapshot_of_day(day, export.popularity, listed, stored)
        counts = snapshots.replace_day(connection, day, {name: rows[name].tolist() for name in COLUMNS})
    return {
        "dagster/partition_row_count": counts.rows,
        "new": counts.new,
        "changed": counts.changed,
        "removed": counts.removed,
        "from_listing": int((rows["source"] == LISTING).sum()),
        "with_votes": int(rows["vote_count"].notna().sum()),
        "without_popularity": export.without_popularity,
        "films_without_row": films - counts.rows,
        "export_lines": export.lines,
        "export_bytes": export.received_bytes,
        "export_malformed": export.malformed,
    }


# -- checks ------------------------------------------------------------------------------------------------------------


def _judge(warehouse: Engine, taken: Sequence[dt.date], today: dt.date) -> list[dg.AssetCheckResult]:
    if not taken:  # Dagster wants every check told, also by a run that was skipped
        specs = (ROWS_HOLD, CATALOGUE_IS_COVERED, SCALE_HOLDS, NO_FUTURE_DATES)
        return [dg.AssetCheckResult(check_name=one.name, passed=True, description="no day was taken") for one in specs]
    with warehouse.connect() as connection:
        figures = [snapshot_stats.day_figures(connection, day) for day in taken]
        future = snapshot_stats.future_rows(connection, today)
    return [
        _rows_hold(figures),
        _catalogue_is_covered(figures[-1]),
        _scale_holds(figures),
        dg.AssetCheckResult(check_name=NO_FUTURE_DATES.name, passed=future == 0, metadata={"rows": future}),
    ]


def _rows_hold(figures: Sequence[DayFigures]) -> dg.AssetCheckResult:
    fallen = [
        f"{day.day} has {day.rows:,} rows, {day.previous_day} had {day.previous_rows:,}"
        for day in figures
        if day.rows < LOWEST_ROW_RATIO * day.previous_rows
    ]
    return dg.AssetCheckResult(
        check_name=ROWS_HOLD.name,
        passed=not fallen,
        severity=dg.AssetCheckSeverity.WARN,
        description="; ".join(fallen) or None,
        metadata={"rows": figures[-1].rows, "previous_rows": figures[-1].previous_rows},
    )


def _catalogue_is_covered(newest: DayFigures) -> dg.AssetCheckResult:
    coverage = newest.covered_films / max(1, newest.existing_films)
    return dg.AssetCheckResult(
        check_name=CATALOGUE_IS_COVERED.name,
        passed=coverage >= LOWEST_COVERAGE,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"day": str(newest.day), "coverage": coverage, "films": newest.existing_films},
    )


def _scale_holds(figures: Sequence[DayFigures]) -> dg.AssetCheckResult:
    broken = [
        f"popularity of {day.day} is on another scale than that of {day.previous_day}: the median film's is "
        f"{day.scale_ratio:.3g} times what it was"
        for day in figures
        if day.is_scale_broken
    ]
    ratios = [day.scale_ratio for day in figures if day.scale_ratio is not None]
    return dg.AssetCheckResult(
        check_name=SCALE_HOLDS.name,
        passed=not broken,
        severity=dg.AssetCheckSeverity.ERROR,
        description="; ".join(broken) or None,
        metadata={"lowest_ratio": min(ratios), "highest_ratio": max(ratios)} if ratios else {},
    )
