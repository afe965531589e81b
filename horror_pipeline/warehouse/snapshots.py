"""SQL of the daily history: `movie_snapshots`, and how long TMDB's data is kept.

What belongs here: the history's days and months, and deleting by age. What does not: reading exports, percentiles,
and the figures the history's checks rest on (`history_checks`).
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Table, delete, exists, func, or_, select, text
from sqlalchemy.exc import OperationalError

from horror_pipeline.errors import WarehouseError
from horror_pipeline.warehouse import tables
from horror_pipeline.warehouse.engine import copy_columns, copy_upsert
from horror_pipeline.warehouse.tables import movie_snapshots, movies

MONTH_NAME = re.compile(r"movie_snapshots_(\d{4})_(\d{2})")
MONTHS_LOCK, DAY_LOCK = 0x686F7204, 0x686F7205
LOCK_SECONDS = 10


# -- months ------------------------------------------------------------------------------------------------------------


def is_partition(table_name: str) -> bool:
    """Whether a table is a month of `movie_snapshots`."""
    return MONTH_NAME.fullmatch(table_name) is not None


def ensure_months(connection: Connection, days: Iterable[dt.date]) -> list[str]:
    """Create the partitions these days fall into, where they are missing; commit soon.

    Returns:
        Names of those created.
    """
    wanted = {_month_name(day): day.replace(day=1) for day in days}
    if not set(wanted) - set(_months(connection)):
        return []
    connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": MONTHS_LOCK})
    missing = sorted(set(wanted) - set(_months(connection)))
    for name in missing:
        first = wanted[name]
        after = (first + dt.timedelta(days=32)).replace(day=1)
        # Made first and attached then: unlike CREATE … PARTITION OF, that lets readers of other months go on.
        connection.execute(text(f"CREATE TABLE {name} (LIKE movie_snapshots INCLUDING DEFAULTS INCLUDING COMMENTS)"))
        bounds = f"FOR VALUES FROM ('{first}') TO ('{after}')"
        connection.execute(text(f"ALTER TABLE movie_snapshots ATTACH PARTITION {name} {bounds}"))
    return missing


def _month_name(day: dt.date) -> str:
    return f"movie_snapshots_{day:%Y_%m}"


def _months(connection: Connection) -> list[str]:
    """Names of the partitions there are, oldest first."""
    children = text(
        "SELECT relname FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid "
        "WHERE inhparent = 'movie_snapshots'::regclass ORDER BY relname"
    )
    return [name for name in connection.execute(children).scalars() if is_partition(name)]


# -- days --------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class DayCounts:
    """What replacing a day did, in rows."""

    rows: int
    new: int
    changed: int
    removed: int


def known_ids(connection: Connection) -> set[int]:
    """Every film in `movies`."""
    ids = connection.execute(select(func.array_agg(movies.c.tmdb_id))).scalar()  # one value: faster than rows
    return set(ids or ())


def snapshot_days(connection: Connection) -> set[dt.date]:
    """The days that have rows; the index is skipped through, not read."""
    skip = text(
        """
        WITH RECURSIVE day AS (
            SELECT min(snapshot_date) AS date FROM movie_snapshots
            UNION ALL
            SELECT (SELECT min(snapshot_date) FROM movie_snapshots WHERE snapshot_date > day.date)
            FROM day WHERE day.date IS NOT NULL
        )
        SELECT date FROM day WHERE date IS NOT NULL
        """
    )
    return set(connection.execute(skip).scalars())


_NUMBER = (
    "CASE WHEN jsonb_typeof(listed -> '{name}') = 'number' AND abs((listed ->> '{name}')::numeric) < 1e15 "
    "THEN (listed ->> '{name}')::float8 END AS {name}"
)
"""A listing's number; NULL where it is something else, or larger than any of them can be."""


def listed_on(connection: Connection, day: dt.date) -> list[Mapping[str, Any]]:
    """What the listings read on that UTC day say of known films, the latest page last.

    Returns:
        `tmdb_id`, `popularity`, `vote_count`, `vote_average`; None where the listing has no number.
    """
    numbers = ", ".join(_NUMBER.format(name=name) for name in ("id", "popularity", "vote_count", "vote_average"))
    query = text(
        f"""
        SELECT movies.tmdb_id, value.popularity, value.vote_count, value.vote_average
        FROM raw.discover_pages AS page,
             jsonb_path_query(page.payload, '$.results[*]') AS listed,
             LATERAL (SELECT {numbers}) AS value
             JOIN movies ON movies.tmdb_id = value.id
        WHERE page.fetched_at >= :start AND page.fetched_at < :start + interval '1 day'
        ORDER BY page.fetched_at, page.sweep
        """  # noqa: S608  # made of constants
    )
    return [dict(row) for row in connection.execute(query, {"start": _midnight(day)}).mappings()]


def stored_day(connection: Connection, day: dt.date) -> list[Mapping[str, Any]]:
    """The day's rows as they are: `tmdb_id`, `popularity`, `vote_count`, `vote_average`, `source`."""
    table = movie_snapshots.c
    columns = (table.tmdb_id, table.popularity, table.vote_count, table.vote_average, table.source)
    rows = connection.execute(select(*columns).where(table.snapshot_date == day)).mappings()
    return [dict(row) for row in rows]


def lock_day(connection: Connection, day: dt.date) -> None:
    """Let one transaction at a time work on a day."""
    key = {"kind": DAY_LOCK, "day": day.toordinal()}
    connection.execute(text("SELECT pg_advisory_xact_lock(:kind, :day)"), key)


def replace_day(connection: Connection, day: dt.date, values: Mapping[str, Sequence[Any]]) -> DayCounts:
    """Make the day's rows these; rows that are there already and equal are left as they are.

    Args:
        connection: in a transaction that holds `lock_day`; the caller commits. The month exists (`ensure_months`).
        day: the day.
        values: all its rows, column by column.
    """
    is_empty = not connection.execute(select(exists().where(movie_snapshots.c.snapshot_date == day))).scalar()
    if is_empty:
        written = copy_columns(connection, movie_snapshots, values)
        return DayCounts(rows=written, new=written, changed=0, removed=0)
    kept = list(values["tmdb_id"])
    removal = text("DELETE FROM movie_snapshots WHERE snapshot_date = :day AND tmdb_id <> ALL(:kept)")
    removed = connection.execute(removal, {"day": day, "kept": kept}).rowcount
    rows = (dict(zip(values, row, strict=True)) for row in zip(*values.values(), strict=True))
    counts = copy_upsert(connection, movie_snapshots, rows)
    return DayCounts(rows=counts.total, new=counts.new, changed=counts.changed, removed=removed)


# -- how long data is kept ---------------------------------------------------------------------------------------------

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
    start = _midnight(older_than)
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
    for name in _months(connection):
        if name < _month_name(older_than):
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
        for name in _months(connection):
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


def _midnight(day: dt.date) -> dt.datetime:
    return dt.datetime.combine(day, dt.time(), dt.UTC)
