"""Converting a TMDB document to a typed film, or rejecting it with a reason.

An impossible value becomes None and adds a warning. TMDB writes unknown values as '' or 0; they become None without a
warning. A record is rejected only if it cannot be identified or is out of the pipeline's scope.
"""

from __future__ import annotations

import datetime as dt
import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from horror_pipeline.domain import GENRE_NAMES, HORROR_GENRE_ID
from horror_pipeline.transform.availability import releases, watch_options
from horror_pipeline.transform.json_values import members, names, objects, printable, unique

EARLIEST_YEAR = 1874  # the first motion picture
LONGEST_RUNTIME_MINUTES = 1_000
BIGGEST_INTEGER, BIGGEST_BIGINT = 2**31 - 1, 2**63 - 1
CAST_KEPT = 10

# Patterns use [0-9], because \d matches digits of every script, which Python would convert to numbers.
_IMDB_ID = re.compile(r"tt[0-9]{5,12}")
_LANGUAGE = re.compile(r"[a-z]{2,3}")
_IMAGE_PATH = re.compile(r"/[A-Za-z0-9_-]+\.[A-Za-z0-9]{2,5}")
_NUMBER = re.compile(r"\s*[+-]?[0-9]{1,18}(\.[0-9]{1,18})?\s*")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


@dataclass(frozen=True)
class CleanMovie:
    """A typed film: the columns of `movies` that come from TMDB, and a warning per impossible value.

    A warning consists of the field and the value, like `runtime: -90`.
    """

    row: dict[str, Any]
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Rejection:
    """Why a record cannot become a film of this pipeline."""

    reason: str


def clean_movie(
    document: object, *, listed: object = None, first_year: int, collected: tuple[str, ...]
) -> CleanMovie | Rejection:
    """Convert the details of a film to a typed film.

    Args:
        document: the details as TMDB sent them; any JSON value is accepted.
        listed: the film's row in a listing that was read after the details and has newer popularity and votes; or None.
        first_year: films released before this year are out of scope; films without a date are in scope.
        collected: names of the collected genres, of which a film in scope has at least one; empty if all are collected.

    Returns:
        The typed film, or the reason for its rejection. Never raises, whatever the JSON.
    """
    if not isinstance(document, Mapping):
        return Rejection("the document is not a JSON object")
    reader = _Reader(document)
    tmdb_id = reader.whole("id", 1, BIGGEST_BIGINT)
    if tmdb_id is None:
        return Rejection("no usable id")
    original_title = reader.text("original_title")
    title = reader.text("title") or original_title
    if title is None:
        return Rejection("no title")
    newest = listed if isinstance(listed, Mapping) else None
    genres = _genres(reader, newest)
    if collected and not set(collected) & set(genres):
        return Rejection(f"of no genre that is collected: {', '.join(genres) or 'no genres'}")
    release_date = reader.date("release_date")
    if release_date is not None and release_date.year < first_year:
        return Rejection(f"released {release_date}, before {first_year}")
    row = {"tmdb_id": tmdb_id, "title": title, "original_title": original_title, "genres": genres}
    row |= {"release_date": release_date, "release_year": release_date.year if release_date else None}
    row |= _descriptive(reader) | _people(reader)
    row |= {
        "releases": releases(reader.part("release_dates")),
        "watch_options": watch_options(reader.part("watch/providers")),
    }
    row |= _scores(reader if newest is None else _Reader(newest, reader.warnings))
    return CleanMovie(row, tuple(reader.warnings))


def clean_other(listed: object, collected: tuple[str, ...]) -> dict[str, Any] | None:
    """Convert the listing row of a film of other genres to a row of `other_movies`, without `observed_at`.

    Args:
        listed: the row as TMDB sent it; any JSON value is accepted.
        collected: names of the collected genres.

    Returns:
        The row; None for a film without id, title or release date, or with a collected genre.
    """
    if not isinstance(listed, Mapping):
        return None
    reader = _Reader(listed)
    tmdb_id, original_title = reader.whole("id", 1, BIGGEST_BIGINT), reader.text("original_title")
    title, release_date = reader.text("title") or original_title, reader.date("release_date")
    genres = _genres(reader, None)
    if tmdb_id is None or title is None or release_date is None or set(collected) & set(genres):
        return None
    row = {"tmdb_id": tmdb_id, "title": title, "original_title": original_title, "release_date": release_date}
    language = reader.text("original_language", _LANGUAGE)
    return {**row, "original_language": language, "genres": genres, **_scores(reader)}


