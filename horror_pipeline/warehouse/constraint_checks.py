"""Counting, in one scan, the rows of a table that violate its declaration."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Float,
    Table,
    Text,
    and_,
    func,
    literal,
    not_,
    or_,
    select,
    tuple_,
)


@dataclass(frozen=True)
class Violations:
    """The numbers of violations that a scan found; columns without violations are left out.

    Attributes:
        rows: rows scanned.
        duplicate_keys: rows with the same primary key as another row, beyond the first.
        missing: rows without a value, by column that may not be NULL.
        out_of_range: rows with a value outside the declared range, or with '' for unknown, by column.
    """

    rows: int
    duplicate_keys: int
    missing: dict[str, int]
    out_of_range: dict[str, int]


def find_violations(connection: Connection, table: Table, where: ColumnElement[bool] | None = None) -> Violations:
    """Scan a table, or the rows of it that a condition selects.

    Args:
        connection: to read with.
        table: a table of `warehouse.tables`.
        where: the condition; None for all rows.
    """
    keys = list(table.primary_key)
    key = tuple_(*keys) if len(keys) > 1 else keys[0]
    duplicates = func.count() - func.count(key.distinct())
    missing = {column.name: _is_missing(column) for column in table.columns if not column.nullable}
    wrong = {column.name: test for column in table.columns if (test := _is_out_of_range(column)) is not None}
    counts = [func.count().filter(test) for test in (*missing.values(), *wrong.values())]
    query = select(func.count(), duplicates, *counts).select_from(table)
    rows, duplicate_keys, *violations = connection.execute(query if where is None else query.where(where)).one()
    return Violations(
        rows=rows,
        duplicate_keys=duplicate_keys,
        missing=_any(missing, violations[: len(missing)]),
        out_of_range=_any(wrong, violations[len(missing) :]),
    )


def _any(tests: dict[str, ColumnElement[bool]], counts: list[int]) -> dict[str, int]:
    return {name: count for name, count in zip(tests, counts, strict=True) if count}


def _is_missing(column: Column[Any]) -> ColumnElement[bool]:
    if isinstance(column.type, Text):
        return or_(column.is_(None), column == literal(""))
    return column.is_(None)


def _is_out_of_range(column: Column[Any]) -> ColumnElement[bool] | None:
    """Return the condition for a value outside the declared range; None where every value is within."""
    if isinstance(column.type, Text):
        return column == literal("") if column.nullable else None
    low, high = column.info.get("range", (None, None))
    within: list[ColumnElement[bool]] = []
    if low is not None:
        within.append(column >= literal(low))
    if high is not None:
        within.append(column <= literal(high))
    if isinstance(column.type, Float):
        # NaN and Infinity are greater than every number.
        within += [column < literal(float("inf")), column > literal(float("-inf"))]
    return not_(and_(*within)) if within else None
