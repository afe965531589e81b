"""The assets that store TMDB's responses as received: changed films, listings, and the details of each film."""

import datetime as dt
import hashlib
import json
import random
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing

import dagster as dg

from horror_pipeline.defs.partitions import closed_days, days_of, last_release_year, release_years, years_of
from horror_pipeline.defs.resources import Clock, PipelineSettings, Tmdb, Warehouse
from horror_pipeline.domain import TMDB_POOL
from horror_pipeline.orchestration.each_partition import each_partition
from horror_pipeline.orchestration.metadata import Figures, request_figures, row_count
from horror_pipeline.orchestration.monitoring import asking_tmdb
from horror_pipeline.orchestration.partition_checks import record_results
from horror_pipeline.orchestration.progress import Progress
from horror_pipeline.tmdb.changes import changes_of
from horror_pipeline.tmdb.details import Details, details_of
from horror_pipeline.tmdb.discover import Sweep, Sweeper
from horror_pipeline.tmdb.listings import listings_of
from horror_pipeline.tmdb.payloads import ALSO_APPENDED, APPENDED, as_text
from horror_pipeline.warehouse import raw, tables
from horror_pipeline.warehouse.copy_format import JsonText
from horror_pipeline.warehouse.stale_details import LONGEST_GAP_DAYS, Due, due_details

DOCUMENTS_A_BATCH = 100
SECONDS_A_BATCH = 0.25
"""A batch is written when it is full or this old, so a killed run loses at most one batch."""

LONGEST_LIST = 50


@dg.asset(
    key=["raw", "movie_changes"],
    partitions_def=closed_days,
    backfill_policy=dg.BackfillPolicy.single_run(),
    group_name="raw",
    kinds={"python", "postgres"},
    code_version="1",
    pool=TMDB_POOL,
)
def movie_changes(
    context: dg.AssetExecutionContext, warehouse: Warehouse, tmdb: Tmdb, clock: Clock
) -> dg.MaterializeResult:
    """The ids of films of all genres that were edited or deleted at TMDB on a UTC day that is over.

    The details of the known films among them are read again. A run replaces all rows of its days.
    """
    before = tmdb.stats
    days = days_of(context)
    progress = Progress(context.log, "days of changes", len(days))

    def collect(day: dt.date) -> Figures:
        pages = list(changes_of(tmdb, day))
        with warehouse.begin() as connection:
            rows = raw.replace_changes(connection, day, ((page.number, page.text) for page in pages), clock())
        progress.advance()
        return {"dagster/partition_row_count": rows, "films": len({tmdb_id for page in pages for tmdb_id in page.ids})}

    with asking_tmdb(context, warehouse, tmdb):
        each_partition(context, tmdb, days, collect)
    progress.finish()
    figures = {**row_count(warehouse, tables.movie_changes), **request_figures(tmdb.stats - before)}
    return dg.MaterializeResult(metadata=figures)


SWEEP_IS_COMPLETE = dg.AssetCheckSpec(
    "sweep_is_complete",
    asset=["raw", "discover_pages"],
    partitions_def=release_years,
    description="Every film that TMDB counts in the release year's listings was on one of the pages read.",
)


