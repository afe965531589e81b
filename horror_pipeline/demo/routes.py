"""The made-up TMDB without a network: routes, and TMDB's rules for pages, dates and credentials."""

from __future__ import annotations

import datetime as dt
import gzip
import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from horror_pipeline.demo import daily_state, payloads
from horror_pipeline.demo.catalogue import DEMO_SEED, Catalogue, Film

PAGE_SIZE = 20
CHANGES_PAGE_SIZE = 100
LAST_PAGE = 500
MOST_APPENDED = 20
CHANGES_DAYS = 14
EXPORT_DAYS = 90
MOST_CACHED = 64

_EXPORT_PATH = re.compile(r"/p/exports/movie_ids_(\d\d)_(\d\d)_(\d{4})\.json\.gz")
_MOVIE_PATH = re.compile(r"/3/movie/(\d{1,18})")
_ACCESS_DENIED = (
    b'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>'
)
_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))


Row = dict[str, Any]
"""A film as listed on a day."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A response: status, body and content type."""

    status: int
    body: bytes
    content_type: str = "application/json;charset=utf-8"


class DemoTmdb:
    """Answers TMDB's requests about invented films.

    Args:
        today: returns the present day, UTC.
        seed: another seed makes other films.
        scale: the share of the films to make, as in `Catalogue`.
    """

    def __init__(self, today: Callable[[], dt.date], seed: int = DEMO_SEED, scale: float = 1.0) -> None:
        self.today = today
        self.catalogue = Catalogue(seed, scale)
        self._known = lru_cache(maxsize=1)(self._films_on)
        self._listed = lru_cache(maxsize=1)(self._listing_on)
        self._selected = lru_cache(MOST_CACHED)(self._selection)
        self._export = lru_cache(MOST_CACHED)(self._export_of)

    def answer(self, path: str, query: Mapping[str, str], authorization: str = "") -> Answer:
        """Return the response to a GET request.

        Args:
            path: the URL's path, like `/3/movie/900032001` or `/p/exports/movie_ids_11_22_2026.json.gz`.
            query: the URL's parameters, decoded.
            authorization: the header `Authorization`.
        """
        today = self.today()
        if path.startswith("/p/exports/"):
            return self._export_answer(path, today)
        if path == "/":
            return Answer(200, f"{notice()}\n".encode(), "text/plain; charset=utf-8")
        if not path.startswith("/3/"):
            return _not_found()
        if not query.get("api_key") and not authorization.removeprefix("Bearer").strip():
            return failure(401, 7, "Invalid API key: You must be granted a valid key.")
        movie = _MOVIE_PATH.fullmatch(path)
        if movie:
            return self._details(int(movie[1]), query, today)
        route = {
            "/3/discover/movie": self._discover,
            "/3/movie/changes": self._changes,
            "/3/authentication": _authentication,
        }.get(path)
        return route(query, today) if route else _not_found()

    def warm(self) -> None:
        """Generate today's films and their listing before the first request needs them."""
        self._listed(self.today())

    # -- one film ------------------------------------------------------------------------------------------------------

    def _details(self, film_id: int, query: Mapping[str, str], today: dt.date) -> Answer:
        film = self._known(today).get(film_id)
        append = [part for part in query.get("append_to_response", "").split(",") if part]
        if len(append) > MOST_APPENDED:
            return failure(400, 27, "Too many append to response objects: The maximum number of remote calls is 20.")
        if film is None or daily_state.is_gone(film, today):
            return _not_found()
        return _json(payloads.details(film, today, self.catalogue.seed, append))

    def _films_on(self, today: dt.date) -> dict[int, Film]:
        return {film.id: film for film in self.catalogue.known_on(today)}

    # -- listings ------------------------------------------------------------------------------------------------------

    def _discover(self, query: Mapping[str, str], today: dt.date) -> Answer:
        page = _page(query)
        if page is None:
            return _bad_page()
        asked = tuple((name, query[name]) for name in (*_FILTERS, "sort_by") if name in query)
        return _paged(self._selected(today, asked), page, PAGE_SIZE)

    def _selection(self, today: dt.date, asked: tuple[tuple[str, str], ...]) -> list[bytes]:
        """Return the rows that a query asks for, in order; unknown parameters are ignored, as TMDB does."""
        query, rows = dict(asked), self._listed(today)
        order = _ORDERS.get(query.get("sort_by", "").partition(".")[0], "popularity")
        is_ascending = query.pop("sort_by", "").endswith(".asc")
        for name, value in query.items():
            rows = [row for row in rows if _FILTERS[name](row, value)]
        rows = sorted(rows, key=lambda row: (row[order], row["id"]), reverse=not is_ascending)
        return [_dump(row) for row in rows]

    def _listing_on(self, today: dt.date) -> list[Row]:
        films = (film for film in self._known(today).values() if daily_state.is_listed(film, today))
        return [payloads.row(film, today, self.catalogue.seed) for film in films]

    def _changes(self, query: Mapping[str, str], today: dt.date) -> Answer:
        page = _page(query)
        if page is None:
            return _bad_page()
        try:
            end = dt.date.fromisoformat(query.get("end_date") or today.isoformat())
            start = dt.date.fromisoformat(query.get("start_date") or (end - dt.timedelta(days=1)).isoformat())
        except ValueError:
            return _bad_range()
        if not 0 <= (end - start).days <= CHANGES_DAYS:
            return _bad_range()
        days = [start + dt.timedelta(days=number) for number in range((min(end, today) - start).days + 1)]
        changed = (
            film for film in self._known(today).values() if any(daily_state.is_changed_on(film, day) for day in days)
        )
        return _paged([_dump(payloads.change(film, today)) for film in changed], page, CHANGES_PAGE_SIZE)

    # -- exports -------------------------------------------------------------------------------------------------------

    def _export_answer(self, path: str, today: dt.date) -> Answer:
        day = _export_day(path)
        if day is None or not 0 <= (today - day).days <= EXPORT_DAYS:
            return Answer(403, _ACCESS_DENIED, "application/xml")
        return Answer(200, self._export(day), "application/gzip")

    def _export_of(self, day: dt.date) -> bytes:
        seed = self.catalogue.seed
        known = (film for film in self.catalogue.known_on(day) if not daily_state.is_gone(film, day))
        lines = b"\n".join(payloads.export_line(film, day, seed) for film in known)
        return gzip.compress(lines, compresslevel=1, mtime=0)


