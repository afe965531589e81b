"""Reading lists, objects and texts from JSON of any shape, without raising."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any, TypeVar

_UNPRINTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\ufffd]")

LONGEST_TEXT, MOST_VALUES = 20_000, 1_000
"""Highest numbers of characters in a text and values in a list: more than any film has, but few enough to display."""

T = TypeVar("T")


def printable(value: object) -> str | None:
    """Return the text trimmed and without unprintable characters; None if it is empty or longer than `LONGEST_TEXT`."""
    cleaned = _UNPRINTABLE.sub("", value).strip() if isinstance(value, str) else ""
    return cleaned if 0 < len(cleaned) <= LONGEST_TEXT else None


def objects(values: Iterable[Any]) -> list[Mapping[str, Any]]:
    """Return the values that are objects."""
    return [value for value in values if isinstance(value, Mapping)]


def members(part: Mapping[str, Any] | None, key: str) -> list[Mapping[str, Any]]:
    """Return the objects in the list that a part of a document has under a key; an empty list if it has none."""
    values = part.get(key) if part is not None else None
    return objects(values) if isinstance(values, list) else []


def names(members: Iterable[Mapping[str, Any]], key: str = "name") -> list[str]:
    """Return the printable names that objects have under a key, each once, `MOST_VALUES` at most."""
    return unique(name for name in (printable(member.get(key)) for member in members) if name)


def unique(values: Iterable[T]) -> list[T]:
    """Return each value once, in order, `MOST_VALUES` at most."""
    return list(islice(dict.fromkeys(values), MOST_VALUES))