@dataclass
class Cleaning:
    """Converts the stored documents of a release year to rows, and collects rejections and warnings.

    Args:
        first_year: as in `clean_movie`.
        collected: as in `clean_movie`.
        now: the present moment, UTC.
    """

    first_year: int
    collected: tuple[str, ...]
    now: dt.datetime
    rejected: list[dict[str, Any]] = field(default_factory=list)
    warnings: Counter[str] = field(default_factory=Counter)
    gone: int = 0

    def rows(self, stored: Iterable[Any]) -> Iterator[dict[str, Any]]:
        """Yield a row of `movies` for every document that is not rejected.

        Args:
            stored: documents with their listing rows, as `warehouse.movies.StoredDetails`.
        """
        for film in stored:
            self.gone += film.gone_at is not None
            if film.payload is None:
                continue  # the film was gone before its details were ever read
            is_listing_newer = film.listed_at is not None and film.listed_at >= film.fetched_at
            listed, observed_at = (film.listed, film.listed_at) if is_listing_newer else (None, film.fetched_at)
            movie = clean_movie(film.payload, listed=listed, first_year=self.first_year, collected=self.collected)
            if isinstance(movie, Rejection):
                self._reject(film, movie)
                continue
            self.warnings.update(warning.split(":")[0] for warning in movie.warnings)
            yield movie.row | {
                "first_seen_at": self.now,
                "observed_at": _first_observed_that_day(film, movie.row, observed_at),
                "details_fetched_at": film.fetched_at,
                "gone_at": film.gone_at,
            }

    def _reject(self, film: Any, rejection: Rejection) -> None:
        record = {"record_key": str(film.tmdb_id), "reason": rejection.reason, "payload": film.payload}
        self.rejected.append(record | {"rejected_at": self.now})


def _first_observed_that_day(film: Any, row: Mapping[str, Any], observed_at: dt.datetime) -> dt.datetime:
    """Return when the values were observed: the stored moment, if it is on the same UTC day and has the same values.

    Films that did not change therefore keep their rows as they are when they are read again on the same day.
    """
    before = film.movie_observed_at
    stored = film.movie_popularity, film.movie_vote_average, film.movie_vote_count
    is_same = stored == (row["popularity"], row["vote_average"], row["vote_count"])
    if is_same and before is not None and before.astimezone(dt.UTC).date() == observed_at.astimezone(dt.UTC).date():
        return before  # type: ignore[no-any-return]
    return observed_at


def _descriptive(reader: _Reader) -> dict[str, Any]:
    collection = reader.part("belongs_to_collection")
    inner = _Reader(collection, reader.warnings) if collection is not None else None
    return {
        "imdb_id": reader.text("imdb_id", _IMDB_ID),
        "original_language": reader.text("original_language", _LANGUAGE),
        "overview": reader.text("overview"),
        "tagline": reader.text("tagline"),
        "status": reader.text("status"),
        "runtime_minutes": reader.positive("runtime", LONGEST_RUNTIME_MINUTES),
        "budget_usd": reader.positive("budget", BIGGEST_BIGINT),
        "revenue_usd": reader.positive("revenue", BIGGEST_BIGINT),
        "collection_id": inner.whole("id", 1, BIGGEST_BIGINT) if inner else None,
        "collection_name": inner.text("name") if inner else None,
        "is_adult": reader.flag("adult"),
        "poster_path": reader.text("poster_path", _IMAGE_PATH),
        "backdrop_path": reader.text("backdrop_path", _IMAGE_PATH),
    }


def _people(reader: _Reader) -> dict[str, Any]:
    """Read keywords, directors and cast, which are None, not an empty list, if TMDB did not send their part."""
    keywords, credits = reader.part("keywords"), reader.part("credits")
    crew = members(credits, "crew")
    cast = members(credits, "cast")
    return {
        "keywords": None if keywords is None else names(members(keywords, "keywords")),
        "directors": None if credits is None else names(member for member in crew if member.get("job") == "Director"),
        "cast_names": None if credits is None else names(sorted(cast, key=_billing))[:CAST_KEPT],
    }


