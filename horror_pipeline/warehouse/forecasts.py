"""SQL of `popularity_forecasts`, and of the history that forecasts are computed from.

A forecast is scored as soon as both it and the snapshot of its target day are stored, in either order.
"""

from __future__ import annotations

import datetime as dt
import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from sqlalchemy import Connection, delete, select, text

from horror_pipeline.domain import FORECAST_HORIZONS_DAYS
from horror_pipeline.warehouse import track_record
from horror_pipeline.warehouse.bulk import copy_columns
from horror_pipeline.warehouse.days import distinct_values
from horror_pipeline.warehouse.locks import FORECAST_DAY_LOCK, hold
from horror_pipeline.warehouse.partitions import ensure_months
from horror_pipeline.warehouse.tables import movie_snapshots, movies, popularity_forecasts
from horror_pipeline.warehouse.views import ACCURACY_COLUMNS

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

ForecastOrder = Literal["popularity", "movers"]

# -- reading what forecasts are computed from --------------------------------------------------------------------------

_COPY_HEADER_BYTES = 19
_COPY_ROW = [("fields", ">i2"), ("size_1", ">i4"), ("tmdb_id", ">i8"), ("size_2", ">i4"), ("popularity", ">f8")]
"""A row of the binary COPY format: two columns that are not NULL, each preceded by its size."""


def read_history(connection: Connection, first: dt.date, last: dt.date) -> dict[str, NDArray[Any]]:
    """Read the daily popularity of every film from a first to a last day, without making Python objects of the values.

    Returns:
        `tmdb_id` (int64), `snapshot_date` (datetime64[D]) and `popularity` (float64), in order of day and film.
    """
    import numpy as np

    days = [day for day in distinct_values(connection, movie_snapshots.c.snapshot_date) if first <= day <= last]
    rows = [_read_day(connection, day) for day in days]
    dates = np.array(days, dtype="datetime64[D]")
    none = np.empty(0, dtype=_COPY_ROW)
    return {
        "tmdb_id": np.concatenate([none["tmdb_id"], *(day["tmdb_id"] for day in rows)], dtype=np.int64),
        "snapshot_date": np.repeat(dates, [len(day) for day in rows]),
        "popularity": np.concatenate([none["popularity"], *(day["popularity"] for day in rows)], dtype=np.float64),
    }


def _read_day(connection: Connection, day: dt.date) -> NDArray[np.void]:
    import numpy as np

    query = f"SELECT tmdb_id, popularity FROM movie_snapshots WHERE snapshot_date = '{day}' ORDER BY tmdb_id"  # noqa: S608  # a date
    received = io.BytesIO()
    cursor: Any = connection.connection.cursor()
    with cursor:
        cursor.copy_expert(f"COPY ({query}) TO STDOUT WITH (FORMAT binary)", received)
        return np.frombuffer(received.getbuffer(), dtype=_COPY_ROW, count=cursor.rowcount, offset=_COPY_HEADER_BYTES)


def release_dates(connection: Connection) -> dict[int, dt.date | None]:
    """Return the release date of every film, by `tmdb_id`; None where it is unknown."""
    rows = connection.execute(select(movies.c.tmdb_id, movies.c.release_date).order_by(movies.c.tmdb_id))
    return {row.tmdb_id: row.release_date for row in rows}


def day_total(connection: Connection, day: dt.date) -> tuple[int, str]:
    """Return the number of films in a day's snapshot and their total popularity, which show whether it has changed."""
    query = text(
        "SELECT count(*), coalesce(sum(popularity::numeric), 0) FROM movie_snapshots WHERE snapshot_date = :day"
    )
    films, total = connection.execute(query, {"day": day}).one()
    return int(films), str(total)


# -- writing and scoring -----------------------------------------------------------------------------------------------


