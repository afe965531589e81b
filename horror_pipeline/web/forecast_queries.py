"""The SQL of the forecasts: what a film's popularity will be some days from now, from its own history."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, text

from horror_pipeline.web.database import read_rows
from horror_pipeline.web.parameters import ForecastParameters

MIN_MOVER_POPULARITY = 1.0
"""Below this popularity, a few visitors can cause a large relative change."""

FORECAST_COLUMNS = (
    "made_on, horizon_days, target_date, origin_popularity, forecast_popularity, popularity_lower, popularity_upper, "
    "rise_probability, is_backtest, model_version"
)

CHANGE = "forecast_popularity / nullif(origin_popularity, 0)"
IS_MOVER = f"AND origin_popularity >= {MIN_MOVER_POPULARITY} AND forecast_popularity"

ORDERS = {
    "rise": (f"{IS_MOVER} > origin_popularity", f"{CHANGE} DESC"),
    "fall": (f"{IS_MOVER} < origin_popularity", f"{CHANGE} ASC"),
    "popularity": ("", "forecast_popularity DESC"),
}
"""For each order, the condition that films must meet, and how they are sorted."""

STAGES = {
    None: "",
    "before_release": "AND coalesce(days_to_release > 0, true)",
    "after_release": "AND days_to_release <= 0",
}


def latest_forecasts(connection: Connection, parameters: ForecastParameters) -> list[dict[str, Any]]:
    """Return one page of the newest forecasts at one horizon; `total` in each row is the number of films that match."""
    is_included, sorting = ORDERS[parameters.order]
    statement = (
        f"SELECT tmdb_id, title, release_date, days_to_release, {FORECAST_COLUMNS}, count(*) OVER () AS total "  # noqa: S608
        f"FROM latest_forecasts WHERE horizon_days = :horizon {is_included} {STAGES[parameters.stage]} "
        f"ORDER BY {sorting}, tmdb_id LIMIT :limit OFFSET :offset"
    )
    return read_rows(connection, statement, **parameters.model_dump(include={"horizon", "limit", "offset"}))


def movie_forecasts(connection: Connection, tmdb_id: int) -> list[dict[str, Any]]:
    """Return one film's newest forecasts, by horizon."""
    statement = f"SELECT {FORECAST_COLUMNS} FROM latest_forecasts WHERE tmdb_id = :tmdb_id ORDER BY horizon_days"  # noqa: S608
    return read_rows(connection, statement, tmdb_id=tmdb_id)


RELEASE_FORECASTS = text(
    "SELECT DISTINCT ON (tmdb_id) tmdb_id, target_date AS forecast_date, forecast_popularity, "
    "popularity_lower AS forecast_lower, popularity_upper AS forecast_upper FROM latest_forecasts "
    "WHERE tmdb_id = ANY(CAST(:ids AS bigint[])) AND made_on < release_date AND target_date >= release_date "
    "ORDER BY tmdb_id, horizon_days"
)


def release_forecasts(connection: Connection, ids: Sequence[int]) -> dict[int, dict[str, Any]]:
    """Return, by id, each coming film's newest forecast for the first forecast day on which it is out, if any."""
    if not ids:
        return {}
    return {row["tmdb_id"]: row for row in read_rows(connection, RELEASE_FORECASTS, ids=list(ids))}


def forecast_accuracy(connection: Connection) -> list[dict[str, Any]]:
    """Return the accuracy of forecasts, and of assuming no change, by horizon and month, oldest first."""
    return read_rows(
        connection,
        "SELECT horizon_days, month, is_backtest, films, mae, mae_no_change, skill, coverage FROM forecast_accuracy "
        "ORDER BY month, horizon_days, is_backtest DESC",
    )
