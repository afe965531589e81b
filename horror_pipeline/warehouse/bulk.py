"""COPY in both directions: appending rows, upserting them by primary key, and reading a query by columns."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from tempfile import TemporaryFile
from typing import Any, BinaryIO

from sqlalchemy import ARRAY, Boolean, Column, ColumnElement, Connection, Integer, Select, Table, cast, func, text

from horror_pipeline.warehouse.copy_format import copy_lines

ROWS_A_BATCH = 200
"""Rows encoded at once: encoding by column is faster than by row, and more rows would take more memory."""

COPY_BYTES = 1 << 16
"""Bytes of the file that the driver sends at once."""


@dataclass(frozen=True)
class WriteCounts:
    """How many rows a write found new, changed and unchanged, and how many it removed."""

    new: int
    changed: int = 0
    unchanged: int = 0
    removed: int = 0

    @property
    def total(self) -> int:
        """The number of rows that were given and are now stored, counting each key once."""
        return self.new + self.changed + self.unchanged


def copy_upsert(
    connection: Connection,
    table: Table,
    rows: Iterable[Mapping[str, Any]],
    *,
    compare: Sequence[str] | None = None,
    update: Sequence[str] | None = None,
) -> WriteCounts:
    """Upsert rows by primary key: COPY into a temporary table, then one INSERT … ON CONFLICT.

    Args:
        connection: in a transaction.
        table: the table to write to.
        rows: mappings of column names to values, consumed as a stream; all have the columns of the first row. Dicts
            become jsonb, lists arrays, NaN NULL; characters that Postgres cannot store become U+FFFD. Of several rows
            with the same key, the last is used.
        compare: columns that decide whether a stored row differs; a row that is equal in them is not written. The
            default is the columns of `update`.
        update: columns that are set in a stored row that differs; the default is all given columns except the key. The
            other columns are only set in new rows.

    Returns:
        Rows that were new, changed and unchanged.

    Raises:
        KeyError: a row lacks a column of the first row.
        ValueError: a row has a column the table does not have, or a value that does not fit its column.
    """
    columns, batches = _batches_of_rows(table, rows)
    if not columns:
        return WriteCounts(0)
    names = [column.name for column in columns]
    key = [column.name for column in table.primary_key.columns]
    updated = list(update) if update is not None else [name for name in names if name not in key]
    compared = list(compare) if compare is not None else updated
    if unknown := {*key, *updated, *compared} - set(names):
        raise ValueError(f"the rows for {table.fullname} lack {', '.join(sorted(unknown))}")
    incoming = f"incoming_{table.name}"
    like = f"SELECT {', '.join(names)} FROM {table.fullname} LIMIT 0"  # noqa: S608  # names of a declaration
    connection.execute(text(f"CREATE TEMPORARY TABLE {incoming} ON COMMIT DROP AS {like}"))
    _copy(connection, incoming, columns, batches)
    statement = _upsert_statement(incoming, table, names, updated, compared)
    given, known, written = connection.execute(text(statement)).one()
    connection.execute(text(f"DROP TABLE {incoming}"))
    new = given - known
    return WriteCounts(new=new, changed=written - new, unchanged=given - written)


def _upsert_statement(incoming: str, table: Table, names: list[str], updated: list[str], compared: list[str]) -> str:
    """Build the statement that upserts the table `incoming` and returns how many keys were given, known and written."""
    key = [column.name for column in table.primary_key.columns]
    listed, keyed = ", ".join(names), ", ".join(key)
    action = "NOTHING"
    if updated and compared:
        assignments = ", ".join(f"{name} = excluded.{name}" for name in updated)
        action = (
            f"UPDATE SET {assignments} WHERE {_row('stored', compared)} IS DISTINCT FROM {_row('excluded', compared)}"
        )
    # Rows of `incoming` lie in the order of the COPY, so the largest ctid is the last row given.
    return f"""
        WITH given AS MATERIALIZED (
            SELECT DISTINCT ON ({keyed}) {listed} FROM {incoming} ORDER BY {keyed}, ctid DESC
        ),
        known AS (
            SELECT count(*) AS keys FROM given
            WHERE EXISTS (SELECT 1 FROM {table.fullname} AS stored WHERE {_row("stored", key)} = {_row("given", key)})
        ),
        written AS (
            INSERT INTO {table.fullname} AS stored ({listed}) SELECT {listed} FROM given
            ON CONFLICT ({keyed}) DO {action} RETURNING 1
        )
        SELECT (SELECT count(*) FROM given), (SELECT keys FROM known), (SELECT count(*) FROM written)
    """  # noqa: S608  # names of a declaration


def _row(alias: str, names: Sequence[str]) -> str:
    return "(" + ", ".join(f"{alias}.{name}" for name in names) + ")"


def copy_rows(connection: Connection, table: Table, rows: Iterable[Mapping[str, Any]]) -> int:
    """Append rows, which are consumed as a stream, by COPY. A key that the table already has is an error.

    Returns:
        Rows written.
    """
    columns, batches = _batches_of_rows(table, rows)
    return _copy(connection, table.fullname, columns, batches) if columns else 0


def copy_columns(connection: Connection, table: Table, values: Mapping[str, Sequence[Any]]) -> int:
    """Append rows that are given column by column, which is faster than `copy_rows` because no row has to be built.

    Args:
        connection: in a transaction.
        table: the table to write to.
        values: by column, sequences or numpy arrays of equal length.

    Returns:
        Rows written.
    """
    columns = _declared(table, values)
    length = len(values[columns[0].name])
    batches = (
        [values[column.name][start : start + ROWS_A_BATCH] for column in columns]
        for start in range(0, length, ROWS_A_BATCH)
    )
    return _copy(connection, table.fullname, columns, batches)


def copy_out(connection: Connection, query: Select[Any], file: BinaryIO) -> None:
    """Write the rows of a query to a file as CSV: NULL is empty, flags are 0 or 1, arrays are JSON."""
    selected = query.with_only_columns(*(_as_csv(column) for column in query.selected_columns))
    statement = selected.compile(dialect=connection.dialect, compile_kwargs={"literal_binds": True})
    cursor: Any = connection.connection.cursor()
    with cursor:
        cursor.copy_expert(f"COPY ({statement}) TO STDOUT (FORMAT csv, HEADER, ENCODING 'UTF8')", file)


def _as_csv(column: ColumnElement[Any]) -> ColumnElement[Any]:
    if isinstance(column.type, Boolean):
        return cast(column, Integer).label(str(column.key))
    return func.array_to_json(column).label(str(column.key)) if isinstance(column.type, ARRAY) else column


def _batches_of_rows(
    table: Table, rows: Iterable[Mapping[str, Any]]
) -> tuple[list[Column[Any]], Iterator[list[list[Any]]]]:
    """Return the columns of the first row (none if there are no rows), and batches of the values of all rows."""
    remaining = iter(rows)
    first = next(remaining, None)
    columns = [] if first is None else _declared(table, first)

    def batches() -> Iterator[list[list[Any]]]:
        every = chain([] if first is None else [first], remaining)
        while batch := list(islice(every, ROWS_A_BATCH)):
            yield [[row[column.name] for row in batch] for column in columns]

    return columns, batches()


def _declared(table: Table, names: Collection[str]) -> list[Column[Any]]:
    """Return the table's columns of these names, in the table's order."""
    if unknown := set(names) - set(table.columns.keys()):
        raise ValueError(f"{table.fullname} has no column {', '.join(sorted(unknown))}")
    return [column for column in table.columns if column.name in names]


def _copy(
    connection: Connection, target: str, columns: Sequence[Column[Any]], batches: Iterator[Sequence[Sequence[Any]]]
) -> int:
    """Encode the values into a temporary file, so that they are never all in memory, and COPY the file."""
    names, rows = ", ".join(column.name for column in columns), 0
    cursor: Any = connection.connection.cursor()
    with TemporaryFile() as file, cursor:
        for batch in batches:
            rows += len(batch[0])
            file.write(copy_lines(columns, batch))
        file.seek(0)
        cursor.copy_expert(f"COPY {target} ({names}) FROM STDIN WITH (FORMAT text, ENCODING 'UTF8')", file, COPY_BYTES)
    return rows
