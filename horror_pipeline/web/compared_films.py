"""Compares films by days since each one's release, for the JSON endpoint and for the page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, text

from horror_pipeline.web import drawing, queries
from horror_pipeline.web.database import read_rows
from horror_pipeline.web.schemas import ComparedFilm, ComparedFilms, DaySinceRelease

FIRST_DAY, LAST_DAY = -60, 180
MILESTONES = (-60, -30, -14, -7, 0, 7, 14, 30, 60, 90, 180)
"""The days since release that the page's table lists, if any of the films has a value."""

MOST_FILMS = 5
SUGGESTIONS = 5

_FILMS = text(
    f"SELECT {queries.MOVIE_COLUMNS} FROM movies WHERE tmdb_id = ANY(CAST(:ids AS bigint[]))"  # noqa: S608  # constants
)
_DAYS = text("""
    SELECT film.tmdb_id, snapshot_date - release_date AS days_since_release, snapshot.popularity
    FROM movies AS film CROSS JOIN LATERAL (
        SELECT snapshot_date, popularity FROM movie_snapshots
        WHERE movie_snapshots.tmdb_id = film.tmdb_id
            AND snapshot_date BETWEEN film.release_date + :first AND film.release_date + :last
    ) AS snapshot
    WHERE film.tmdb_id = ANY(CAST(:ids AS bigint[])) ORDER BY film.tmdb_id, snapshot_date
""")


def ids_of(text_of_ids: str) -> list[int]:
    """Return the ids in a comma-separated list, without repetitions."""
    return list(dict.fromkeys(map(int, text_of_ids.split(",")))) if text_of_ids else []


def read(connection: Connection, ids: Sequence[int]) -> ComparedFilms | None:
    """Read films with their popularity by days since release; return None if a film is unknown."""
    films = {row["tmdb_id"]: row for row in read_rows(connection, _FILMS, ids=list(ids))}
    days: dict[int, list[DaySinceRelease]] = {tmdb_id: [] for tmdb_id in ids}
    for row in read_rows(connection, _DAYS, ids=list(ids), first=FIRST_DAY, last=LAST_DAY):
        days[row["tmdb_id"]].append(DaySinceRelease(**row))
    if set(ids) - set(films):
        return None
    return ComparedFilms(films=[ComparedFilm(**films[tmdb_id], days=days[tmdb_id]) for tmdb_id in ids])


def page(connection: Connection, ids: Sequence[int], title: str) -> dict[str, Any] | None:
    """Return the values that the page's template shows; None if a film is unknown.

    Args:
        connection: to read with.
        ids: the films compared.
        title: beginnings of words in the titles of films to suggest for adding; '' suggests none.
    """
    found = read(connection, ids)
    if found is None:
        return None
    by_day = [{day.days_since_release: day.popularity for day in film.days} for film in found.films]
    hits = queries.search(connection, words=title.split(), limit=SUGGESTIONS + len(ids)) if title.split() else []
    return {
        "films": found.films,
        "milestones": [
            (day, [values.get(day) for values in by_day])
            for day in MILESTONES
            if any(day in values for values in by_day)
        ],
        "drawing": drawing.draw_since_release([list(values.items()) for values in by_day]),
        "ids": ",".join(map(str, ids)),
        "without": {film: ",".join(str(other) for other in ids if other != film) for film in ids},
        "title": title,
        "suggested": [film for film in hits if film["tmdb_id"] not in ids][:SUGGESTIONS],
        "is_full": len(ids) >= MOST_FILMS,
    }
