"""Python values as lines of Postgres's COPY text format, streamed.

What belongs here: how each column type is written, and what Postgres cannot take and is mended on the way: NUL
characters and lone surrogates become U+FFFD, NaN becomes NULL. What does not: SQL.
"""

from __future__ import annotations

import datetime as dt
import io
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import islice
from typing import Any

from sqlalchemy import ARRAY, JSON, Boolean, Column, Date, DateTime, Float, Integer, LargeBinary, Text
from sqlalchemy.types import TypeEngine

Encoder = Callable[[Any], str]
Batch = Sequence[Sequence[Any]]

NULL = "\\N"

ROWS_A_BATCH = 200
"""Rows written at once: column by column is faster than row by row, and more rows would hold more memory."""

_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_UNUSUAL = re.compile("[\x00\\\\\t\n\r\ud800-\udfff]")
_SURROGATE = re.compile("[\ud800-\udfff]")
_ESCAPED_NUL = re.compile(r"(?<!\\)((?:\\\\)*)\\u0000")
"""`\\u0000` in JSON text, where the backslash is not itself escaped."""
_SPECIAL = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})


class CopyStream(io.RawIOBase):
    """A readable file of COPY lines, made from values while Postgres reads: never more than a batch is held.

    Args:
        columns: the columns, in the order of the lines' fields.
        batches: the values, of some rows at a time: one list for each column.
        numbered: whether each line ends with its number, from 1.
    """

    def __init__(self, columns: Sequence[Column[Any]], batches: Iterable[Batch], *, numbered: bool) -> None:
        """Prepare to read."""
        self._encoders = [_column_encoder(column.type) for column in columns]
        self._batches = iter(batches)
        self._numbered = numbered
        self._buffer = bytearray()
        self.count = 0
        self.failure: Exception | None = None
        """What went wrong while reading a row, if anything did."""

    def readable(self) -> bool:
        """It is."""
        return True

    def read(self, size: int = -1) -> bytes:
        """The next bytes; empty at the end."""
        try:
            return self._next(size)
        except Exception as failure:
            self.failure = failure
            raise

    def _next(self, size: int) -> bytes:
        while size < 0 or len(self._buffer) < size:
            batch = next(self._batches, None)
            if batch is None:
                size = len(self._buffer)
                break
            self._buffer += self._lines(batch).encode()
        taken = bytes(self._buffer[:size])
        del self._buffer[:size]
        return taken

    def _lines(self, batch: Batch) -> str:
        fields = [encode(values) for encode, values in zip(self._encoders, batch, strict=True)]
        first, self.count = self.count + 1, self.count + len(batch[0])
        if self._numbered:
            fields.append([str(number) for number in range(first, self.count + 1)])
        return "\n".join(map("\t".join, zip(*fields, strict=True))) + "\n"


def batches_of_rows(names: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> Iterator[Batch]:
    """The rows' values of these columns; every row must have them."""
    remaining = iter(rows)
    while batch := list(islice(remaining, ROWS_A_BATCH)):
        yield [[row[name] for row in batch] for name in names]


def batches_of_columns(columns: Sequence[Sequence[Any]]) -> Iterator[Batch]:
    """The values of columns of one length."""
    for start in range(0, len(columns[0]), ROWS_A_BATCH):
        yield [values[start : start + ROWS_A_BATCH] for values in columns]


def is_missing(value: object) -> bool:
    """Whether the value is SQL's NULL: None, NaN, NaT or pandas' NA."""
    if value is None:
        return True
    if isinstance(value, float):
        return value != value
    return type(value).__name__ in ("NAType", "NaTType")


def clean_text(text: str) -> str:
    """The text as Postgres can hold it: NUL and lone surrogates become U+FFFD."""
    return _UNSTORABLE.sub("\ufffd", text)


class JsonText(str):
    """Text that is JSON already, of a kind jsonb takes: it is written as it is, not parsed and made again."""

    __slots__ = ()


def json_text(value: object) -> str:
    """The value as JSON text that jsonb takes: NUL and lone surrogates become U+FFFD, NaN and infinities null."""
    if isinstance(value, JsonText):
        return value
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, default=_plain)
    except ValueError:
        text = json.dumps(_without_nan(value), ensure_ascii=False, allow_nan=False, default=_plain)
    text = _SURROGATE.sub("\ufffd", text)
    return _ESCAPED_NUL.sub("\\1\ufffd", text) if "\\u0000" in text else text


def _plain(value: Any) -> object:
    """What json does not know: dates, and numpy's scalars and arrays."""
    if isinstance(value, dt.date):
        return value.isoformat()
    if hasattr(value, "tolist"):
        return _without_nan(value.tolist())
    raise TypeError(f"a {type(value).__name__} cannot be stored as JSON")


def _without_nan(value: Any) -> Any:
    if isinstance(value, float):
        return value if value - value == 0 else None  # NaN and infinities minus themselves are not 0
    if isinstance(value, Mapping):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(item) for item in value]
    return value


def _column_encoder(kind: TypeEngine[Any]) -> Callable[[Sequence[Any]], list[str]]:
    """Writes a batch of one column's values; what is plainly of its type takes a short way."""
    encode = _encoder(kind)

    def one(value: Any) -> str:
        return NULL if is_missing(value) else encode(value)

    if isinstance(kind, Integer):
        return lambda values: [str(value) if type(value) is int else one(value) for value in values]
    if isinstance(kind, Float):
        return lambda values: [
            repr(value) if type(value) is float and value == value else one(value) for value in values
        ]
    if isinstance(kind, Text):
        is_unusual = _UNUSUAL.search
        return lambda values: [
            value if type(value) is str and not is_unusual(value) else one(value) for value in values
        ]
    if isinstance(kind, Date):
        remembered = lru_cache(maxsize=1_024)(one)
        return lambda values: [remembered(value) for value in values]
    return lambda values: [one(value) for value in values]


def _encoder(kind: TypeEngine[Any]) -> Encoder:
    if isinstance(kind, ARRAY):
        return _array
    if isinstance(kind, JSON):
        return lambda value: json_text(value).translate(_SPECIAL)
    for sql_type, encode in _ENCODERS:
        if isinstance(kind, sql_type):
            return encode
    return _text


def _text(value: Any) -> str:
    return clean_text(str(value)).translate(_SPECIAL)


def _integer(value: Any) -> str:
    if isinstance(value, float) and not value.is_integer():
        raise ValueError(f"{value!r} is not a whole number")
    return str(int(value))


def _instant(value: Any) -> str:
    if value.tzinfo is None:
        raise ValueError(f"{value!r} has no time zone")
    return str(value.isoformat())


def _date(value: Any) -> str:
    return str((value.date() if isinstance(value, dt.datetime) else value).isoformat())


def _array(value: Any) -> str:
    items = ("NULL" if is_missing(item) else _quoted(str(item)) for item in value)
    return ("{" + ",".join(items) + "}").translate(_SPECIAL)


def _quoted(item: str) -> str:
    return '"' + clean_text(item).replace("\\", "\\\\").replace('"', '\\"') + '"'


_ENCODERS: tuple[tuple[type[TypeEngine[Any]], Encoder], ...] = (
    (Boolean, lambda value: "t" if value else "f"),
    (Integer, _integer),
    (Float, lambda value: repr(float(value))),
    (DateTime, _instant),
    (Date, _date),
    (LargeBinary, lambda value: "\\\\x" + bytes(value).hex()),
)
