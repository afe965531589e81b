"""Reads the films most similar to a film, and sums up how they did in their first days."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from statistics import median

from sqlalchemy import Connection, text

from horror_pipeline.web.database import read_rows
from horror_pipeline.web.schemas import FirstDays, SimilarMovie

FIRST_DAYS = 90
FIRST_WEEK_DAYS = 7

_SIMILAR = text("""
    SELECT rank, score, film.tmdb_id, film.title, film.original_title, film.release_date, film.popularity,
        film.vote_average, film.vote_count, film.poster_path, release_popularity, highest_popularity,
        first_days_vote_count, coalesce(days_stored, 0) AS days_stored,
        array_cat(
            CASE WHEN film.collection_id = asked.collection_id THEN ARRAY[film.collection_name] END,
            ARRAY(
                SELECT name FROM unnest(film.directors || film.cast_names || film.keywords) WITH ORDINALITY
                    AS of_film (name, place)
                WHERE name = ANY (asked.directors || asked.cast_names || asked.keywords)
                GROUP BY name ORDER BY min(place) LIMIT 5
            )
        ) AS shared
    FROM similar_movies AS pair
    JOIN movies AS asked ON asked.tmdb_id = pair.tmdb_id
    JOIN movies AS film ON film.tmdb_id = pair.similar_tmdb_id
    LEFT JOIN LATERAL (
        SELECT count(*) AS days_stored, max(popularity) AS highest_popularity,
            (array_agg(popularity ORDER BY snapshot_date)
                FILTER (WHERE snapshot_date <= film.release_date + :first_week))[1] AS release_popularity,
            (array_agg(vote_count ORDER BY snapshot_date DESC)
                FILTER (WHERE vote_count IS NOT NULL))[1] AS first_days_vote_count
        FROM movie_snapshots AS snapshot
        WHERE snapshot.tmdb_id = film.tmdb_id
            AND snapshot_date BETWEEN film.release_date AND film.release_date + :first_days
    ) AS early ON true
    WHERE pair.tmdb_id = :tmdb_id AND film.gone_at IS NULL ORDER BY rank
""")


def similar_movies(connection: Connection, tmdb_id: int) -> list[SimilarMovie]:
    """Return the films most similar to a film, the most similar first, with what is stored of their first 90 days."""
    rows = read_rows(connection, _SIMILAR, tmdb_id=tmdb_id, first_days=FIRST_DAYS, first_week=FIRST_WEEK_DAYS)
    return [SimilarMovie(**row) for row in rows]


def first_days(similar: Sequence[SimilarMovie], today: date) -> FirstDays:
    """Sum up how the similar films that are out did; each median is over the films for which its figure is stored."""
    out = [film for film in similar if film.release_date is not None and film.release_date <= today]

    def middle(name: str) -> float | None:
        known = [value for film in out if (value := getattr(film, name)) is not None]
        return median(known) if known else None

    return FirstDays(
        films_released=len(out),
        films_with_first_days=sum(film.days_stored > 0 for film in out),
        **{name: middle(name) for name in FirstDays.MEDIANS},
    )
