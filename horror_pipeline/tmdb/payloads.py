"""Parsing TMDB's answers tolerantly: unknown keys are kept, and missing keys are detected.

Any body is parsed and made safe for Postgres here, whatever it holds. Whether a value is plausible is decided in
`transform`.
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
"""Sub-objects requested with a film's details. If TMDB fails to make one, it still answers 200, but leaves it out."""

ALSO_APPENDED = ("release_dates", "watch/providers")
"""Further sub-objects requested with a film's details. If one is missing, the film is not requested again for it."""

LARGEST_ID = 2**53
DEEPEST_LEVEL = 64
"""The deepest nesting that is kept. TMDB's documents have five levels; Python's parser fails at some 1,000."""

MOST_CONTAINERS = 250_000
"""The most lists and objects in a body; TMDB's documents have some thousands. An empty list or object takes two bytes
as text, but more than fifty when parsed."""

MOST_DIGITS = 300
"""The most digits of a number: with more, it may not fit into a double precision column."""

# These find what a JSON text may hold but jsonb cannot: NUL, lone surrogates, NaN, Infinity, and numbers too large for
# any column. Most documents hold none of the suspicious strings, which is checked much faster than the patterns.
_SUSPICIOUS = ("\\u", "NaN", "Infinity")
_UNSAFE_WORD = re.compile(r"\\u0000|\\u[dD][89a-fA-F]|NaN|Infinity")
_UNSAFE_NUMBER = re.compile(rf"\d(?:[eE][+-]?\d{{3}}|\d{{{MOST_DIGITS}}})")
_SURROGATE = re.compile("[\ud800-\udfff]")
_STRING_OR_BRACKET = re.compile(r'"(?:[^"\\]|\\.)*(?:"|\\?\Z)|[][{}]', re.DOTALL)

_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"))
_VOLATILE = re.compile(r'"(?:popularity|vote_average|vote_count)":[^][{},"]*,?')
"""Matches a member of the canonical text whose value is a number or null. In strings, nothing matches: their quotes are
escaped."""


class MalformedError(ValueError):
    """A body of the wrong shape."""


@dataclass(frozen=True)
class Document:
    """The JSON object of an answer, parsed and as a text that Postgres accepts as jsonb."""

    body: Json
    text: str


def parse(raw: bytes) -> Document:
    """Parse a body.

    The text is kept as received unless it holds something that jsonb cannot hold. In that case, NUL and lone surrogates
    become U+FFFD. Numbers that are not finite or have more than `MOST_DIGITS` digits become null, and so does whatever
    is nested deeper than `DEEPEST_LEVEL`. Thus only the absurd value is lost, not its whole page.

    Raises:
        MalformedError: the body is not JSON, is not an object, or would take too much memory.
    """
    if raw.count(b"[") + raw.count(b"{") > MOST_CONTAINERS:
        raise MalformedError(f"the body has more than {MOST_CONTAINERS:,} lists and objects")
    text = raw.decode("utf-8", errors="replace")
    is_unsafe = _is_unsafe(text)
    try:
        body = _loads(text, is_unsafe)
        if body is None or _is_too_deep(body):
            is_unsafe, body = True, _loads(_without_depths(text), is_unsafe=True)
    except ValueError:
        raise MalformedError("the body is not JSON") from None
    if not isinstance(body, dict):
        raise MalformedError("the body is not a JSON object")
    if is_unsafe:
        body = _storable(body)
        text = json.dumps(body, ensure_ascii=False)
    return Document(body, text)


def _loads(text: str, is_unsafe: bool) -> Any:
    """Parse JSON; return None where it is nested too deeply for the parser."""
    try:
        return json.loads(text, parse_int=_bounded_int) if is_unsafe else json.loads(text)
    except RecursionError:
        return None


def _bounded_int(digits: str) -> int | None:
    return int(digits) if len(digits) <= MOST_DIGITS else None


def _is_unsafe(text: str) -> bool:
    if any(sign in text for sign in _SUSPICIOUS) and _UNSAFE_WORD.search(text):
        return True
    return _UNSAFE_NUMBER.search(text) is not None


def _is_too_deep(body: Any) -> bool:
    """Return whether containers are nested deeper than `DEEPEST_LEVEL`, without recursion."""
    level: list[Any] = [[body]]
    for _ in range(DEEPEST_LEVEL + 1):
        level = [
            child
            for node in level
            for child in (node.values() if isinstance(node, dict) else node)
            if isinstance(child, (dict, list))
        ]
        if not level:
            return False
    return True


def _without_depths(text: str) -> str:
    """Return the JSON text with null in the place of each container below `DEEPEST_LEVEL`."""
    kept, kept_to, level = [], 0, 0
    for token in _STRING_OR_BRACKET.finditer(text):
        if token[0] in "[{":
            level += 1
            if level == DEEPEST_LEVEL + 1:
                kept.append(text[kept_to : token.start()])
        elif token[0] in "]}":
            if level == DEEPEST_LEVEL + 1:
                kept.append("null")
                kept_to = token.end()
            level -= 1
    return "".join([*kept, text[kept_to:]]) if level == 0 else ""


def as_text(value: Any) -> str:
    """Return the JSON text of a parsed value, in a form that Postgres accepts as jsonb."""
    return json.dumps(_storable(value), ensure_ascii=False)


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
    """Return a digest of a details document that ignores what changes daily: popularity (people's too) and votes."""
    steady = _VOLATILE.sub("", _CANONICAL.encode(body))
    return hashlib.blake2b(steady.encode(), digest_size=16).hexdigest()


def absent_parts(body: Json) -> tuple[str, ...]:
    """Return the names of the requested sub-objects that the document lacks."""
    return tuple(name for name in (*APPENDED, *ALSO_APPENDED) if not isinstance(body.get(name), dict))


def rows_of(body: Json) -> list[Any]:
    """Return the rows of a listing page.

    Raises:
        MalformedError: the page has no list of results.
    """
    rows = body.get("results")
    if not isinstance(rows, list):
        raise MalformedError("the page has no results")
    return rows


def movie_id(row: Any) -> int | None:
    """Return the id of a listing row, or None where it has no usable one."""
    value = row.get("id") if isinstance(row, dict) else None
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if 0 < value <= LARGEST_ID else None


def ids_of(body: Json) -> Iterator[int]:
    """Yield the usable ids of a listing page, in its order."""
    return (found for row in rows_of(body) if (found := movie_id(row)) is not None)


def count_of(body: Json, name: str) -> int:
    """Return a counter of a listing page, like `total_pages`.

    Raises:
        MalformedError: the counter is missing or not a count.
    """
    value = body.get(name)
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise MalformedError(f"the page has no {name}")
    return value


def check_listing(body: Json, rows_a_page: int, most_rows: int) -> None:
    """Refuse a listing page whose totals would lead to requests for pages that cannot exist.

    Raises:
        MalformedError: rows or totals are missing, or the totals are absurd.
    """
    rows_of(body)
    rows, pages = count_of(body, "total_results"), count_of(body, "total_pages")
    if rows > most_rows or pages > 2 * math.ceil(rows / rows_a_page) + 1:
        raise MalformedError(f"the page states total_pages {pages} and total_results {rows}, which cannot be right")
