"""SQL of `movies`, and of the stored documents it is made from."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Engine, select, text

from horror_pipeline.domain import CREDIBILITY_SAMPLE, highest_credible
from horror_pipeline.warehouse.bulk import WriteCounts, copy_upsert
from horror_pipeline.warehouse.tables import movies

ROWS_A_FETCH = 500


@dataclass(frozen=True)
class StoredDetails:
    """A film's details document, its newest listing row of the same release year, and its current row of `movies`.

    `payload` and `listed` are parsed JSON, or None where missing. The `movie_` values are None for a film that is not
    in `movies` yet.
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


_STORED = text("""
WITH listed AS (
    SELECT DISTINCT ON (tmdb_id) tmdb_id, listed, fetched_at AS listed_at FROM raw.listed_movies
    WHERE release_year = :year ORDER BY tmdb_id, fetched_at DESC, sweep, slice_start_date, page
)
SELECT details.tmdb_id, details.payload::text, details.fetched_at, details.gone_at, listed.listed::text,
       listed.listed_at, movies.popularity, movies.vote_average, movies.vote_count, movies.observed_at
FROM raw.movie_details AS details LEFT JOIN listed USING (tmdb_id) LEFT JOIN movies USING (tmdb_id)
WHERE details.release_year = :year
ORDER BY details.tmdb_id
""")


def stream_details(engine: Engine, release_year: int) -> Iterator[StoredDetails]:
    """Yield every film of a release year, fetching a few hundred rows at a time over a separate connection."""
    with engine.connect().execution_options(stream_results=True, max_row_buffer=ROWS_A_FETCH) as connection:
        for row in connection.execute(_STORED, {"year": release_year}).yield_per(ROWS_A_FETCH):
            tmdb_id, payload, fetched_at, gone_at, listed, listed_at, *current = row
            yield StoredDetails(tmdb_id, _parsed(payload), fetched_at, gone_at, _parsed(listed), listed_at, *current)


def _parsed(document: str | None) -> Any:
    try:
        return None if document is None else json.loads(document)
    except ValueError:  # an integer has more digits than Python converts
        return json.loads(document or "", parse_int=float)


def write_movies(connection: Connection, rows: Iterable[Mapping[str, Any]]) -> WriteCounts:
    """Upsert films from a stream of typed rows that have every column of `movies`.

    `first_seen_at` stays as first written, and an unchanged film is not rewritten.
    """
    updated = [column.name for column in movies.columns if column.name not in ("tmdb_id", "first_seen_at")]
    return copy_upsert(connection, movies, rows, update=updated)


_NOTE_RELEASE_DATES = text("""
    INSERT INTO release_date_changes (tmdb_id, noted_at, release_date)
    SELECT movies.tmdb_id, details_fetched_at, movies.release_date
    FROM movies LEFT JOIN LATERAL (
        SELECT noted_at, release_date FROM release_date_changes AS change
        WHERE change.tmdb_id = movies.tmdb_id ORDER BY noted_at DESC LIMIT 1
    ) AS last ON true
    WHERE movies.release_date IS DISTINCT FROM last.release_date
      AND CASE WHEN last.noted_at IS NULL THEN movies.release_date >= details_fetched_at::date
               ELSE details_fetched_at > last.noted_at END
""")


def note_release_dates(connection: Connection) -> int:
    """Record the release dates that were announced or changed since the last call; return how many."""
    return int(connection.execute(_NOTE_RELEASE_DATES).rowcount)


def incredible_values(connection: Connection) -> list[tuple[int, str, float, float]]:
    """Return the popularities and vote counts that are too high to be credible, given the rest of the catalog.

    Returns:
        Rows of id, column name, value and the highest credible value; for each column, the largest value first.
    """
    incredible = []
    for column in (movies.c.popularity, movies.c.vote_count):
        known = select(movies.c.tmdb_id, column).where(movies.c.gone_at.is_(None), column.is_not(None))
        rows = connection.execute(known.order_by(column.desc(), movies.c.tmdb_id).limit(CREDIBILITY_SAMPLE)).all()
        limit = highest_credible(value for _, value in rows)
        incredible += [(tmdb_id, column.name, float(value), limit) for tmdb_id, value in rows if value > limit]
    return incredible
