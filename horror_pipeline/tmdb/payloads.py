"""The shapes TMDB answers in, read tolerantly: unknown keys are kept, missing ones are noticed.

What belongs here: parsing bodies, making them safe for Postgres, digests, and which parts a document lacks.
What does not: judging values (that is `transform.clean`), HTTP, storage.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

Json = dict[str, Any]

APPENDED = ("credits", "keywords")
"""Sub-objects asked for with a film's details; TMDB leaves one out, under status 200, when it fails on its side."""

LARGEST_ID = 2**53

# What JSON may hold and jsonb may not: NUL, lone surrogates, NaN and Infinity, and numbers beyond any column. Most
# documents hold no escape and none of the words at all, which is found out much faster than by the patterns.
_SUSPICIOUS = ("\\u", "NaN", "Infinity")
_UNSAFE_WORD = re.compile(r"\\u0000|\\u[dD][89a-fA-F]|NaN|Infinity")
_UNSAFE_NUMBER = re.compile(r"\d[eE][+-]?\d{3}")
_SURROGATE = re.compile("[\ud800-\udfff]")

_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"))
_VOLATILE = re.compile(r'"(?:popularity|vote_average|vote_count)":[^][{},"]*,?')
"""A member of the canonical text whose value is a number or null; inside a text the quotes would be escaped."""


class MalformedError(ValueError):
    """A body that is not one JSON object."""


@dataclass(frozen=True)
class Document:
    """One answer: parsed, and as text that Postgres takes as jsonb."""

    body: Json
    text: str


def parse(raw: bytes) -> Document:
    """Read a body.

    The text is passed through as received unless it holds something jsonb cannot: then NUL and lone surrogates become
    U+FFFD and numbers without a finite value become null.

    Raises:
        MalformedError: not JSON, or not an object.
    """
    text = raw.decode("utf-8", errors="replace")
    try:
        body = json.loads(text)
    except (ValueError, RecursionError):
        raise MalformedError("the body is not JSON") from None
    if not isinstance(body, dict):
        raise MalformedError("the body is not a JSON object")
    if _is_unsafe(text):
        body = _storable(body)
        text = json.dumps(body, ensure_ascii=False)
    return Document(body, text)


def _is_unsafe(text: str) -> bool:
    if any(sign in text for sign in _SUSPICIOUS) and _UNSAFE_WORD.search(text):
        return True
    return _UNSAFE_NUMBER.search(text) is not None


def as_text(body: Json) -> str:
    """The body as text that Postgres takes as jsonb."""
    return json.dumps(_storable(body), ensure_ascii=False)


def _storable(value: Any) -> Any:
    if isinstance(value, str):
        return _SURROGATE.sub("\ufffd", value.replace("\0", "\ufffd"))
    if isinstance(value, dict):
        return {_storable(key): _storable(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_storable(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def payload_hash(body: Json) -> str:
    """Digest of a details document without what moves every day: popularity and votes, people's included."""
    steady = _VOLATILE.sub("", _CANONICAL.encode(body))
    return hashlib.blake2b(steady.encode(), digest_size=16).hexdigest()


def missing_parts(body: Json) -> list[str]:
    """Which appended sub-objects the document lacks."""
    return [name for name in APPENDED if not isinstance(body.get(name), dict)]


def rows_of(body: Json) -> list[Any]:
    """The rows of a listing page.

    Raises:
        MalformedError: the page has no list of results.
    """
    rows = body.get("results")
    if not isinstance(rows, list):
        raise MalformedError("the page has no results")
    return rows


def movie_id(row: Any) -> int | None:
    """The id of a listing row, or None where there is no usable one."""
    value = row.get("id") if isinstance(row, dict) else None
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if 0 < value <= LARGEST_ID else None


def ids_of(body: Json) -> Iterator[int]:
    """The usable ids of a listing page, in its order."""
    for row in rows_of(body):
        found = movie_id(row)
        if found is not None:
            yield found


def count_of(body: Json, name: str) -> int:
    """A counter of a listing page, like `total_pages`.

    Raises:
        MalformedError: it is missing or not a count.
    """
    value = body.get(name)
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise MalformedError(f"the page has no {name}")
    return value


def with_kept_parts(body: Json, kept: Json) -> Json:
    """The document, each appended sub-object it lacks taken from what was stored before, where that had it."""
    return body | {name: kept[name] for name in missing_parts(body) if name in kept}
