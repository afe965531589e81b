"""The SQL of the track record: the best and worst forecasts, and the accuracy of forecasts by group of films."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, text

from horror_pipeline.web.database import read_rows

CALLS = 10

_CALLS = text("""
    WITH of_film AS (
        SELECT DISTINCT ON (tmdb_id, gain > 0) forecast_calls.*, title FROM forecast_calls JOIN movies USING (tmdb_id)
        WHERE horizon_days = :horizon ORDER BY tmdb_id, gain > 0, abs(gain) DESC
    ), ordered AS (
        SELECT *, row_number() OVER (PARTITION BY gain > 0 ORDER BY abs(gain) DESC, tmdb_id) AS place FROM of_film
    )
    SELECT * FROM ordered WHERE place <= :calls ORDER BY gain DESC, tmdb_id
""")

_GROUPS = text("""
    SELECT dimension, category, is_backtest, films, mae, mae_no_change, skill, coverage FROM forecast_group_accuracy
    WHERE horizon_days = :horizon AND films >= :fewest
    ORDER BY dimension, is_backtest,
        array_position(ARRAY['below 10', '10 to 99', '100 to 999', '1,000 or more'], category), films DESC, category
""")

FEWEST_FILMS = 100
"""A group with fewer forecasts than this is left out, because its score would be chance."""


def calls(connection: Connection, horizon: int) -> list[dict[str, Any]]:
    """Return the best and the worst forecasts at a horizon, at most one of each per film, the best first."""
    return read_rows(connection, _CALLS, horizon=horizon, calls=CALLS)


def groups(connection: Connection, horizon: int) -> list[dict[str, Any]]:
    """Return the accuracy of forecasts at a horizon, by votes, language and stage of the films."""
    return read_rows(connection, _GROUPS, horizon=horizon, fewest=FEWEST_FILMS)
