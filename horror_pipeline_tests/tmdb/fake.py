"""A TMDB in memory, given to the client as its transport; and a clock that moves only when somebody sleeps."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

from horror_pipeline.tmdb.client import TmdbClient
from horror_pipeline.tmdb.rate_limiter import RateLimiter
from horror_pipeline.tmdb.transport import ConnectionFailedError, Request, Response

API = "http://tmdb.test/3"
V3 = "0123456789abcdef0123456789abcdef"
V4 = "eyJhbGciOiJIUzI1NiJ9.eyJhdWQiOiJ4In0.c2lnbmF0dXJl"


class FakeClock:
    """Monotonic seconds that pass only in `sleep`."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


def answer(body: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Response(status, dict(headers or {}), raw)


def refusal(status: int, code: int, message: str = "no") -> Response:
    return answer({"success": False, "status_code": code, "status_message": message}, status)


def film(tmdb_id: int, date: str = "2020-05-05", **extra: Any) -> dict[str, Any]:
    listed = {
        "id": tmdb_id,
        "title": f"Film {tmdb_id}",
        "original_title": f"Film {tmdb_id}",
        "original_language": "en",
        "release_date": date,
        "genre_ids": [27],
        "adult": False,
        "popularity": 2.5,
        "vote_average": 6.1,
        "vote_count": 100,
        "overview": "",
        "poster_path": "/poster.jpg",
    }
    return listed | extra


def document(tmdb_id: int, date: str = "2020-05-05", **extra: Any) -> dict[str, Any]:
    listed = {name: value for name, value in film(tmdb_id, date).items() if name != "genre_ids"}
    own = {
        "genres": [{"id": 27, "name": "Horror"}],
        "runtime": 90,
        "status": "Released",
        "credits": {"cast": [{"name": "Actor", "order": 0}], "crew": [{"name": "Director", "job": "Director"}]},
        "keywords": {"keywords": [{"id": 1, "name": "witch"}]},
    }
    return listed | own | extra


@dataclass
class FakeTmdb:
    """Answers discover, details and changes from its films.

    `documents` overrides the details of a film; `disturb` may answer, or fail, in its place; `promised` are films that
    totals state and pages never show; `asked` counts paths.
    """

    films: list[dict[str, Any]] = field(default_factory=list)
    documents: dict[int, Any] = field(default_factory=dict)
    changes: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    gone: set[int] = field(default_factory=set)
    disturb: Callable[[Request], Response | None] | None = None
    rows_a_page: int = 20
    promised: int = 0
    asked: Counter[str] = field(default_factory=Counter)
    queries: list[dict[str, str]] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, request: Request) -> Response:
        parts = urlsplit(request.url)
        path = parts.path.removeprefix("/3")
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        with self._lock:
            self.asked["details" if path.removeprefix("/movie/").isdigit() else path] += 1
            self.queries.append(query)
            disturbed = self.disturb(request) if self.disturb else None
        if disturbed is not None:
            return disturbed
        if path == "/discover/movie":
            return self._page(self.listed(query), query)
        if path == "/movie/changes":
            return self._page(self.changes.get(query["start_date"], []), query)
        if path.removeprefix("/movie/").isdigit():
            return self._details(int(path.removeprefix("/movie/")))
        return answer({"success": True})

    def listed(self, query: Mapping[str, str]) -> list[dict[str, Any]]:
        low, high = query.get("primary_release_date.gte", ""), query.get("primary_release_date.lte", "9999")
        votes = int(query.get("vote_count.gte", 0))
        found = [one for one in self.films if low <= one["release_date"] <= high and one["vote_count"] >= votes]
        for name, separator in (("with_genres", "|"), ("without_genres", ",")):
            if genres := {int(genre) for genre in query.get(name, "").split(separator) if genre}:
                found = [one for one in found if bool(genres & {*one["genre_ids"]}) is (name == "with_genres")]
        return sorted(found, key=lambda one: (one["release_date"], str(one["id"]).zfill(9)))

    def _page(self, rows: list[dict[str, Any]], query: Mapping[str, str]) -> Response:
        number, size = int(query["page"]), self.rows_a_page
        body = {
            "page": number,
            "results": rows[(number - 1) * size : number * size],
            "total_results": len(rows) + self.promised,
            "total_pages": max(1, -(-len(rows) // size)),
        }
        return answer(body)

    def _details(self, tmdb_id: int) -> Response:
        known = {one["id"]: one for one in self.films}
        if tmdb_id in self.gone or (tmdb_id not in known and tmdb_id not in self.documents):
            return refusal(404, 34)
        return answer(self.documents.get(tmdb_id) or document(tmdb_id, known[tmdb_id]["release_date"]))


def cut_off(_: Request) -> Response:
    raise ConnectionFailedError("the connection was cut")


def make_client(
    transport: Callable[[Request], Response],
    *,
    api_key: str | None = V3,
    clock: FakeClock | None = None,
    connections: int = 4,
    per_second: float = 1000.0,
) -> TmdbClient:
    time = clock or FakeClock()
    return TmdbClient(
        api_url=API,
        exports_url="http://files.test/p/exports",
        api_key=api_key,
        requests_per_second=per_second,
        connections=connections,
        transport=transport,
        limiter=RateLimiter(per_second, clock=time, sleep=time.sleep),
    )