def replace_forecasts(
    connection: Connection, made_on: dt.date, columns: Mapping[str, Sequence[Any]], *, is_backtest: bool
) -> int:
    """Replace the forecasts made on a day, and score those whose target day is stored.

    A day with live forecasts keeps them: backtest forecasts are not written over them.

    Args:
        connection: in a transaction.
        made_on: the day whose snapshot is the newest one that the forecasts use.
        columns: by column of `popularity_forecasts`, the values of all films and horizons, without `made_on`,
            `target_date` and `is_backtest`.
        is_backtest: whether the forecasts were made afterward.

    Returns:
        Rows written; 0 if live forecasts were kept.
    """
    hold(connection, FORECAST_DAY_LOCK, made_on.toordinal())
    if is_backtest and forecast_days(connection).get(made_on) is False:
        return 0
    for table in (popularity_forecasts, *track_record.SCORE_TABLES):
        connection.execute(delete(table).where(table.c.made_on == made_on))
    horizons = [int(days) for days in columns["horizon_days"]]
    if not horizons:
        return 0
    ensure_months(connection, popularity_forecasts, [made_on])
    target_of = {days: made_on + dt.timedelta(days=days) for days in set(horizons)}
    added: dict[str, Sequence[Any]] = {
        "made_on": [made_on] * len(horizons),
        "target_date": [target_of[days] for days in horizons],
        "is_backtest": [is_backtest] * len(horizons),
    }
    written = copy_columns(connection, popularity_forecasts, {**columns, **added})
    track_record.score(connection, [made_on], sorted(target_of.values()))
    return written


def score_target(connection: Connection, target: dt.date) -> int:
    """Score all forecasts for a day with the day's snapshot; return how many rows of `forecast_scores` were written.

    The new scores replace earlier ones, except scores whose forecasts have been purged.
    """
    origins = {target - dt.timedelta(days=days) for days in FORECAST_HORIZONS_DAYS}
    stored = distinct_values(connection, popularity_forecasts.c.made_on)
    return track_record.score(connection, sorted(origins.intersection(stored)), [target])


# -- reading forecasts and their scores --------------------------------------------------------------------------------


def forecast_days(connection: Connection) -> dict[dt.date, bool]:
    """Return, for each day with forecasts, oldest first, whether they are backtest forecasts."""
    # ORDER BY the primary key makes Postgres find a day's first row by the index, without scanning the table.
    query = text("""
        SELECT day, (SELECT is_backtest FROM popularity_forecasts
                     WHERE made_on = day ORDER BY tmdb_id, horizon_days LIMIT 1)
        FROM unnest(CAST(:days AS date[])) AS day
    """)
    days = distinct_values(connection, popularity_forecasts.c.made_on)
    return {day: bool(is_backtest) for day, is_backtest in connection.execute(query, {"days": days})}


def live_skill(connection: Connection, since: dt.date, until: dt.date = dt.date.max) -> dict[int, dict[str, Any]]:
    """Compare the live forecasts for the days from `since` to `until` with "no change", by horizon in days.

    Returns:
        `films`, `mae`, `mae_no_change`, `skill` (1 − mae / mae_no_change; None if nothing changed) and `coverage`;
        horizons without scores are left out.
    """
    query = text(f"""
        SELECT horizon_days, {ACCURACY_COLUMNS} FROM forecast_scores
        WHERE NOT is_backtest AND target_date BETWEEN :since AND :until GROUP BY 1 ORDER BY 1
    """)  # noqa: S608  # a constant
    rows = [dict(row) for row in connection.execute(query, {"since": since, "until": until}).mappings()]
    return {row.pop("horizon_days"): row for row in rows}


_CHANGE = "ln(greatest(forecast_popularity, 0.01) / origin_popularity)"

_ORDERS: dict[str, str] = {
    "popularity": "forecast_popularity DESC",
    "movers": f"abs({_CHANGE}) DESC",
}


def top_forecasts(
    connection: Connection, horizon_days: int, order: ForecastOrder = "popularity", limit: int = 20
) -> list[dict[str, Any]]:
    """Return the first rows of `latest_forecasts` of one horizon, in a given order.

    `popularity` orders by the forecast; `movers` by the size of the relative change, without films below popularity 1,
    whose changes are mostly noise.
    """
    lowest = track_record.LOWEST_SCORED_POPULARITY if order == "movers" else 0
    statement = text(f"""
        SELECT * FROM (
            SELECT * FROM latest_forecasts WHERE horizon_days = :horizon AND origin_popularity >= :lowest OFFSET 0
        ) AS chosen ORDER BY {_ORDERS[order]}, tmdb_id LIMIT :limit
    """)  # noqa: S608  # constants
    values = {"horizon": horizon_days, "lowest": lowest, "limit": limit}
    return [dict(row) for row in connection.execute(statement, values).mappings()]