def notice() -> str:
    """Return the sentence that says that everything is invented."""
    return "horror_pipeline's demo of the TMDB API: every film, person and figure is invented."


_FILTERS: dict[str, Callable[[Row, str], bool]] = {
    "with_genres": lambda row, value: _has_genres(row["genre_ids"], value),
    "without_genres": lambda row, value: not _has_genres(row["genre_ids"], value.replace(",", "|")),
    "primary_release_date.gte": lambda row, value: bool(row["release_date"]) and row["release_date"] >= value,
    "primary_release_date.lte": lambda row, value: bool(row["release_date"]) and row["release_date"] <= value,
    "vote_count.gte": lambda row, value: value.isdecimal() and row["vote_count"] >= int(value),
}

_ORDERS = {"popularity": "popularity", "primary_release_date": "release_date"}


def _has_genres(genre_ids: list[int], value: str) -> bool:
    """Return whether a film has all ids of a list separated by commas, or any id of a list separated by bars."""
    parts = [part.isdigit() and int(part) in genre_ids for part in value.replace("|", ",").split(",") if part]
    return any(parts) if "|" in value else all(parts)


def _export_day(path: str) -> dt.date | None:
    match = _EXPORT_PATH.fullmatch(path)
    if match is None:
        return None
    month, day, year = (int(part) for part in match.groups())
    try:
        return dt.date(year, month, day)
    except ValueError:
        return None


def _page(query: Mapping[str, str]) -> int | None:
    text = query.get("page", "1")
    return int(text) if text.isascii() and text.isdigit() and 1 <= int(text[:9]) <= LAST_PAGE else None


def _paged(rows: list[bytes], page: int, size: int) -> Answer:
    results = b",".join(rows[(page - 1) * size : page * size])
    pages = max(1, math.ceil(len(rows) / size))
    body = b'{"page":%d,"results":[%b],"total_pages":%d,"total_results":%d}' % (page, results, pages, len(rows))
    return Answer(200, body)


def _dump(value: object) -> bytes:
    return _ENCODER.encode(value).encode()


def _json(value: object, status: int = 200) -> Answer:
    return Answer(status, _dump(value))


def failure(status: int, code: int, message: str) -> Answer:
    """Return an error in TMDB's form: HTTP status, TMDB's own code and a sentence."""
    return _json({"status_code": code, "status_message": message, "success": False}, status)


def _not_found() -> Answer:
    return failure(404, 34, "The resource you requested could not be found.")


def _bad_page() -> Answer:
    return failure(400, 22, "Invalid page: Pages start at 1 and max at 500. They are expected to be an integer.")


def _bad_range() -> Answer:
    return failure(422, 20, "Invalid date range: Should be a range no longer than 14 days.")


def _authentication(query: Mapping[str, str], today: dt.date) -> Answer:
    return _json({"status_code": 1, "status_message": "Success.", "success": True})
