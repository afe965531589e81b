"""The asset `other_movies`: films of other genres, from TMDB's listings, that the models learn from."""

import datetime as dt
import json
from collections.abc import Iterator, Sequence

import dagster as dg

from horror_pipeline.defs.partitions import last_release_year, release_years, years_of
from horror_pipeline.defs.resources import Clock, PipelineSettings, Tmdb, Warehouse
from horror_pipeline.domain import MIN_VOTES_SCORED, TMDB_POOL
from horror_pipeline.orchestration.each_partition import each_partition
from horror_pipeline.orchestration.metadata import Figures, request_figures, row_count, skip
from horror_pipeline.orchestration.monitoring import asking_tmdb
from horror_pipeline.orchestration.progress import Progress
from horror_pipeline.tmdb.discover import Page, Sweeper
from horror_pipeline.tmdb.listings import listing_of_others
from horror_pipeline.tmdb.payloads import rows_of
from horror_pipeline.transform.movies import clean_other
from horror_pipeline.warehouse import tables
from horror_pipeline.warehouse.other_movies import replace_year


@dg.asset(
    key="other_movies",
    partitions_def=release_years,
    backfill_policy=dg.BackfillPolicy.single_run(),
    group_name="core",
    kinds={"python", "postgres"},
    code_version="1",
    pool=TMDB_POOL,
    output_required=False,
)
def other_movies(
    context: dg.AssetExecutionContext, warehouse: Warehouse, tmdb: Tmdb, settings: PipelineSettings, clock: Clock
) -> Iterator[dg.MaterializeResult]:
    """A year's released films that are not horror, as TMDB lists them. The models learn from these films too.

    Only films with enough votes (at least ten) are requested, and their details are not read. A run replaces all films
    of its years. Nothing is requested if HORROR_LEARN_FROM=horror, or if films of all genres are collected anyway.
    """
    if settings.horror_learn_from == "horror":
        return skip(context, "models learn from horror films alone: HORROR_LEARN_FROM=horror")
    before, today = tmdb.stats, clock().date()
    min_votes = max(settings.horror_min_votes, MIN_VOTES_SCORED)
    progress = Progress(context.log, "listing pages of other genres", 0)
    sweeper = Sweeper(tmdb, on_plan=progress.expect, on_page=progress.advance)

    def sweep(year: int) -> Figures:
        last = last_release_year(today)
        listing = listing_of_others(year, today=today, last_year=last, min_votes=min_votes, genres=settings.genre_ids)
        pages = sweeper.read_once(listing).pages if listing else []
        return _store(warehouse, year, pages, settings.horror_genres, clock())

    with asking_tmdb(context, warehouse, tmdb):
        each_partition(context, tmdb, years_of(context), sweep)
    progress.finish()
    figures = {**row_count(warehouse, tables.other_movies), **request_figures(tmdb.stats - before)}
    yield dg.MaterializeResult(metadata=figures)


def _store(
    warehouse: Warehouse, year: int, pages: Sequence[Page], collected: tuple[str, ...], now: dt.datetime
) -> Figures:
    """Replace the year's films by the films on the pages."""
    cleaned = (clean_other(row, collected) for page in pages for row in rows_of(json.loads(page.text)))
    films = {row["tmdb_id"]: row | {"observed_at": now} for row in cleaned if row}
    with warehouse.begin() as connection:
        stored = replace_year(connection, year, films.values())
    return {"dagster/partition_row_count": stored, "pages": len(pages)}
