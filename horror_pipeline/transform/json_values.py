"""Reading lists, objects and texts out of JSON of any shape, without raising."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

_UNPRINTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\ufffd]")

T = TypeVar("T")


def printable(value: object) -> str | None:
    """Return the text trimmed and without unprintable characters; None where nothing is left."""
    return _UNPRINTABLE.sub("", value).strip() or None if isinstance(value, str) else None


def objects(values: Iterable[Any]) -> list[Mapping[str, Any]]:
    """Return those of the values that are objects."""
    return [value for value in values if isinstance(value, Mapping)]


def members(part: Mapping[str, Any] | None, key: str) -> list[Mapping[str, Any]]:
    """Return the objects of a list that a part may have."""
    values = part.get(key) if part is not None else None
    return objects(values) if isinstance(values, list) else []


def names(members: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return the printable names of objects, each once."""
    return unique(name for name in (printable(member.get("name")) for member in members) if name)


def unique(values: Iterable[T]) -> list[T]:
    """Return each value once, in order."""
    return list(dict.fromkeys(values))
