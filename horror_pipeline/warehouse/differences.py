"""Differences between two warehouses, or between two days of one: rows added, removed and changed, by table.

Between warehouses, rows with the same primary key are compared. Instants outside the key are left out, because they
say when something was read or written, which always differs. Between days, the rows of the same film are compared. Each
side is streamed as digests of its rows in the order of their keys, so that neither side is held in memory.
"""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from sqlalchemy import Connection, Date, DateTime, Table, Text, text

from horror_pipeline.warehouse.tables import BY_MONTH, TABLES, model_predictions, prediction_outcomes

ROWS_A_FETCH = 5_000
LONGEST_VALUE = 80

Kind = Literal["added", "removed", "changed"]
Key = tuple[Any, ...]


@dataclass(frozen=True)
class Compared:
    """The part of a table that is compared.

    Attributes:
        table: the table.
        key: columns that identify a row; rows with equal keys are compared with each other.
        values: columns that are compared.
        condition: SQL condition that selects the rows of a side; it may use the parameter `day`.
    """

    table: Table
    key: tuple[str, ...]
    values: tuple[str, ...]
    condition: str = "true"


@dataclass
class Difference:
    """The differences of a table.

    Attributes:
        table: its qualified name.
        added: number of rows that only the second side has.
        removed: number of rows that only the first side has.
        changed: number of rows whose values differ between the sides.
        examples: the first rows of each kind, each with `kind` and `key`; a changed row also has `values`: for
            each column that differs, the value before and after.
    """

    table: str
    added: int = 0
    removed: int = 0
    changed: int = 0
    examples: list[dict[str, Any]] = field(default_factory=list)

    def __bool__(self) -> bool:
        """Whether anything differs."""
        return bool(self.added or self.removed or self.changed)


def of_warehouses() -> Iterator[Compared]:
    """Yield every table, for a comparison between two warehouses."""
    for table in TABLES.values():
        yield _compared(table, set(), DateTime)


def of_days() -> Iterator[Compared]:
    """Yield the tables whose rows of one day can be compared with those of another day."""
    for table, day in BY_MONTH.items():
        if table is not prediction_outcomes:  # its key holds the batch, which differs between days
            yield _compared(table, {day}, (Date, DateTime), f"{day} = :day")
    newest = "predicted_at >= :day AT TIME ZONE 'UTC' AND predicted_at < (:day + interval '1 day') AT TIME ZONE 'UTC'"
    batch = f"predicted_at = (SELECT max(predicted_at) FROM model_predictions WHERE {newest})"  # noqa: S608  # constants
    yield _compared(model_predictions, {"predicted_at"}, DateTime, batch)


def _compared(table: Table, left_out: set[str], kinds: Any, condition: str = "true") -> Compared:
    key = tuple(column.name for column in table.primary_key if column.name not in left_out)
    values = [column for column in table.columns if not column.primary_key and not isinstance(column.type, kinds)]
    return Compared(table, key, tuple(column.name for column in values), condition)


def compare(
    compared: Compared,
    before: Connection,
    after: Connection,
    days: tuple[dt.date, dt.date] | None = None,
    examples: int = 3,
) -> Difference:
    """Compare the rows of two sides.

    Args:
        compared: the part of a table to compare.
        before: connection to the first side, in a transaction.
        after: connection to the second side, in another transaction.
        days: the day of each side, if the condition uses one.
        examples: how many rows of each kind to list.
    """
    sides = [(connection, days[side] if days else None) for side, connection in enumerate((before, after))]
    difference = Difference(compared.table.fullname)
    for kind, key in _unequal(*(_digests(compared, *side) for side in sides)):
        count = getattr(difference, kind) + 1
        setattr(difference, kind, count)
        if count <= examples:
            difference.examples.append({"kind": kind, "key": key})
    for example in difference.examples:
        key = example["key"]
        example["key"] = dict(zip(compared.key, map(str, key), strict=True))
        if example["kind"] == "changed":
            rows = [_row(compared, connection, day, key) for connection, day in sides]
            example["values"] = {
                name: _shortened(*values)
                for name, *values in zip(compared.values, *rows, strict=True)
                if values[0] != values[1]
            }
    return difference


def _unequal(before: Iterator[tuple[Key, str]], after: Iterator[tuple[Key, str]]) -> Iterator[tuple[Kind, Key]]:
    """Merge both sides, which are in the same order, and yield the keys of rows that differ."""
    old, new = next(before, None), next(after, None)
    while old or new:
        if old and (new is None or old[0] < new[0]):
            yield "removed", old[0]
            old = next(before, None)
        elif new and (old is None or new[0] < old[0]):
            yield "added", new[0]
            new = next(after, None)
        elif old and new:
            if old[1] != new[1]:
                yield "changed", new[0]
            old, new = next(before, None), next(after, None)


def _digests(compared: Compared, connection: Connection, day: dt.date | None) -> Iterator[tuple[Key, str]]:
    """Yield the keys of a side in order, each with a digest of its row's values."""
    # Sort texts by code points, as Python compares them, whatever the collation of the database.
    key = [f'{name} COLLATE "C"' if isinstance(compared.table.c[name].type, Text) else name for name in compared.key]
    statement = text(
        f"SELECT {', '.join(compared.key)}, md5(CAST(ROW({', '.join(compared.values)}) AS text)) "  # noqa: S608  # names of a declaration
        f"FROM {compared.table.fullname} WHERE {compared.condition} ORDER BY {', '.join(key)}"
    )
    stream = connection.execution_options(stream_results=True, yield_per=ROWS_A_FETCH)
    for *key_of_row, digest in stream.execute(statement, {"day": day} if day else {}):
        yield tuple(key_of_row), digest


def _row(compared: Compared, connection: Connection, day: dt.date | None, key: Key) -> list[str | None]:
    """Read the values of one row, as Postgres writes them."""
    of_key = " AND ".join(f"{name} = :key_{name}" for name in compared.key)
    columns = ", ".join(f"CAST({name} AS text)" for name in compared.values)
    statement = f"SELECT {columns} FROM {compared.table.fullname} WHERE {compared.condition} AND {of_key}"  # noqa: S608
    values = {f"key_{name}": value for name, value in zip(compared.key, key, strict=True)}
    return list(connection.execute(text(statement), values | ({"day": day} if day else {})).one())


def _shortened(*values: str | None) -> list[str | None]:
    """Shorten long values to the part where they begin to differ."""
    start = 0
    if max(len(value or "") for value in values) > LONGEST_VALUE and None not in values:
        start = max(0, len(os.path.commonprefix([value or "" for value in values])) - LONGEST_VALUE // 4)
    return [None if value is None else value[start : start + LONGEST_VALUE] for value in values]
