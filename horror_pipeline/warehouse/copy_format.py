"""Python values as lines of Postgres's COPY text format.

Missing values of every kind (None, NaN, NaT, pandas' NA) become NULL. NUL characters and lone surrogates, which
Postgres cannot store, become U+FFFD.
"""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import ARRAY, JSON, Boolean, Column, Date, DateTime, Float, Integer, LargeBinary, Text

NULL = "\\N"

_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_ESCAPED_NUL = re.compile(r"(?<!\\)((?:\\\\)*)\\u0000")
"""`\\u0000` in JSON text, where the backslash is not itself escaped."""
_UNUSUAL = re.compile("[\x00\\\\\t\n\r\ud800-\udfff]")
_SPECIAL = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})


class JsonText(str):
    """JSON text that jsonb accepts; it is written unchanged."""

    __slots__ = ()


def copy_lines(columns: Sequence[Column[Any]], values: Sequence[Sequence[Any]]) -> bytes:
    """Return some rows as COPY lines.

    Args:
        columns: the columns, in the order of the fields.
        values: for each column its values, all of one length.

    Raises:
        ValueError: a value does not fit its column.
    """
    fields = [_fields(column, of_column) for column, of_column in zip(columns, values, strict=True)]
    return ("\n".join(map("\t".join, zip(*fields, strict=True))) + "\n").encode()


def _fields(column: Column[Any], values: Sequence[Any]) -> list[str]:
    """Encode the values of a column; only NaN and values of an unusual Python type are checked for being NULL."""
    plain, encode = next((plain, encode) for kind, plain, encode in _ENCODERS if isinstance(column.type, kind))
    if hasattr(values, "tolist"):
        values = values.tolist()  # converts scalars of numpy and pandas to Python's
    return [
        encode(value) if type(value) is plain and value == value else NULL if is_missing(value) else encode(value)
        for value in values
    ]


def is_missing(value: object) -> bool:
    """Whether the value is stored as NULL: None, NaN, NaT or pandas' NA."""
    if value is None:
        return True
    if isinstance(value, float):
        return value != value
    return type(value).__name__ in ("NAType", "NaTType")


def json_text(value: object) -> str:
    """Return the value as JSON text that jsonb accepts; NaN and infinities become null."""
    if isinstance(value, JsonText):
        return value
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, default=_jsonable)
    except ValueError:
        text = json.dumps(_without_nan(value), ensure_ascii=False, allow_nan=False, default=_jsonable)
    text = _UNSTORABLE.sub("\ufffd", text)
    return _ESCAPED_NUL.sub("\\1\ufffd", text) if "\\u0000" in text else text


def _jsonable(value: Any) -> object:
    """Convert what `json` cannot encode: dates, and numpy's scalars and arrays."""
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


def _text(value: Any) -> str:
    text = str(value)
    return _UNSTORABLE.sub("\ufffd", text).translate(_SPECIAL) if _UNUSUAL.search(text) else text


def _integer(value: Any) -> str:
    if isinstance(value, float) and not value.is_integer():
        raise ValueError(f"{value!r} is not a whole number")
    return str(int(value))


def _instant(value: Any) -> str:
    if value.tzinfo is None:
        raise ValueError(f"{value!r} has no time zone")
    return str(value.isoformat())


@lru_cache(maxsize=1_024)
def _date(value: Any) -> str:
    return str((value.date() if isinstance(value, dt.datetime) else value).isoformat())


def _array(value: Any) -> str:
    items = ("NULL" if is_missing(item) else _quoted(str(item)) for item in value)
    return _text("{" + ",".join(items) + "}")


def _quoted(item: str) -> str:
    return '"' + item.replace("\\", "\\\\").replace('"', '\\"') + '"'


_ENCODERS: tuple[tuple[type[Any], type[Any], Callable[[Any], str]], ...] = (
    (Boolean, bool, lambda value: "t" if value else "f"),
    (Integer, int, _integer),
    (Float, float, lambda value: repr(float(value))),
    (DateTime, dt.datetime, _instant),
    (Date, dt.date, _date),
    (LargeBinary, bytes, lambda value: "\\\\x" + bytes(value).hex()),
    (ARRAY, list, _array),
    (JSON, JsonText, lambda value: json_text(value).translate(_SPECIAL)),
    (Text, str, _text),
)
"""By column type: the Python type that its values usually have, and the function that encodes a value."""
