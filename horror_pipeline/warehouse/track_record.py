"""SQL of the scores of forecasts, overall and by group of films, and of each day's best and worst forecasts.

The tables hold sums over films and a few single forecasts, so that few rows give the accuracy of millions of forecasts.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

from sqlalchemy import Connection, Table, delete, text

from horror_pipeline.warehouse.days import credible_popularity
from horror_pipeline.warehouse.tables import forecast_calls, forecast_group_scores, forecast_scores

LOWEST_SCORED_POPULARITY = 1
"""Only films with at least this popularity on the day of the forecast are scored: TMDB's lower values are noisy."""

CALLS_KEPT = 10
"""How many of the best forecasts of each day and horizon are kept, and how many of the worst."""

SCORE_TABLES = (forecast_scores, forecast_group_scores, forecast_calls)


def _columns(table: Table) -> str:
    return ", ".join(table.columns.keys())


_SUMS = """
    count(*), sum(abs(outcome_popularity - forecast_popularity)), sum(abs(outcome_popularity - origin_popularity)),
    count(*) FILTER (WHERE outcome_popularity BETWEEN popularity_lower AND popularity_upper)
"""

_SCORE = text(f"""
    WITH compared AS MATERIALIZED (
        SELECT forecast.*, snapshot.popularity AS outcome_popularity,
               abs(snapshot.popularity - origin_popularity) - abs(snapshot.popularity - forecast_popularity) AS gain
        FROM popularity_forecasts AS forecast JOIN movie_snapshots AS snapshot USING (tmdb_id)
        WHERE made_on = ANY(:origins) AND target_date = ANY(:targets)
          AND snapshot_date = ANY(:targets) AND snapshot_date = target_date AND origin_popularity >= :lowest
          AND snapshot.popularity
              <= (CAST(:highest AS float8[]))[array_position(CAST(:targets AS date[]), snapshot_date)]
    ), grouped AS (
        INSERT INTO forecast_group_scores ({_columns(forecast_group_scores)})
        SELECT made_on, horizon_days, dimension, category, target_date, is_backtest, {_SUMS}
        FROM compared JOIN movies USING (tmdb_id)
        CROSS JOIN LATERAL (VALUES
            ('votes', CASE WHEN coalesce(vote_count, 0) < 10 THEN 'below 10' WHEN vote_count < 100 THEN '10 to 99'
                           WHEN vote_count < 1000 THEN '100 to 999' ELSE '1,000 or more' END),
            ('language', coalesce(original_language, 'unknown')),
            ('stage', CASE WHEN release_date <= made_on THEN 'after release' ELSE 'before release' END)
        ) AS of_group (dimension, category)
        GROUP BY made_on, horizon_days, dimension, category, target_date, is_backtest
    ), called AS (
        INSERT INTO forecast_calls ({_columns(forecast_calls)})
        SELECT {_columns(forecast_calls)} FROM (
            SELECT *, row_number() OVER (PARTITION BY made_on, horizon_days ORDER BY gain DESC, tmdb_id) AS best,
                   row_number() OVER (PARTITION BY made_on, horizon_days ORDER BY gain, tmdb_id) AS worst
            FROM compared
        ) AS ordered
        WHERE (best <= {CALLS_KEPT} AND gain > 0) OR (worst <= {CALLS_KEPT} AND gain < 0)
    )
    INSERT INTO forecast_scores ({_columns(forecast_scores)})
    SELECT made_on, horizon_days, target_date, is_backtest, {_SUMS}
    FROM compared GROUP BY made_on, horizon_days, target_date, is_backtest
""")  # noqa: S608  # constants


def score(connection: Connection, origins: Sequence[dt.date], targets: Sequence[dt.date]) -> int:
    """Compare the forecasts made on `origins` for `targets` with the targets' snapshots, and replace their scores.

    Returns:
        Rows written to `forecast_scores`.
    """
    for table in SCORE_TABLES:
        connection.execute(delete(table).where(table.c.made_on.in_(origins), table.c.target_date.in_(targets)))
    highest = [credible_popularity(connection, day) for day in targets]
    days = {"origins": list(origins), "targets": list(targets)}
    return int(connection.execute(_SCORE, days | {"lowest": LOWEST_SCORED_POPULARITY, "highest": highest}).rowcount)
