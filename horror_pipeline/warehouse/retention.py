"""How long TMDB's data is kept: deleting by age, and deleting everything."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Table, delete, exists, func, or_, select, text
from sqlalchemy.exc import OperationalError

from horror_pipeline.errors import WarehouseError
from horror_pipeline.warehouse import tables
from horror_pipeline.warehouse.predictions import start_of
from horror_pipeline.warehouse.snapshots import month_name, months
from horror_pipeline.warehouse.tables import movie_snapshots, movies

LOCK_SECONDS = 10


KEPT = {"data_source", "model_versions", "training_state"}
"""Tables age does not touch: they hold no TMDB data, only where it came from, how well models did and what they saw."""


def purge(connection: Connection, older_than: dt.date) -> dict[str, int]:
    """Delete TMDB data from before a day: raw documents, films last read before it, history, predictions.

    Whole months of history are dropped at once. What models scored stays.

    Args:
        connection: in a transaction; the caller commits.
        older_than: the first day that is kept, UTC.

    Returns:
        Rows deleted by table.

    Raises:
        WarehouseError: a month that is to be dropped is being read for long.
    """
    deleted = {movie_snapshots.fullname: _drop_months(connection, older_than)}
    for table, is_old in _old_rows(older_than):
        count = connection.execute(delete(table).where(is_old)).rowcount
        deleted[table.fullname] = deleted.get(table.fullname, 0) + count
    return deleted


def _old_rows(older_than: dt.date) -> Iterator[tuple[Table, Any]]:
    """Each table that ages, with what makes a row of it too old; films first, then what hangs on them."""
    start = start_of(older_than)
    for table, age in (
        (tables.discover_pages, tables.discover_pages.c.fetched_at),
        (tables.movie_details, tables.movie_details.c.fetched_at),
        (tables.movie_changes, tables.movie_changes.c.fetched_at),
        (tables.rejected_records, tables.rejected_records.c.rejected_at),
    ):
        yield table, age < start
    yield movies, or_(movies.c.details_fetched_at < start, movies.c.observed_at < start)
    yield movie_snapshots, movie_snapshots.c.snapshot_date < older_than
    for table, age in (
        (tables.movie_features, tables.movie_features.c.as_of),
        (tables.rating_class, tables.rating_class.c.predicted_at),
        (tables.movie_clusters, tables.movie_clusters.c.clustered_at),
    ):
        yield table, or_(age < start, ~exists().where(movies.c.tmdb_id == table.c.tmdb_id))
    yield tables.model_predictions, tables.model_predictions.c.predicted_at < start
    yield tables.prediction_outcomes, tables.prediction_outcomes.c.outcome_date < older_than


def _drop_months(connection: Connection, older_than: dt.date) -> int:
    """Drop the months that ended before the day."""
    dropped = 0
    for name in months(connection):
        if name < month_name(older_than):
            dropped += connection.execute(text(f"SELECT count(*) FROM {name}")).scalar() or 0  # noqa: S608  # our name
            with _not_waiting_long(connection):
                connection.execute(text(f"DROP TABLE {name}"))
    return dropped


def purge_all(connection: Connection) -> dict[str, int]:
    """Delete everything: TMDB's data, what was learnt from it, and the note of where it came from.

    Args:
        connection: in a transaction; the caller commits.

    Returns:
        Rows deleted by table.

    Raises:
        WarehouseError: a table is being read or written for long.
    """
    every = list(tables.TABLES.values())
    with _not_waiting_long(connection):
        deleted = {
            table.fullname: connection.execute(select(func.count()).select_from(table)).scalar_one() for table in every
        }
        connection.execute(text(f"TRUNCATE {', '.join(table.fullname for table in every)}"))
        for name in months(connection):
            connection.execute(text(f"DROP TABLE {name}"))
    return deleted


@contextmanager
def _not_waiting_long(connection: Connection) -> Iterator[None]:
    """Give up rather than hold up every reader behind us."""
    connection.execute(text(f"SET LOCAL lock_timeout = '{LOCK_SECONDS}s'"))
    try:
        yield
    except OperationalError as error:
        if getattr(error.orig, "pgcode", None) != "55P03":  # lock_not_available
            raise
        raise WarehouseError(
            f"a table to be emptied was in use for {LOCK_SECONDS} seconds; nothing was deleted, run it again when no "
            "run is under way"
        ) from None
    connection.execute(text("SET LOCAL lock_timeout = DEFAULT"))
