"""Retention: deleting TMDB's data by age, and deleting everything.

Forecasts are deleted, like snapshots, once the day they were made on is older than the retention. Their scores, like
the metrics of models, are not TMDB's data and stay, so that the track record survives.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Table, delete, exists, or_, text
from sqlalchemy.exc import OperationalError

from horror_pipeline.errors import WarehouseError
from horror_pipeline.warehouse import tables
from horror_pipeline.warehouse.days import start_of
from horror_pipeline.warehouse.locks import DATA_LOCK, hold_alone
from horror_pipeline.warehouse.partitions import month_name, months
from horror_pipeline.warehouse.raw import count_rows
from horror_pipeline.warehouse.tables import BY_MONTH, movies

LOCK_SECONDS = 10

_RAW_AGES = (
    tables.discover_pages.c.fetched_at,
    tables.movie_details.c.fetched_at,
    tables.movie_changes.c.fetched_at,
    tables.rejected_records.c.rejected_at,
    tables.other_movies.c.observed_at,
)
_MOVIE_AGES = (
    tables.movie_features.c.as_of,
    tables.rating_class.c.predicted_at,
    tables.movie_clusters.c.clustered_at,
    tables.prediction_explanations.c.explained_at,
)


def purge(connection: Connection, older_than: dt.date) -> dict[str, int]:
    """Delete TMDB data from before a UTC day: documents, films last read before it, history, predictions, forecasts.

    Whole months of the partitioned tables are dropped.

    Returns:
        Rows deleted by table.

    Raises:
        WarehouseError: a partition to be dropped stayed in use.
    """
    deleted = {table.fullname: _drop_months(connection, table, older_than) for table in BY_MONTH}
    for table, is_old in _old_rows(older_than):
        count = connection.execute(delete(table).where(is_old)).rowcount
        deleted[table.fullname] = deleted.get(table.fullname, 0) + count
    return deleted


def _old_rows(older_than: dt.date) -> Iterator[tuple[Table, Any]]:
    """Yield each table with the condition for its old rows; `movies` comes before the tables that depend on it."""
    start = start_of(older_than)
    for age in _RAW_AGES:
        yield age.table, age < start
    yield movies, or_(movies.c.details_fetched_at < start, movies.c.observed_at < start)
    for table, date in BY_MONTH.items():
        yield table, table.c[date] < older_than
    for age in _MOVIE_AGES:
        yield age.table, or_(age < start, ~exists().where(movies.c.tmdb_id == age.table.c.tmdb_id))
    similar = tables.similar_movies.c
    for tmdb_id in (tables.release_date_changes.c.tmdb_id, similar.tmdb_id, similar.similar_tmdb_id):
        yield tmdb_id.table, ~exists().where(movies.c.tmdb_id == tmdb_id)
    yield tables.model_predictions, tables.model_predictions.c.predicted_at < start
    yield tables.snapshot_days, tables.snapshot_days.c.snapshot_date < older_than
    yield tables.forecast_calls, tables.forecast_calls.c.made_on < older_than


def _drop_months(connection: Connection, table: Table, older_than: dt.date) -> int:
    """Drop the monthly partitions that ended before the day, and return how many rows they held."""
    dropped = 0
    for name in months(connection, table):
        if name < month_name(table, older_than):
            dropped += connection.execute(text(f"SELECT count(*) FROM {name}")).scalar() or 0  # noqa: S608  # our name
            with _short_lock_wait(connection):
                connection.execute(text(f"DROP TABLE {name}"))
    return dropped


def purge_all(connection: Connection) -> dict[str, int]:
    """Delete everything: TMDB's data, the models fitted on it, and the record of where it came from.

    Returns:
        Rows deleted by table.

    Raises:
        WarehouseError: a run is under way, or a table stays in use.
    """
    if not hold_alone(connection, DATA_LOCK):
        raise WarehouseError(
            "a run is under way and would fill the tables again, so nothing was deleted",
            "let it end, or stop it (Ctrl-C, or in Dagster's UI), and purge again",
        )
    every = list(tables.TABLES.values())
    with _short_lock_wait(connection):
        deleted = {table.fullname: count_rows(connection, table) for table in every}
        connection.execute(text(f"TRUNCATE {', '.join(table.fullname for table in every)}"))
        for table in BY_MONTH:
            for name in months(connection, table):
                connection.execute(text(f"DROP TABLE {name}"))
    return deleted


@contextmanager
def _short_lock_wait(connection: Connection) -> Iterator[None]:
    """Limit the wait for a table lock, because all later readers queue behind the statement that waits."""
    connection.execute(text(f"SET LOCAL lock_timeout = '{LOCK_SECONDS}s'"))
    try:
        yield
    except OperationalError as error:
        if getattr(error.orig, "pgcode", None) != "55P03":  # lock_not_available
            raise
        raise WarehouseError(
            f"a table to be emptied was in use for {LOCK_SECONDS} seconds, and nothing was deleted",
            "run it again when no run is under way",
        ) from None
    connection.execute(text("SET LOCAL lock_timeout = DEFAULT"))
