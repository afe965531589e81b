"""SQL of `model_predictions`, `prediction_explanations`, `rating_class` and `movie_clusters`."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from typing import Any, Literal

from sqlalchemy import Column, Connection, delete, text

from horror_pipeline.warehouse.bulk import WriteCounts, copy_rows, copy_upsert
from horror_pipeline.warehouse.days import distinct_values, start_of
from horror_pipeline.warehouse.tables import model_predictions, prediction_explanations

KEEP_ALL_BATCHES_DAYS = 7
"""Every batch of this many past days is kept; of each day before them, only the last batch."""

Order = Literal["popularity", "undervalued"]


def replace_explanations(connection: Connection, rows: Iterable[Mapping[str, Any]], *, of_forecasts: bool) -> int:
    """Replace the explanations of forecasts if `of_forecasts`, else of predictions; return how many were written."""
    is_forecast = prediction_explanations.c.horizon_days > 0
    connection.execute(delete(prediction_explanations).where(is_forecast if of_forecasts else ~is_forecast))
    return copy_rows(connection, prediction_explanations, rows)


def thin_batches(connection: Connection, now: dt.datetime, retention_days: int) -> int:
    """Delete batches older than the retention; of each UTC day more than seven days ago, keep only the last batch.

    Returns:
        Rows deleted.
    """
    dense = start_of(now.astimezone(dt.UTC).date() - dt.timedelta(days=KEEP_ALL_BATCHES_DAYS))
    oldest, kept_days, surplus = now - dt.timedelta(days=retention_days), set(), []
    for batch in batches(connection, before=dense):
        day = batch.astimezone(dt.UTC).date()
        if batch < oldest or day in kept_days:
            surplus.append(batch)
        kept_days.add(day)
    removal = delete(model_predictions).where(model_predictions.c.predicted_at.in_(surplus))
    return int(connection.execute(removal).rowcount) if surplus else 0


def batches(connection: Connection, before: dt.datetime, since: dt.datetime | None = None) -> list[dt.datetime]:
    """Return the times at which batches were predicted, newest first."""
    predicted = distinct_values(connection, model_predictions.c.predicted_at)
    return [batch for batch in reversed(predicted) if batch < before and (since is None or since <= batch)]


_ORDERS: dict[str, str] = {
    "popularity": "predicted_popularity DESC NULLS LAST",
    "undervalued": "rating_gap ASC NULLS LAST",
}


def top_predictions(
    connection: Connection, stage: str | None = None, order: Order = "popularity", limit: int = 20
) -> list[dict[str, Any]]:
    """Return the first rows of `latest_predictions` in a given order, of one stage or of both.

    `popularity` orders by the predicted popularity. `undervalued` orders by how far the actual rating is below the
    predicted one, divided by the width of the prediction interval.
    """
    gaps_only = "AND rating_gap IS NOT NULL" if order == "undervalued" else ""
    statement = text(f"""
        SELECT * FROM latest_predictions WHERE (CAST(:stage AS text) IS NULL OR stage = :stage) {gaps_only}
        ORDER BY {_ORDERS[order]}, tmdb_id LIMIT :limit
    """)  # noqa: S608  # constants
    return [dict(row) for row in connection.execute(statement, {"stage": stage, "limit": limit}).mappings()]


def replace_films(
    connection: Connection, moment: Column[dt.datetime], rows: Iterable[Mapping[str, Any]], now: dt.datetime
) -> WriteCounts:
    """Upsert the rows of all films in `rating_class` or `movie_clusters`, and delete the rows of other films.

    Args:
        connection: in a transaction.
        moment: the table's column that says when a row was computed.
        rows: every film's row, without that column.
        now: the value of that column.
    """
    written = copy_upsert(connection, moment.table, ({**row, moment.name: now} for row in rows))
    connection.execute(delete(moment.table).where(moment != now))
    return written
