"""Python values as lines of Postgres's COPY text format, streamed.

What belongs here: how each column type is written, and what Postgres cannot take and is mended on the way: NUL
characters and lone surrogates become U+FFFD, NaN becomes NULL. What does not: SQL.
"""

from __future__ import annotations

import datetime as dt
import io
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import ARRAY, JSON, Boolean, Column, Date, DateTime, Float, Integer, LargeBinary
from sqlalchemy.types import TypeEngine

Encoder = Callable[[Any], str]

NULL = "\\N"

_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_SURROGATE = re.compile("[\ud800-\udfff]")
_ESCAPED_NUL = re.compile(r"(?<!\\)((?:\\\\)*)\\u0000")
"""`\\u0000` in JSON text, where the backslash is not itself escaped."""
_SPECIAL = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})


class CopyStream(io.RawIOBase):
    """A readable file of COPY lines, made from rows while Postgres reads: never more than a buffer is held.

    Args:
        columns: the columns, in the order of the lines' fields.
        rows: mappings that hold every column by name.
        numbered: whether each line ends with its number, from 1.
    """

    def __init__(self, columns: Sequence[Column[Any]], rows: Iterable[Mapping[str, Any]], *, numbered: bool) -> None:
        """Prepare to read."""
        self._fields = [(column.name, _encoder(column.type)) for column in columns]
        self._rows = iter(rows)
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
            row = next(self._rows, None)
            if row is None:
                size = len(self._buffer)
                break
            self.count += 1
            self._buffer += self._line(row).encode()
        taken = bytes(self._buffer[:size])
        del self._buffer[:size]
        return taken

    def _line(self, row: Mapping[str, Any]) -> str:
        fields = [NULL if is_missing(value := row[name]) else encode(value) for name, encode in self._fields]
        if self._numbered:
            fields.append(str(self.count))
        return "\t".join(fields) + "\n"


def is_missing(value: object) -> bool:
    """Whether the value is SQL's NULL: None, NaN, NaT or pandas' NA."""
    if value is None:
        return True
    if isinstance(value, str | int | dict | list | bytes):
        return False
    return type(value).__name__ in ("NAType", "NaTType") or (isinstance(value, float) and value != value)


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


def _encoder(kind: TypeEngine[Any]) -> Encoder:
    if isinstance(kind, ARRAY):
        return _array
    if isinstance(kind, JSON):
        return lambda value: json_text(value).translate(_SPECIAL)
    for sql_type, encode in _ENCODERS:
        if isinstance(kind, sql_type):
            return encode
    return lambda value: clean_text(str(value)).translate(_SPECIAL)


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
