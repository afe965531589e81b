"""SQL of `forecast_calls` and `forecast_group_scores`: a day's best and worst forecasts, and its scores by group.

Both are written when a day's forecasts are scored, so that the track record is read without reading the forecasts.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, text

COMPARED = """
    FROM popularity_forecasts AS forecast JOIN movie_snapshots AS snapshot USING (tmdb_id)
    WHERE made_on = ANY(:origins) AND target_date = ANY(:targets)
      AND snapshot_date = ANY(:targets) AND snapshot_date = target_date AND origin_popularity >= :lowest
      AND snapshot.popularity <= (CAST(:highest AS float8[]))[array_position(CAST(:targets AS date[]), snapshot_date)]
"""
"""The forecasts that are scored, joined with the snapshots of their target days."""

SUMS = """
    count(*), sum(abs(outcome - forecast_popularity)), sum(abs(outcome - origin_popularity)),
    count(*) FILTER (WHERE outcome BETWEEN popularity_lower AND popularity_upper)
"""

CALLS_KEPT = 10
"""How many of the best forecasts of each day and horizon are kept, and how many of the worst."""

DELETE = tuple(
    text(f"DELETE FROM {table} WHERE made_on = ANY(:origins) AND target_date = ANY(:targets)")  # noqa: S608  # constants
    for table in ("forecast_scores", "forecast_calls", "forecast_group_scores")
)

_NOTE = text(f"""
    WITH compared AS MATERIALIZED (
        SELECT forecast.*, snapshot.popularity AS outcome,
               abs(snapshot.popularity - origin_popularity) - abs(snapshot.popularity - forecast_popularity) AS gain
        {COMPARED}
    ), grouped AS (
        INSERT INTO forecast_group_scores (made_on, horizon_days, dimension, category, target_date, is_backtest, films,
                                           total_error, total_error_no_change, films_in_interval)
        SELECT made_on, horizon_days, dimension, category, target_date, is_backtest, {SUMS}
        FROM compared JOIN movies USING (tmdb_id)
        CROSS JOIN LATERAL (VALUES
            ('votes', CASE WHEN coalesce(vote_count, 0) < 10 THEN 'below 10' WHEN vote_count < 100 THEN '10 to 99'
                           WHEN vote_count < 1000 THEN '100 to 999' ELSE '1,000 or more' END),
            ('language', coalesce(original_language, 'unknown')),
            ('stage', CASE WHEN release_date <= made_on THEN 'after release' ELSE 'before release' END)
        ) AS of_group (dimension, category)
        GROUP BY made_on, horizon_days, dimension, category, target_date, is_backtest
    )
    INSERT INTO forecast_calls (made_on, tmdb_id, horizon_days, target_date, is_backtest, origin_popularity,
                                forecast_popularity, popularity_lower, popularity_upper, outcome_popularity, gain)
    SELECT made_on, tmdb_id, horizon_days, target_date, is_backtest, origin_popularity,
           forecast_popularity, popularity_lower, popularity_upper, outcome, gain
    FROM (
        SELECT *, row_number() OVER (PARTITION BY made_on, horizon_days ORDER BY gain DESC, tmdb_id) AS best,
               row_number() OVER (PARTITION BY made_on, horizon_days ORDER BY gain, tmdb_id) AS worst
        FROM compared
    ) AS ordered
    WHERE (best <= {CALLS_KEPT} AND gain > 0) OR (worst <= {CALLS_KEPT} AND gain < 0)
""")  # noqa: S608  # constants


def note_outcomes(connection: Connection, values: Mapping[str, Any]) -> None:
    """Store the best and worst of the forecasts that `COMPARED` selects, and their scores by group."""
    connection.execute(_NOTE, values)