def _scores(reader: _Reader) -> dict[str, Any]:
    """Read popularity, number of votes and mean vote; the mean is None if the number is 0."""
    votes = reader.whole("vote_count", 0, BIGGEST_INTEGER)
    average = reader.number("vote_average", 0, 10)
    return {
        "popularity": reader.number("popularity", 0, math.inf),
        "vote_count": votes,
        "vote_average": average if votes != 0 else None,
    }


def _genres(reader: _Reader, listed: Mapping[str, Any] | None) -> list[str]:
    """Read genre names; if the document has no list of genres, take them from the genre ids of the listing."""
    own = reader.document.get("genres")
    if isinstance(own, list):
        genre_names = [
            GENRE_NAMES[HORROR_GENRE_ID] if genre.get("id") == HORROR_GENRE_ID else genre.get("name")
            for genre in objects(own)
        ]
        return unique(name for name in map(printable, genre_names) if name)
    ids = (listed or reader.document).get("genre_ids")
    if not isinstance(ids, list):
        return []
    reader.warn("genres", own)
    return unique(GENRE_NAMES[genre] for genre in ids if isinstance(genre, int) and genre in GENRE_NAMES)


@dataclass
class _Reader:
    """Reads the values of one JSON object; an impossible value becomes None and adds a warning."""

    document: Mapping[str, Any]
    warnings: list[str] = field(default_factory=list)

    def warn(self, name: str, value: object) -> None:
        self.warnings.append(f"{name}: {_brief(value)}")

    def text(self, key: str, pattern: re.Pattern[str] | None = None) -> str | None:
        """Read a text without unprintable characters; return None without a warning for an empty text."""
        value = self.document.get(key)
        if value is None or value == "":
            return None
        cleaned = printable(value)
        if cleaned is None or (pattern is not None and not pattern.fullmatch(cleaned)):
            self.warn(key, value)
            return None
        return cleaned

    def number(self, key: str, low: float, high: float) -> float | None:
        value = self.document.get(key)
        if value is None or value == "":
            return None
        number = _to_number(value)
        if number is None or not math.isfinite(number) or not low <= number <= high:
            self.warn(key, value)
            return None
        if isinstance(value, str):
            self.warn(key, value)  # a number written as text is accepted, but with a warning
        return number

    def whole(self, key: str, low: int, high: int) -> int | None:
        """Read an integer without converting it to float, which would round large ids and amounts."""
        value = self.document.get(key)
        if isinstance(value, int) and not isinstance(value, bool):
            if low <= value <= high:
                return value
            self.warn(key, value)
            return None
        number = self.number(key, low, high)
        if number is None:
            return None
        if number != int(number):
            self.warn(key, value)
            return None
        return min(int(number), high)

    def positive(self, key: str, high: int) -> int | None:
        """Read an integer of at least 1; return None without a warning for 0, which TMDB writes for unknown."""
        return None if self.document.get(key) == 0 else self.whole(key, 1, high)

    def date(self, key: str) -> dt.date | None:
        value = self.document.get(key)
        if value is None or value == "":
            return None
        try:
            day = dt.date.fromisoformat(value) if isinstance(value, str) and _DATE.fullmatch(value) else None
        except ValueError:
            day = None
        if day is None or day.year < EARLIEST_YEAR:
            self.warn(key, value)
            return None
        return day

    def flag(self, key: str) -> bool:
        value = self.document.get(key)
        if value is not None and not isinstance(value, bool):
            self.warn(key, value)
        return value is True

    def part(self, key: str) -> Mapping[str, Any] | None:
        value = self.document.get(key)
        if value is not None and not isinstance(value, Mapping):
            self.warn(key, value)
        return value if isinstance(value, Mapping) else None


def _brief(value: object) -> str:
    """Format a value for a warning, in at most 40 ASCII characters; for an object or list, return only its type."""
    return ascii(value)[:40] if isinstance(value, (str, int, float)) else type(value).__name__


def _to_number(value: object) -> float | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, (int, float)):
        try:
            return float(value)
        except OverflowError:
            return None
    return float(value) if isinstance(value, str) and _NUMBER.fullmatch(value) else None


def _billing(member: Mapping[str, Any]) -> float:
    order = _to_number(member.get("order"))
    return order if order is not None and math.isfinite(order) else math.inf
