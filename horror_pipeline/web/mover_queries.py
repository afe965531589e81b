"""The SQL of the movers: how popularity changed up to the newest day."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection

from horror_pipeline.web.database import read_rows
from horror_pipeline.web.parameters import MoverParameters

MOVER_COLUMNS = (
    "snapshot_date, span_days, popularity, popularity_before, popularity_usual, popularity_rank, "
    "popularity_rank_before, change_percentile, is_own_record, breakout_score, is_breakout"
)

ORDERS = {
    "breakout": ("AND breakout_score IS NOT NULL", "breakout_score DESC"),
    "rise": ("AND popularity > popularity_before", "popularity / nullif(popularity_before, 0) DESC NULLS LAST"),
    "fall": ("AND popularity < popularity_before", "popularity / popularity_before ASC"),
}
"""For each order, the condition that films must meet, and how they are sorted."""


def latest_movers(connection: Connection, parameters: MoverParameters) -> list[dict[str, Any]]:
    """Return one page of the newest movers over one span; `total` in each row is the number of films that match."""
    is_included, sorting = ORDERS[parameters.order]
    statement = (
        f"SELECT tmdb_id, title, release_date, {MOVER_COLUMNS}, count(*) OVER () AS total FROM latest_movers "  # noqa: S608
        f"WHERE span_days = :span {is_included} ORDER BY {sorting}, tmdb_id LIMIT :limit OFFSET :offset"
    )
    return read_rows(connection, statement, **parameters.model_dump(include={"span", "limit", "offset"}))


def movie_movers(connection: Connection, tmdb_id: int) -> list[dict[str, Any]]:
    """Return how one film's popularity changed up to the newest day, by span."""
    statement = f"SELECT {MOVER_COLUMNS} FROM latest_movers WHERE tmdb_id = :tmdb_id ORDER BY span_days"  # noqa: S608
    return read_rows(connection, statement, tmdb_id=tmdb_id)


def breakouts(connection: Connection) -> list[dict[str, Any]]:
    """Return the newest breakouts, the newest first."""
    return read_rows(
        connection,
        "SELECT tmdb_id, title, snapshot_date, span_days, popularity, popularity_before, change_percentile "
        "FROM breakouts ORDER BY snapshot_date DESC, breakout_score DESC, tmdb_id LIMIT 50",
    )
