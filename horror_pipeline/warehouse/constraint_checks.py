"""Counting, in one scan, the rows of a table that violate its declaration."""

from __future__ import annotations

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


def find_violations(
    connection: Connection, table: Table, where: ColumnElement[bool] | None = None
) -> tuple[int, dict[str, int]]:
    """Count the rows that violate their table's declaration, in the table or in the part that `where` selects.

    Returns:
        The number of rows scanned, and the number of violations by problem, like `title missing`.
    """
    counts = {"repeated keys": func.count() - func.count(tuple_(*table.primary_key).distinct())}
    for column in table.columns:
        if not column.nullable:
            counts[f"{column.name} missing"] = func.count().filter(_is_missing(column))
    for column in table.columns:
        if (test := _is_out_of_range(column)) is not None:
            counts[f"{column.name} out of range"] = func.count().filter(test)
    query = select(func.count(), *counts.values()).select_from(table)
    rows, *found = connection.execute(query if where is None else query.where(where)).one()
    return rows, {problem: count for problem, count in zip(counts, found, strict=True) if count}


def _is_missing(column: Column[Any]) -> ColumnElement[bool]:
    if isinstance(column.type, Text):
        return or_(column.is_(None), column == literal(""))
    return column.is_(None)


def _is_out_of_range(column: Column[Any]) -> ColumnElement[bool] | None:
    """Return the condition for a value outside the declared range; None if there is none to check."""
    if isinstance(column.type, Text):
        return column == literal("") if column.nullable else None
    low, high = column.info.get("range", (None, None))
    within: list[ColumnElement[bool]] = []
    if low is not None:
        within.append(column >= literal(low))
    if high is not None:
        within.append(column <= literal(high))
    if isinstance(column.type, Float):
        # These bounds also exclude NaN, which Postgres treats as greater than Infinity.
        within += [column < literal(float("inf")), column > literal(float("-inf"))]
    return not_(and_(*within)) if within else None
