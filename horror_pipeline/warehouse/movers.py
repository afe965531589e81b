"""SQL of `movie_movers`: writing a day's movers, and reading the newest in a given order."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from sqlalchemy import Connection, delete, text

from horror_pipeline.warehouse.bulk import copy_columns
from horror_pipeline.warehouse.partitions import ensure_months
from horror_pipeline.warehouse.tables import movie_movers

MoverOrder = Literal["breakouts", "rising", "falling"]

ORDERS: dict[MoverOrder, tuple[str, str]] = {
    "breakouts": ("breakout_score IS NOT NULL", "breakout_score DESC"),
    "rising": ("popularity > popularity_before", "popularity / nullif(popularity_before, 0) DESC NULLS LAST"),
    "falling": ("popularity < popularity_before", "popularity / nullif(popularity_before, 0) ASC"),
}
"""For each order, the SQL condition for the films that it includes, and the SQL expression that sorts them."""


def replace_movers(connection: Connection, day: dt.date, columns: Mapping[str, Sequence[Any]]) -> int:
    """Replace the movers of a day, given by column without `snapshot_date`; return how many rows were written."""
    ensure_months(connection, movie_movers, [day])
    connection.execute(delete(movie_movers).where(movie_movers.c.snapshot_date == day))
    return copy_columns(connection, movie_movers, {**columns, "snapshot_date": [day] * len(columns["tmdb_id"])})


def top_movers(connection: Connection, span_days: int, order: MoverOrder, limit: int) -> list[dict[str, Any]]:
    """Return the first rows of `latest_movers` of one span, in a given order.

    `breakouts` orders by how unusual a rise is for such a film. `rising` and `falling` order by the relative change.
    """
    is_included, sorting = ORDERS[order]
    statement = text(
        f"SELECT * FROM latest_movers WHERE span_days = :span AND {is_included} "  # noqa: S608  # constants
        f"ORDER BY {sorting}, tmdb_id LIMIT :limit"
    )
    return [dict(row) for row in connection.execute(statement, {"span": span_days, "limit": limit}).mappings()]


def newest_breakouts(connection: Connection) -> tuple[dt.date | None, list[dict[str, Any]]]:
    """Return the newest day with movers, and the rows of `breakouts` of that day, the most unusual first."""
    day = connection.execute(text("SELECT max(snapshot_date) FROM movie_movers")).scalar()
    statement = text("SELECT * FROM breakouts WHERE snapshot_date = :day ORDER BY breakout_score DESC, tmdb_id")
    return day, [dict(row) for row in connection.execute(statement, {"day": day}).mappings()]