@dg.asset(
    key=["raw", "discover_pages"],
    partitions_def=release_years,
    backfill_policy=dg.BackfillPolicy.single_run(),
    group_name="raw",
    kinds={"python", "postgres"},
    code_version="1",
    pool=TMDB_POOL,
    check_specs=[SWEEP_IS_COMPLETE],
)
def discover_pages(
    context: dg.AssetExecutionContext, warehouse: Warehouse, tmdb: Tmdb, settings: PipelineSettings, clock: Clock
) -> Iterator[dg.MaterializeResult | dg.AssetCheckResult]:
    """TMDB's listings of a release year (horror by default): released films with enough votes, and all upcoming films.

    The number of distinct films is compared with the total that TMDB states. A listing with fewer films is read again,
    and if films are still missing, the check fails. A film is never deleted because a listing lacks it.
    """
    before, now = tmdb.stats, clock()
    progress = Progress(context.log, "listing pages", 0)
    sweeper = Sweeper(tmdb, on_plan=progress.expect, on_page=progress.advance)
    settled: set[int] = set()
    short: dict[int, int] = {}

    def sweep(year: int) -> Figures:
        listings = listings_of(
            year,
            today=now.date(),
            last_year=last_release_year(now.date()),
            min_votes=settings.horror_min_votes,
            genres=settings.genre_ids,
        )
        sweeps = [sweeper.sweep(listing) for listing in listings]
        if not sweeper.is_moving:
            settled.add(year)
        short[year] = sum(sweep.short for sweep in sweeps)
        return _store_sweep(warehouse, year, sweeps, clock())

    with asking_tmdb(context, warehouse, tmdb):
        each_partition(context, tmdb, years_of(context), sweep)
        if sweeper.is_moving and settled:
            context.log.info("TMDB's pages shifted between requests, so the years read before that are swept again")
            each_partition(context, tmdb, sorted(settled), sweep)
    progress.finish()
    figures = {**row_count(warehouse, tables.discover_pages), **request_figures(tmdb.stats - before)}
    yield dg.MaterializeResult(metadata=figures)
    yield from record_results(context, {str(year): [_is_complete(year, count)] for year, count in short.items()})


def _is_complete(year: int, short: int) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        check_name=SWEEP_IS_COMPLETE.name,
        passed=short == 0,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"{year} is short by {short} films" if short else None,
        metadata={"short": short},
    )


def _store_sweep(warehouse: Warehouse, year: int, sweeps: list[Sweep], now: dt.datetime) -> Figures:
    """Replace the year's pages and return figures of them."""
    pages = [page for sweep in sweeps for page in sweep.pages]
    films: set[int] = set().union(*(sweep.films for sweep in sweeps))
    nameless = {_digest(row): row for page in pages for row in page.nameless}
    reason = "a listing row without usable id"
    rejected = [
        {"record_key": key, "reason": reason, "payload": JsonText(as_text(row)), "rejected_at": now}
        for key, row in nameless.items()
    ]
    rows = (
        {
            "listing": page.listing,
            "sweep": page.sweep,
            "slice_start_date": page.dates.start,
            "slice_end_date": page.dates.end,
            "page": page.number,
            "payload": page.text,
        }
        for page in pages
    )
    with warehouse.begin() as connection:
        stored = raw.replace_sweep(connection, year, rows, sorted(films), now)
        raw.replace_rejected(connection, tables.discover_pages.fullname, year, rejected)
    return {
        "dagster/partition_row_count": stored,
        "films": len(films),
        "short": sum(sweep.short for sweep in sweeps),
        "short_at_most": sum(sweep.short_at_most for sweep in sweeps),
        "passes": max((sweep.passes for sweep in sweeps), default=0),
        "rejected": len(rejected),
    }


def _digest(row: object) -> str:
    text = json.dumps(row, sort_keys=True, default=str)
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


EVERY_FILM_WAS_READ = dg.AssetCheckSpec(
    "every_due_film_was_read",
    asset=["raw", "movie_details"],
    description="Every film that was due could be read. Films that failed every retry stay due for the next run.",
)


@dg.asset(
    key=["raw", "movie_details"],
    partitions_def=release_years,
    backfill_policy=dg.BackfillPolicy.single_run(),
    deps=[
        dg.AssetDep(["raw", "discover_pages"]),
        dg.AssetDep(["raw", "movie_changes"], partition_mapping=dg.AllPartitionMapping()),
    ],
    group_name="raw",
    kinds={"python", "postgres"},
    code_version="1",
    pool=TMDB_POOL,
    check_specs=[EVERY_FILM_WAS_READ],
)
def movie_details(
    context: dg.AssetExecutionContext, warehouse: Warehouse, tmdb: Tmdb, settings: PipelineSettings, clock: Clock
) -> dg.MaterializeResult:
    """The details document, with credits and keywords, of every known film.

    A run requests only films that are due: those that are new, changed at TMDB, incomplete, near their release, or last
    read too long ago (the limit is a third to two thirds of the retention period and differs by film). Documents are
    stored as they arrive, so a run continues where a stopped run ended. A film that TMDB has deleted keeps its last
    document.
    """
    before = tmdb.stats
    with asking_tmdb(context, warehouse, tmdb):
        with warehouse.connect() as connection:
            due = due_details(connection, years_of(context), clock(), retention_days=settings.horror_retention_days)
        reasons = Counter(film.reason for film in due)
        _log_reasons(context, reasons)
        counts, failures = _read(context, warehouse, tmdb, clock, due)
    for year in years_of(context):
        context.add_asset_metadata({name: counts[year][name] for name in raw.OUTCOMES}, partition_key=str(year))
    figures = {**row_count(warehouse, tables.movie_details), **request_figures(tmdb.stats - before)}
    check = dg.AssetCheckResult(
        check_name=EVERY_FILM_WAS_READ.name,
        passed=not failures,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"failed": len(failures), "films": sorted(failures)[:LONGEST_LIST]},
    )
    return dg.MaterializeResult(
        metadata={**figures, "due": dict(reasons), "failed": len(failures)}, check_results=[check]
    )


