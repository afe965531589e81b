"""SQL of the schema `raw`: listing pages, changes, details documents, and rejected records."""

from __future__ import annotations

import datetime as dt
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Table, delete, func, select, text

from horror_pipeline.warehouse.bulk import copy_rows, copy_upsert
from horror_pipeline.warehouse.copy_format import JsonText
from horror_pipeline.warehouse.tables import discover_pages, movie_changes, movie_details, rejected_records


def count_rows(connection: Connection, table: Table) -> int:
    """Count a table's rows."""
    return connection.execute(select(func.count()).select_from(table)).scalar_one()


def replace_sweep(
    connection: Connection,
    release_year: int,
    pages: Iterable[Mapping[str, Any]],
    tmdb_ids: Sequence[int],
    now: dt.datetime,
) -> int:
    """Replace the stored listing pages of a release year, and move the known films on them to that year.

    Args:
        connection: in a transaction.
        release_year: the partition.
        pages: a mapping for each page of each pass, with `listing`, `sweep`, `slice_start_date`, `slice_end_date`,
            `page`, and `payload` (the JSON text received).
        tmdb_ids: the distinct films on the pages.
        now: when reading the pages ended, UTC.

    Returns:
        Pages stored.
    """
    connection.execute(delete(discover_pages).where(discover_pages.c.release_year == release_year))
    same = {"release_year": release_year, "fetched_at": now}
    stored = copy_rows(
        connection, discover_pages, ({**page, **same, "payload": JsonText(page["payload"])} for page in pages)
    )
    move = text("UPDATE raw.movie_details SET release_year = :year WHERE tmdb_id = ANY(:ids) AND release_year <> :year")
    connection.execute(move, {"year": release_year, "ids": list(tmdb_ids)})
    return stored


def replace_changes(connection: Connection, day: dt.date, pages: Iterable[tuple[int, str]], now: dt.datetime) -> int:
    """Replace the changes of a closed (past) UTC day by pages of (number, JSON text); return how many were stored."""
    connection.execute(delete(movie_changes).where(movie_changes.c.change_date == day))
    rows = (
        {"change_date": day, "page": number, "payload": JsonText(page), "fetched_at": now} for number, page in pages
    )
    return copy_rows(connection, movie_changes, rows)


def collected_change_days(connection: Connection) -> set[dt.date]:
    """Return the closed days whose changes are stored."""
    return set(connection.execute(select(movie_changes.c.change_date).distinct()).scalars())


def first_read_date(connection: Connection) -> dt.date | None:
    """Return the UTC day on which the oldest details document was read; None if there is none."""
    oldest = connection.execute(select(func.min(movie_details.c.fetched_at))).scalar()
    return oldest.astimezone(dt.UTC).date() if oldest is not None else None


OUTCOMES = ("new", "changed", "unchanged", "gone")
"""The outcomes by which `write_details` counts films."""


def stored_parts(connection: Connection, tmdb_ids: Sequence[int], parts: Sequence[str]) -> dict[int, dict[str, Any]]:
    """Return the named parts of each film's stored document; parts that are not objects are left out."""
    stored: dict[int, dict[str, Any]] = {tmdb_id: {} for tmdb_id in tmdb_ids}
    for part in parts:
        column = movie_details.c.payload[part]
        query = select(movie_details.c.tmdb_id, column).where(movie_details.c.tmdb_id.in_(list(tmdb_ids)))
        for tmdb_id, value in connection.execute(query.where(func.jsonb_typeof(column) == "object")):
            stored[tmdb_id][part] = value
    return stored


def write_details(connection: Connection, rows: Sequence[Mapping[str, Any]]) -> dict[int, Counter[str]]:
    """Store what TMDB answered about some films. A gone film keeps its last document and gets `gone_at`.

    Args:
        connection: in a transaction; no other transaction may store details at the same time.
        rows: one for each film: `tmdb_id`, `release_year`, `fetched_at`, `payload` (the JSON text received; None if the
            film is gone), `payload_hash`, `missing_parts`.

    Returns:
        For each release year, the number of films by outcome, which is one of `OUTCOMES`.
    """
    query = text("SELECT tmdb_id, payload_hash, changed_at, gone_at FROM raw.movie_details WHERE tmdb_id = ANY(:ids)")
    stored = {row.tmdb_id: row for row in connection.execute(query, {"ids": [row["tmdb_id"] for row in rows]})}
    counts: dict[int, Counter[str]] = defaultdict(Counter)
    unknown: list[dict[str, Any]] = []
    known: list[dict[str, Any]] = []
    for row in rows:
        before = stored.get(row["tmdb_id"])
        is_gone = row["payload"] is None
        is_same = before is not None and before.payload_hash == row["payload_hash"] and before.gone_at is None
        outcome = "gone" if is_gone else "new" if before is None else "unchanged" if is_same else "changed"
        counts[row["release_year"]][outcome] += 1
        if not is_gone:
            changed_at = before.changed_at if before is not None and is_same else row["fetched_at"]
            document = {**row, "payload": JsonText(row["payload"]), "changed_at": changed_at, "gone_at": None}
            (unknown if before is None else known).append(document)
    copy_rows(connection, movie_details, unknown)  # most rows of a first ingest; costs a third of an upsert
    copy_upsert(connection, movie_details, known)
    _mark_gone(connection, [row for row in rows if row["payload"] is None])
    return counts


def _mark_gone(connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    statement = text("""
        INSERT INTO raw.movie_details AS stored
            (tmdb_id, release_year, missing_parts, fetched_at, changed_at, gone_at)
        VALUES (:tmdb_id, :release_year, '{}', :fetched_at, :fetched_at, :fetched_at)
        ON CONFLICT (tmdb_id) DO UPDATE SET
            fetched_at = excluded.fetched_at,
            gone_at = coalesce(stored.gone_at, excluded.gone_at),
            changed_at = CASE WHEN stored.gone_at IS NULL THEN excluded.changed_at ELSE stored.changed_at END
    """)
    for row in rows:
        values = {name: row[name] for name in ("tmdb_id", "release_year", "fetched_at")}
        connection.execute(statement, values)


def replace_rejected(
    connection: Connection, source_table: str, release_year: int, rejected: Sequence[Mapping[str, Any]]
) -> None:
    """Replace the rejected records of a table and release year; records that are no longer rejected are deleted.

    Args:
        connection: in a transaction.
        source_table: name of the table that the records were read from.
        release_year: the partition.
        rejected: `record_key`, `reason`, `payload` and `rejected_at` of each.
    """
    rows = [{"source_table": source_table, "release_year": release_year, **record} for record in rejected]
    copy_upsert(connection, rejected_records, rows, compare=["release_year", "reason", "payload"])
    # The rejected record of a film may be stored under a year in which the film was listed earlier.
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
