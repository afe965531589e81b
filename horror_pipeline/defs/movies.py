"""The asset `movies`: clean, typed films made from the documents in `raw`."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import dagster as dg

from horror_pipeline.defs.partitions import release_years, years_of
from horror_pipeline.defs.resources import Clock, PipelineSettings, Warehouse
from horror_pipeline.orchestration.metadata import row_count
from horror_pipeline.orchestration.partition_checks import record_results
from horror_pipeline.orchestration.progress import Progress
from horror_pipeline.transform.movies import Cleaning
from horror_pipeline.warehouse import movies as movies_table
from horror_pipeline.warehouse import raw, tables
from horror_pipeline.warehouse.bulk import WriteCounts

MOST_REJECTED_SHARE = 0.02
"""Highest normal share of rejected documents. A higher share suggests that TMDB, or this code, has changed."""

FEW_ARE_REJECTED = dg.AssetCheckSpec(
    "few_are_rejected",
    asset="movies",
    partitions_def=release_years,
    description=f"At most {MOST_REJECTED_SHARE:.0%} of the release year's documents were rejected as not being films.",
)
VALUES_ARE_CREDIBLE = dg.AssetCheckSpec(
    "values_are_credible",
    asset="movies",
    description="No film has more than 100 times the popularity or votes of the film in tenth place. Such a film is "
    "kept, but no model learns from it.",
)


@dg.asset(
    key="movies",
    partitions_def=release_years,
    backfill_policy=dg.BackfillPolicy.single_run(),
    deps=[["raw", "discover_pages"], ["raw", "movie_details"]],
    group_name="core",
    kinds={"python", "postgres"},
    code_version="1",
    check_specs=[FEW_ARE_REJECTED, VALUES_ARE_CREDIBLE],
)
def movies(
    context: dg.AssetExecutionContext, warehouse: Warehouse, settings: PipelineSettings, clock: Clock
) -> Iterator[dg.MaterializeResult | dg.AssetCheckResult]:
    """One clean and typed row for every known film of the genres that are collected.

    Impossible values are NULL. Documents that cannot be films at all are in `raw.rejected_records`, with the reason. A
    film that TMDB has deleted keeps its row, and `gone_at` says since when it has been gone. A film whose newest
    document is rejected keeps its last good row.
    """
    years = years_of(context)
    progress = Progress(context.log, "release years cleaned", len(years))
    judged: dict[str, list[dg.AssetCheckResult]] = {}
    warnings = Counter[str]()
    for year in years:
        cleaning = Cleaning(settings.horror_first_year, settings.horror_genres, clock())
        written = _clean_year(warehouse, year, cleaning)
        context.add_asset_metadata(_figures(cleaning, written), partition_key=str(year))
        judged[str(year)] = [_rejections(written.total, len(cleaning.rejected))]
        warnings += cleaning.warnings
        progress.advance()
    progress.finish()
    with warehouse.begin() as connection:
        moved = movies_table.note_release_dates(connection)
    context.log.info(f"release dates announced or moved: {moved}")
    dropped = ", ".join(f"{name} {count}" for name, count in warnings.most_common())
    context.log.info(f"impossible values set to NULL: {dropped or 'none'}")
    yield dg.MaterializeResult(metadata=dict(row_count(warehouse, tables.movies)))
    yield from (*record_results(context, judged), _credibility(warehouse))


def _rejections(accepted: int, rejected: int) -> dg.AssetCheckResult:
    share = rejected / max(1, accepted + rejected)
    return dg.AssetCheckResult(
        check_name=FEW_ARE_REJECTED.name,
        passed=share <= MOST_REJECTED_SHARE,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"rejected": rejected, "share": share},
    )


def _credibility(warehouse: Warehouse) -> dg.AssetCheckResult:
    with warehouse.connect() as connection:
        found = movies_table.incredible_values(connection)
    return dg.AssetCheckResult(
        check_name=VALUES_ARE_CREDIBLE.name,
        passed=not found,
        severity=dg.AssetCheckSeverity.WARN,
        description="; ".join(
            f"film {tmdb_id} has {name} {value:,.6g}, but at most {limit:,.6g} is credible: look at "
            f"https://www.themoviedb.org/movie/{tmdb_id}"
            for tmdb_id, name, value, limit in found
        )
        or None,
    )


def _clean_year(warehouse: Warehouse, year: int, cleaning: Cleaning) -> WriteCounts:
    """Clean a release year's documents, and write its films and its rejected documents in one transaction."""
    with warehouse.begin() as connection:
        written = movies_table.write_movies(connection, cleaning.rows(movies_table.stream_details(warehouse, year)))
        raw.replace_rejected(connection, tables.movie_details.fullname, year, cleaning.rejected)
    return written


def _figures(cleaning: Cleaning, written: WriteCounts) -> dict[str, Any]:
    return {
        "dagster/partition_row_count": written.total,
        "new": written.new,
        "changed": written.changed,
        "unchanged": written.unchanged,
        "rejected": len(cleaning.rejected),
        "gone": cleaning.gone,
        "values_dropped": dict(cleaning.warnings),
    }