def _read(
    context: dg.AssetExecutionContext, warehouse: Warehouse, tmdb: Tmdb, clock: Clock, due: Sequence[Due]
) -> tuple[dict[int, Counter[str]], dict[int, str]]:
    """Read and store the films that are due.

    Returns:
        The number of films with each outcome, by release year; and why films could not be read, by id.
    """
    counts: dict[int, Counter[str]] = defaultdict(Counter)
    failures: dict[int, str] = {}
    # In random order, so that films that keep failing do not hold up the same films in every run.
    due = random.Random(clock().timestamp()).sample(due, len(due))  # noqa: S311  # no secret
    year_of = {film.tmdb_id: film.release_year for film in due}
    progress = Progress(context.log, "details", len(due))
    with closing(details_of(tmdb, year_of, clock)) as arriving:
        for batch in _batches(arriving):
            failures |= {details.tmdb_id: details.failure for details in batch if details.failure}
            for year, done in _store_details(warehouse, batch, year_of).items():
                counts[year] += done
            progress.advance(len(batch))
    progress.finish()
    for tmdb_id, reason in sorted(failures.items())[:LONGEST_LIST]:
        context.log.warning(f"film {tmdb_id} could not be read and stays due: {reason}")
    return counts, failures


def _log_reasons(context: dg.AssetExecutionContext, reasons: Counter[str]) -> None:
    counted = ", ".join(f"{count:,} {reason}" for reason, count in reasons.most_common())
    context.log.info(f"details due: {counted or 'none'}")
    if reasons["gap"]:
        context.log.warning(
            f"{reasons['gap']:,} films are read again, because no changes were collected for more than "
            f"{LONGEST_GAP_DAYS} days after they were last read"
        )


def _batches(arriving: Iterable[Details]) -> Iterator[list[Details]]:
    """Group details, as they arrive, into batches of a bounded size and age."""
    batch: list[Details] = []
    begun = time.monotonic()
    for details in arriving:
        batch.append(details)
        if len(batch) >= DOCUMENTS_A_BATCH or time.monotonic() - begun >= SECONDS_A_BATCH:
            yield batch
            batch, begun = [], time.monotonic()
    if batch:
        yield batch


def _store_details(warehouse: Warehouse, batch: list[Details], year_of: dict[int, int]) -> dict[int, Counter[str]]:
    """Write a batch in one transaction; a sub-object that TMDB left out keeps its stored value."""
    arrived = [one for one in batch if one.failure is None]
    with warehouse.begin() as connection:
        lacking = [one.tmdb_id for one in arrived if one.absent]
        kept = raw.stored_parts(connection, lacking, (*APPENDED, *ALSO_APPENDED)) if lacking else {}
        whole = [one.with_kept_parts(kept.get(one.tmdb_id, {})) for one in arrived]
        rows = [
            {
                "tmdb_id": details.tmdb_id,
                "release_year": year_of[details.tmdb_id],
                "fetched_at": details.fetched_at,
                "payload": details.text,
                "payload_hash": details.digest,
                "missing_parts": details.missing,
            }
            for details in whole
        ]
        return raw.write_details(connection, rows)
