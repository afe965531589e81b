"""SQL for the catalogue: `raw.*`, and `movies` made from it.

What belongs here: reading and writing those tables. What does not: which films are due (that is `due`), asking TMDB,
judging values, history and learning.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Table, bindparam, case, delete, func, select, text
from sqlalchemy.dialects.postgresql import insert

from horror_pipeline.warehouse.bulk import copy_rows, copy_upsert
from horror_pipeline.warehouse.copy_format import JsonText
from horror_pipeline.warehouse.tables import (
    discover_pages,
    movie_changes,
    movie_details,
    rejected_records,
)

# Rows of listing pages, whatever a page holds; ids as `tmdb.documents.movie_id` accepts them.
ROWS = "jsonb_path_query({table}.payload, '$.results[*]') AS listed_row"


HAS_ID = "jsonb_typeof(listed_row -> 'id') = 'number' AND listed_row ->> 'id' ~ '^[1-9][0-9]{0,15}$'"


def count_rows(connection: Connection, table: Table) -> int:
    """How many rows a table holds now."""
    return connection.execute(select(func.count()).select_from(table)).scalar_one()


@dataclass(frozen=True)
class PageRow:
    """A page of `raw.discover_pages` to be stored; `text` is its JSON as received."""

    listing: str
    sweep: int
    start: dt.date
    end: dt.date | None
    number: int
    text: str


def replace_sweep(
    connection: Connection, release_year: int, pages: Iterable[PageRow], tmdb_ids: Sequence[int], now: dt.datetime
) -> int:
    """Put a year's sweep in the place of the one before; known films listed in it become this year's.

    Args:
        connection: in a transaction; the caller commits.
        release_year: the partition.
        pages: every page of every pass.
        tmdb_ids: the distinct films on them.
        now: when the sweep ended, UTC.

    Returns:
        Pages stored.
    """
    connection.execute(delete(discover_pages).where(discover_pages.c.release_year == release_year))
    stored = copy_rows(
        connection,
        discover_pages,
        (
            {
                "release_year": release_year,
                "listing": page.listing,
                "sweep": page.sweep,
                "slice_start_date": page.start,
                "page": page.number,
                "slice_end_date": page.end,
                "payload": JsonText(page.text),
                "fetched_at": now,
            }
            for page in pages
        ),
    )
    move = text("UPDATE raw.movie_details SET release_year = :year WHERE tmdb_id = ANY(:ids) AND release_year <> :year")
    connection.execute(move, {"year": release_year, "ids": list(tmdb_ids)})
    return stored


def replace_changes(connection: Connection, day: dt.date, pages: Iterable[tuple[int, str]], now: dt.datetime) -> int:
    """Put a closed day's changes in the place of those before.

    Args:
        connection: in a transaction; the caller commits.
        day: the closed UTC day.
        pages: page number and JSON text of each page.
        now: when they were read, UTC.

    Returns:
        Pages stored.
    """
    connection.execute(delete(movie_changes).where(movie_changes.c.change_date == day))
    rows = (
        {"change_date": day, "page": number, "payload": JsonText(page), "fetched_at": now} for number, page in pages
    )
    return copy_rows(connection, movie_changes, rows)


def collected_change_days(connection: Connection) -> set[dt.date]:
    """The closed days whose changes are stored."""
    return set(connection.execute(select(movie_changes.c.change_date).distinct()).scalars())


def first_read_date(connection: Connection) -> dt.date | None:
    """The UTC day on which the oldest details document was read; None where there is none."""
    oldest = connection.execute(select(func.min(movie_details.c.fetched_at))).scalar()
    return oldest.astimezone(dt.UTC).date() if oldest is not None else None


@dataclass(frozen=True)
class DetailsRow:
    """What was read of one film, for the release year it belongs to; `text` None: it is gone."""

    release_year: int
    tmdb_id: int
    fetched_at: dt.datetime
    text: str | None = None
    digest: str | None = None
    missing: tuple[str, ...] = ()


@dataclass(frozen=True)
class DetailsCounts:
    """What a batch of details did, in films."""

    new: int = 0
    changed: int = 0
    unchanged: int = 0
    gone: int = 0

    def __add__(self, other: DetailsCounts) -> DetailsCounts:
        """What both batches did together."""
        return DetailsCounts(
            self.new + other.new, self.changed + other.changed, self.unchanged + other.unchanged, self.gone + other.gone
        )


def stored_parts(connection: Connection, tmdb_ids: Sequence[int], parts: Sequence[str]) -> dict[int, dict[str, Any]]:
    """Sub-objects of stored documents, by film, where they are there."""
    found: dict[int, dict[str, Any]] = {tmdb_id: {} for tmdb_id in tmdb_ids}
    for part in parts:
        column = movie_details.c.payload[part]
        wanted = movie_details.c.tmdb_id.in_(bindparam("ids", list(tmdb_ids), expanding=True))
        query = select(movie_details.c.tmdb_id, column).where(wanted, func.jsonb_typeof(column) == "object")
        for tmdb_id, value in connection.execute(query):
            found[tmdb_id][part] = value
    return found


def write_details(connection: Connection, rows: Sequence[DetailsRow]) -> dict[int, DetailsCounts]:
    """Store what was read of some films. A gone film keeps its last document and becomes `gone_at`.

    Args:
        connection: in a transaction; the caller commits, and is the only one that stores details.
        rows: what was read; each film once.

    Returns:
        What was done, by release year.
    """
    ids = [row.tmdb_id for row in rows]
    query = text("SELECT tmdb_id, payload_hash, changed_at, gone_at FROM raw.movie_details WHERE tmdb_id = ANY(:ids)")
    stored = {row.tmdb_id: row for row in connection.execute(query, {"ids": ids})}
    counts: dict[int, DetailsCounts] = {}
    unknown: list[dict[str, Any]] = []
    known: list[dict[str, Any]] = []
    for row in rows:
        before = stored.get(row.tmdb_id)
        is_same = before is not None and before.payload_hash == row.digest and before.gone_at is None
        what = "gone" if row.text is None else "new" if before is None else "unchanged" if is_same else "changed"
        counts[row.release_year] = counts.get(row.release_year, DetailsCounts()) + DetailsCounts(**{what: 1})
        if row.text is not None:
            changed_at = before.changed_at if before is not None and is_same else row.fetched_at
            (unknown if before is None else known).append(_document(row, row.text, changed_at))
    copy_rows(connection, movie_details, unknown)  # straight in: most rows of a first ingest, at a third of the cost
    copy_upsert(connection, movie_details, known)
    _mark_gone(connection, [row for row in rows if row.text is None])
    return counts


def _document(row: DetailsRow, received: str, changed_at: dt.datetime) -> dict[str, Any]:
    return {
        "tmdb_id": row.tmdb_id,
        "release_year": row.release_year,
        "payload": JsonText(received),
        "payload_hash": row.digest,
        "missing_parts": list(row.missing),
        "fetched_at": row.fetched_at,
        "changed_at": changed_at,
        "gone_at": None,
    }


def _mark_gone(connection: Connection, rows: Sequence[DetailsRow]) -> None:
    if not rows:
        return
    given = insert(movie_details)
    statement = given.on_conflict_do_update(
        index_elements=["tmdb_id"],
        set_={
            "fetched_at": given.excluded.fetched_at,
            "gone_at": func.coalesce(movie_details.c.gone_at, given.excluded.gone_at),
            "changed_at": case(
                (movie_details.c.gone_at.is_(None), given.excluded.changed_at), else_=movie_details.c.changed_at
            ),
        },
    )
    for row in rows:
        moment = row.fetched_at
        connection.execute(
            statement,
            {
                "tmdb_id": row.tmdb_id,
                "release_year": row.release_year,
                "missing_parts": [],
                "fetched_at": moment,
                "changed_at": moment,
                "gone_at": moment,
            },
        )


def replace_rejected(
    connection: Connection, source_table: str, release_year: int, rejected: Sequence[Mapping[str, Any]]
) -> int:
    """Store a partition's rejections; what was rejected before and is fine now leaves the table.

    Args:
        connection: in a transaction; the caller commits.
        source_table: where the records were read from.
        release_year: the partition.
        rejected: `record_key`, `reason`, `payload` and `rejected_at` of each.

    Returns:
        Rejections of the partition.
    """
    rows = [{"source_table": source_table, "release_year": release_year, **record} for record in rejected]
    copy_upsert(connection, rejected_records, rows, compare=["release_year", "reason", "payload"])
    # A film's rejection may stand under the year it was listed in before.
    connection.execute(
        text(
            """
            DELETE FROM raw.rejected_records AS record
            WHERE source_table = :source AND record_key <> ALL(:keys) AND (
                record.release_year = :year
                OR :source = 'raw.movie_details' AND EXISTS (
                    SELECT 1 FROM raw.movie_details AS details
                    WHERE details.tmdb_id::text = record.record_key AND details.release_year = :year
                )
            )
            """
        ),
        {"source": source_table, "year": release_year, "keys": [str(record["record_key"]) for record in rejected]},
    )
    return len(rows)
