"""Bulk writes by COPY: append, or insert and update by primary key, for any declared table.

What belongs here: statements made from a table's declaration. What does not: how a value is written (`rows`), and SQL
about a particular table.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Column, Connection, Table, text

from horror_pipeline.warehouse.copy_format import CopyStream, batches_of_columns, batches_of_rows


@dataclass(frozen=True)
class WriteCounts:
    """What a write did, in rows."""

    new: int
    changed: int
    unchanged: int

    @property
    def total(self) -> int:
        """Rows given, each key once."""
        return self.new + self.changed + self.unchanged

    def __add__(self, other: WriteCounts) -> WriteCounts:
        """What both writes did together."""
        return WriteCounts(self.new + other.new, self.changed + other.changed, self.unchanged + other.unchanged)


def copy_upsert(
    connection: Connection,
    table: Table,
    rows: Iterable[Mapping[str, Any]],
    *,
    compare: Sequence[str] | None = None,
    update: Sequence[str] | None = None,
) -> WriteCounts:
    """Write rows by primary key: COPY into a temporary table, then one INSERT … ON CONFLICT.

    Args:
        connection: in a transaction; the caller commits.
        table: where to.
        rows: mappings of column names to values, consumed as a stream. All have the first one's columns. Dicts become
            jsonb, lists arrays, NaN NULL; what Postgres cannot hold of a text becomes U+FFFD. Of several rows with
            one key the last wins.
        compare: columns that decide whether a stored row differs; rows equal in them are left as they are. By default
            those of `update`.
        update: columns that a differing row sets anew; by default all given but the key. The others are only set when
            the row is new.

    Returns:
        Rows that were new, changed and unchanged.

    Raises:
        KeyError: a row lacks a column of the first.
        ValueError: a row has a column the table does not have, or a value that does not fit its column.
    """
    columns, stream = _stream(table, rows, numbered=True)
    if not columns:
        return WriteCounts(0, 0, 0)
    names = [column.name for column in columns]
    key = [column.name for column in table.primary_key.columns]
    updated = list(update) if update is not None else [name for name in names if name not in key]
    compared = list(compare) if compare is not None else updated
    if unknown := {*key, *updated, *compared} - set(names):
        raise ValueError(f"the rows for {table.fullname} lack {', '.join(sorted(unknown))}")
    preparer = connection.dialect.identifier_preparer
    incoming, target = preparer.quote(f"incoming_{table.name}"), preparer.format_table(table)
    listed = list(map(preparer.quote, names))
    like = f"SELECT {', '.join(listed)}, 0::bigint AS line_ FROM {target} LIMIT 0"  # noqa: S608  # quoted names
    connection.execute(text(f"CREATE TEMPORARY TABLE {incoming} ON COMMIT DROP AS {like}"))
    _copy(connection, incoming, [*listed, "line_"], stream)
    quoted = (list(map(preparer.quote, chosen)) for chosen in (key, updated, compared))
    statement = _upsert_statement(incoming, target, listed, *quoted)
    given, known, written = connection.execute(text(statement)).one()
    connection.execute(text(f"DROP TABLE {incoming}"))
    new = given - known
    return WriteCounts(new=new, changed=written - new, unchanged=given - written)


def _upsert_statement(
    incoming: str, target: str, names: list[str], key: list[str], updated: list[str], compared: list[str]
) -> str:
    """INSERT … ON CONFLICT from `incoming`, which answers how many keys it was given, knew and wrote; all quoted."""
    listed, keyed = ", ".join(names), ", ".join(key)
    action = "NOTHING"
    if updated and compared:
        assignments = ", ".join(f"{name} = excluded.{name}" for name in updated)
        action = (
            f"UPDATE SET {assignments} WHERE {_row('stored', compared)} IS DISTINCT FROM {_row('excluded', compared)}"
        )
    return f"""
        WITH given AS MATERIALIZED (
            SELECT DISTINCT ON ({keyed}) {listed} FROM {incoming} ORDER BY {keyed}, line_ DESC
        ),
        known AS (
            SELECT count(*) AS keys FROM given
            WHERE EXISTS (SELECT 1 FROM {target} AS stored WHERE {_row("stored", key)} = {_row("given", key)})
        ),
        written AS (
            INSERT INTO {target} AS stored ({listed}) SELECT {listed} FROM given
            ON CONFLICT ({keyed}) DO {action} RETURNING 1
        )
        SELECT (SELECT count(*) FROM given), (SELECT keys FROM known), (SELECT count(*) FROM written)
    """  # noqa: S608  # names come from the table's declaration, quoted


def _row(alias: str, names: Sequence[str]) -> str:
    return "(" + ", ".join(f"{alias}.{name}" for name in names) + ")"


def copy_rows(connection: Connection, table: Table, rows: Iterable[Mapping[str, Any]]) -> int:
    """Append rows by COPY, streamed; as `copy_upsert`, but a key that is there already is an error.

    Returns:
        Rows written.
    """
    columns, stream = _stream(table, rows, numbered=False)
    if columns:
        _append(connection, table, columns, stream)
    return stream.count


def copy_columns(connection: Connection, table: Table, values: Mapping[str, Sequence[Any]]) -> int:
    """As `copy_rows`, of rows that are there column by column: faster, as no row has to be made.

    Args:
        connection: in a transaction; the caller commits.
        table: where to.
        values: each column's values, all of one length.

    Returns:
        Rows written.
    """
    columns = _declared(table, values)
    stream = CopyStream(columns, batches_of_columns([values[column.name] for column in columns]), numbered=False)
    _append(connection, table, columns, stream)
    return stream.count


def _append(connection: Connection, table: Table, columns: Sequence[Column[Any]], stream: CopyStream) -> None:
    preparer = connection.dialect.identifier_preparer
    _copy(connection, preparer.format_table(table), [preparer.quote(column.name) for column in columns], stream)


def _stream(table: Table, rows: Iterable[Mapping[str, Any]], *, numbered: bool) -> tuple[list[Column[Any]], CopyStream]:
    """The columns the first row has, and the stream of all rows; no columns: no rows."""
    remaining = iter(rows)
    first = next(remaining, None)
    if first is None:
        return [], CopyStream([], [], numbered=numbered)
    columns = _declared(table, first)

    def all_rows() -> Iterator[Mapping[str, Any]]:
        yield first
        yield from remaining

    return columns, CopyStream(columns, batches_of_rows([one.name for one in columns], all_rows()), numbered=numbered)


def _declared(table: Table, given: Collection[str]) -> list[Column[Any]]:
    """The table's columns of these names, in its order."""
    if unknown := set(given) - set(table.columns.keys()):
        raise ValueError(f"{table.fullname} has no column {', '.join(sorted(unknown))}")
    return [column for column in table.columns if column.name in given]


def _copy(connection: Connection, target: str, names: Sequence[str], stream: CopyStream) -> None:
    statement = f"COPY {target} ({', '.join(names)}) FROM STDIN WITH (FORMAT text, ENCODING 'UTF8')"
    cursor: Any = connection.connection.cursor()
    try:
        with cursor:
            cursor.copy_expert(statement, stream)
    except Exception:
        if stream.failure is not None:  # the driver would tell of it as of a cancelled query
            raise stream.failure from None
        raise
