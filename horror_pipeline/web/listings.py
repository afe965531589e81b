"""Reads the dashboard's lists together, for the page `/lists`, which needs no script."""

from __future__ import annotations

from datetime import date
from typing import Any

from sqlalchemy import Connection, text

from horror_pipeline.web import forecast_queries, mover_queries, queries
from horror_pipeline.web.database import read_rows
from horror_pipeline.web.parameters import ForecastParameters, MoverParameters

LISTED = 10
COMING = 20

_COMING = text("""
    SELECT *, count(*) OVER () AS total FROM latest_predictions
    WHERE stage = 'before_release' AND release_date >= :today
    ORDER BY release_date, predicted_popularity DESC NULLS LAST, tmdb_id LIMIT :limit OFFSET :skip
""")
_SURPRISING = text("""
    SELECT * FROM latest_predictions WHERE surprise_factor > 1
        AND date_trunc('month', release_date) = date_trunc('month', CAST(:today AS date)) + interval '1 month'
    ORDER BY surprise_factor DESC, tmdb_id LIMIT :limit
""")


def read(connection: Connection, today: date, skip: int) -> dict[str, Any]:
    """Read the most popular films, breakouts, forecast rises, next month's surprises, and a page of coming films.

    Args:
        connection: to read with.
        today: a film released on this day or later is a coming film.
        skip: how many coming films come before this page.
    """
    coming = read_rows(connection, _COMING, today=today, limit=COMING, skip=skip)
    surprising = read_rows(connection, _SURPRISING, today=today, limit=LISTED)
    ids = [row["tmdb_id"] for row in surprising]
    return {
        "snapshot_date": queries.newest_snapshot_date(connection),
        "popular": queries.most_popular(connection, limit=LISTED),
        "breakouts": mover_queries.latest_movers(connection, MoverParameters(limit=LISTED)),
        "rising": forecast_queries.latest_forecasts(connection, ForecastParameters(limit=LISTED)),
        "surprising": surprising,
        "reasons": queries.popularity_reasons(connection, ids),
        "forecasts": forecast_queries.release_forecasts(connection, ids),
        "coming": coming,
        "earlier": max(0, skip - COMING) if skip else None,
        "later": skip + COMING if coming and coming[0]["total"] > skip + COMING else None,
    }
