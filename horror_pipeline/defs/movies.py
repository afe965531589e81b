"""The asset `movies`: clean, typed films made from the documents in `raw`.

What belongs here: joining the warehouse with `transform.clean`, and telling what was done. What does not: SQL, rules.
"""

import datetime as dt
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import dagster as dg
from sqlalchemy import Engine

from horror_pipeline.defs.partitions import release_years, years_of
from horror_pipeline.defs.resources import Clock
from horror_pipeline.orchestration.fetching import row_count
from horror_pipeline.orchestration.metadata import OWNERS, column_schema
from horror_pipeline.orchestration.progress import Progress
from horror_pipeline.settings import Settings
from horror_pipeline.transform.movies import CleanMovie, Rejection, clean_movie
from horror_pipeline.warehouse import movies as movies_table
from horror_pipeline.warehouse import raw, tables
from horror_pipeline.warehouse.bulk import WriteCounts
from horror_pipeline.warehouse.movies import StoredDetails

MOST_REJECTED_SHARE = 0.02
"""Share of the documents that may be rejected before it looks like TMDB, or we, changed something."""


@dataclass
class Cleaning:
    """One partition on its way from documents to rows: what is not a row is kept beside.

    Args:
        first_year: as in `clean_movie`.
        now: when this happens, UTC.
    """

    first_year: int
    now: dt.datetime
    rejected: list[dict[str, Any]] = field(default_factory=list)
    warnings: Counter[str] = field(default_factory=Counter)
    gone: int = 0

    def rows(self, stored: Iterator[StoredDetails]) -> Iterator[dict[str, Any]]:
        """A row of `movies` for every document that can be one."""
        for film in stored:
            self.gone += film.gone_at is not None
            if film.payload is None:
                continue  # gone before it was ever read: there is nothing to clean
            is_listing_newer = film.listed_at is not None and film.listed_at >= film.fetched_at
            found = clean_movie(
                film.payload, listed=film.listed if is_listing_newer else None, first_year=self.first_year
            )
            if isinstance(found, Rejection):
                self._reject(film, found)
            else:
                self.warnings.update(warning.split(":")[0] for warning in found.warnings)
                observed_at = film.listed_at if is_listing_newer and film.listed_at else film.fetched_at
                yield self._row(film, found, observed_at)

    def _row(self, film: StoredDetails, found: CleanMovie, observed_at: dt.datetime) -> dict[str, Any]:
        return found.row | {
            "first_seen_at": self.now,
            "observed_at": _unless_seen_that_day(film, found.row, observed_at),
            "details_fetched_at": film.fetched_at,
            "gone_at": film.gone_at,
        }

    def _reject(self, film: StoredDetails, rejection: Rejection) -> None:
        self.rejected.append(
            {
                "record_key": str(film.tmdb_id),
                "reason": rejection.reason,
                "payload": film.payload,
                "rejected_at": self.now,
            }
        )


def _unless_seen_that_day(film: StoredDetails, row: dict[str, Any], observed_at: dt.datetime) -> dt.datetime:
    """When the values were observed; the stored moment where the same values were seen on the same UTC day already.

    So a second sweep of a day that brings nothing new rewrites no row.
    """
    before = film.movie_observed_at
    stored = film.movie_popularity, film.movie_vote_average, film.movie_vote_count
    same = stored == (row["popularity"], row["vote_average"], row["vote_count"])
    if before is not None and same and before.astimezone(dt.UTC).date() == observed_at.astimezone(dt.UTC).date():
        return before
    return observed_at


FEW_ARE_REJECTED = dg.AssetCheckSpec(
    "few_are_rejected",
    asset="movies",
    description=f"At most {MOST_REJECTED_SHARE:.0%} of the documents could not become films.",
)


@dg.asset(
    key="movies",
    partitions_def=release_years,
    backfill_policy=dg.BackfillPolicy.single_run(),
    deps=[["raw", "discover_pages"], ["raw", "movie_details"]],
    group_name="core",
    kinds={"python", "postgres"},
    owners=OWNERS,
    code_version="1",
    check_specs=[FEW_ARE_REJECTED],
    metadata=column_schema(tables.movies),
)
def movies(
    context: dg.AssetExecutionContext,
    warehouse: dg.ResourceParam[Engine],
    settings: dg.ResourceParam[Settings],
    clock: dg.ResourceParam[Clock],
) -> dg.MaterializeResult:  # type: ignore[type-arg]  # Dagster does not know the parametrised one
    """Every known horror film, clean and typed, one row each.

    Impossible values are NULL; documents that cannot be films at all are in `raw.rejected_records` with the reason. A
    film that TMDB has deleted stays, with `gone_at`. A film that was fine once and is rejected now stays as it last
    was.
    """
    years = years_of(context)
    progress = Progress(context.log, "release years cleaned", len(years))
    total, rejected, warnings = 0, 0, Counter[str]()
    for year in years:
        cleaning = Cleaning(settings.horror_first_year, clock())
        written = _clean_year(warehouse, year, cleaning)
        context.add_asset_metadata(_figures(cleaning, written), partition_key=str(year))
        total += written.total
        rejected += len(cleaning.rejected)
        warnings += cleaning.warnings
        progress.advance()
    progress.finish()
    told = ", ".join(f"{name} {count}" for name, count in warnings.most_common())
    context.log.info(f"values that were impossible and are NULL: {told or 'none'}")
    share = rejected / max(1, total + rejected)
    check = dg.AssetCheckResult(
        check_name=FEW_ARE_REJECTED.name,
        passed=share <= MOST_REJECTED_SHARE,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"rejected": rejected, "share": share},
    )
    return dg.MaterializeResult(metadata=dict(row_count(warehouse, tables.movies)), check_results=[check])


def _clean_year(warehouse: Engine, year: int, cleaning: Cleaning) -> WriteCounts:
    """Clean a partition into `movies` and its rejections, in one transaction."""
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
