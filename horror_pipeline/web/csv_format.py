"""Rows as CSV: one way to write a value, for the files of the web and of the command."""

from __future__ import annotations

import csv
import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from typing import TextIO

FORMULA_SIGNS = ("=", "+", "-", "@", "\t", "\r")
"""A spreadsheet computes a cell that begins with one of these."""


def write_csv(file: TextIO, columns: Sequence[str], rows: Iterable[Mapping[str, object]]) -> None:
    """Write the header and the rows; unknown is empty, and a list is joined by `|`."""
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        writer.writerow([_cell(row.get(name)) for name in columns])


def _cell(value: object) -> object:
    if isinstance(value, dt.date):
        return value.isoformat()
    if isinstance(value, list):
        value = "|".join("" if item is None else str(item) for item in value)
    if isinstance(value, str) and value.startswith(FORMULA_SIGNS):
        return f"'{value}"
    return value
