"""SQL of `movies`, and the stored documents it is made from."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Engine, text

from horror_pipeline.warehouse.bulk import WriteCounts, copy_upsert
from horror_pipeline.warehouse.raw import HAS_ID, ROWS
from horror_pipeline.warehouse.tables import (
    movies,
)

ROWS_A_FETCH = 500


@dataclass(frozen=True)
class StoredDetails:
    """A details document with the film's newest listing row of its year, and how the film stands in `movies`.

    `payload` and `listed` are parsed JSON, None where there is none; the `movie_` values are None where `movies` has
    no such film yet.
    """

    tmdb_id: int
    payload: Any
    fetched_at: dt.datetime
    gone_at: dt.datetime | None
    listed: Any
    listed_at: dt.datetime | None
    movie_popularity: float | None
    movie_vote_average: float | None
    movie_vote_count: int | None
    movie_observed_at: dt.datetime | None


_STORED = f"""
WITH listed AS (
    SELECT DISTINCT ON (tmdb_id) (listed_row ->> 'id')::bigint AS tmdb_id, listed_row, page.fetched_at AS listed_at
    FROM raw.discover_pages AS page, {ROWS.format(table="page")}
    WHERE page.release_year = :year AND {HAS_ID}
    ORDER BY tmdb_id, page.fetched_at DESC, page.sweep, page.slice_start_date, page.page
)
SELECT details.tmdb_id, details.payload::text, details.fetched_at, details.gone_at, listed.listed_row::text,
       listed.listed_at, movies.popularity, movies.vote_average, movies.vote_count, movies.observed_at
FROM raw.movie_details AS details LEFT JOIN listed USING (tmdb_id) LEFT JOIN movies USING (tmdb_id)
WHERE details.release_year = :year
ORDER BY details.tmdb_id
"""  # noqa: S608  # made of constants


def stream_details(engine: Engine, release_year: int) -> Iterator[StoredDetails]:
    """Every film of a partition, a few hundred at a time, over a connection of its own."""
    with engine.connect().execution_options(stream_results=True, max_row_buffer=ROWS_A_FETCH) as connection:
        for row in connection.execute(text(_STORED), {"year": release_year}).yield_per(ROWS_A_FETCH):
            tmdb_id, payload, fetched_at, gone_at, listed, listed_at, *standing = row
            yield StoredDetails(tmdb_id, _parsed(payload), fetched_at, gone_at, _parsed(listed), listed_at, *standing)


def _parsed(document: str | None) -> Any:
    return None if document is None else json.loads(document)


def write_movies(connection: Connection, rows: Iterable[Mapping[str, Any]]) -> WriteCounts:
    """Store typed films; `first_seen_at` stays as it was first written, a film that says the same is not rewritten.

    Args:
        connection: in a transaction; the caller commits.
        rows: every column of `movies`, consumed as a stream.
    """
    keep = {"tmdb_id", "first_seen_at"}
    return copy_upsert(connection, movies, rows, update=[name for name in movies.c.keys() if name not in keep])  # noqa: SIM118  # a collection, not a dict
