"""Whatever JSON a hostile TMDB sends of one film, at any endpoint, costs that film alone, and of a page that page.

`HYPOTHESIS_EXAMPLES=10000` tries more than the suite does.
"""

from __future__ import annotations

import copy
import datetime as dt
import gzip
import io
import json
import os
from contextlib import suppress
from typing import Any

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, text

from horror_pipeline.defs import movies, other_movies, raw
from horror_pipeline.errors import TmdbError
from horror_pipeline.tmdb.changes import changes_of
from horror_pipeline.tmdb.details import details_of
from horror_pipeline.tmdb.discover import Sweeper
from horror_pipeline.tmdb.exports import read_export
from horror_pipeline.tmdb.listings import listing_of_others, listings_of
from horror_pipeline.tmdb.transport import Request, Response
from horror_pipeline.transform.movies import Cleaning
from horror_pipeline.warehouse import raw as raw_tables
from horror_pipeline_tests.tmdb.fake import FakeTmdb, answer, document, film, make_client

NOW = dt.datetime(2026, 11, 22, 12, tzinfo=dt.UTC)
YEAR, HONEST, HOSTILE = 2020, 1, 2
EXAMPLES = int(os.environ.get("HYPOTHESIS_EXAMPLES", "200"))

TEXT = st.text(st.characters(codec=None), max_size=20)
NUMBER = (
    st.integers()
    | st.floats()
    | st.sampled_from([0, -1, 2**31, 2**63, 10**25, 10**4000, 1e308, -0.0, 1e8, float("nan"), float("inf")])
)
DATE = st.sampled_from(
    ["", "2020-02-30", "2020-W01-1", "0000-00-00", "9999-12-31", "２０２０-01-01", "2020-01-01T00:00"]
)
LEAF = st.none() | st.booleans() | NUMBER | TEXT | DATE
JSON = st.recursive(
    LEAF,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT | st.just("name"), inner, max_size=4),
    max_leaves=10,
)
DEPTHS = st.sampled_from([60, 64, 65, 950, 980, 5_000])


HONEST_PARTS: dict[str, Any] = {
    "belongs_to_collection": {"id": 7, "name": "The Things"},
    "release_dates": {"results": [{"iso_3166_1": "US", "release_dates": [{"type": 3, "release_date": "2020-05-05"}]}]},
    "watch/providers": {"results": {"DE": {"link": "x", "rent": [{"provider_name": "Crypt"}]}}},
}
"""What the documents of `fake` lack."""


@st.composite
def spoiled(draw: st.DrawFn, honest: Any) -> Any:
    """The honest value with anything in the place of some of its parts, at any depth, and some parts left out."""
    value = copy.deepcopy(honest)
    for _ in range(draw(st.integers(0, 6))):
        place: Any = value
        while place:
            key: Any = draw(st.sampled_from(sorted(place) if isinstance(place, dict) else range(len(place))))
            inner = place[key]
            if isinstance(inner, (dict, list)) and inner and draw(st.booleans()):
                place = inner
            elif isinstance(place, dict) and draw(st.booleans()):
                del place[key]
                place |= draw(st.dictionaries(TEXT, JSON, max_size=1))
                break
            else:
                place[key] = draw(JSON)
                break
    return value


def written(value: Any) -> bytes:
    """JSON as a server may write it, whose integers may have more digits than Python prints."""
    return json.dumps(_marked(value)).encode().replace(b'"HUGE"', b"9" * 4_500)


def _marked(value: Any) -> Any:
    """Put a mark in the place of integers that Python refuses to print."""
    if isinstance(value, int) and abs(value) >= 10**300:
        return "HUGE"
    if isinstance(value, list):
        return [_marked(item) for item in value]
    if isinstance(value, dict):
        return {key: _marked(item) for key, item in value.items()}
    return value


@st.composite
def bodies(draw: st.DrawFn) -> bytes:
    """The answer to a request for the hostile film's details."""
    kind = draw(st.sampled_from(["spoiled", "anything", "deep", "bytes"]))
    if kind == "deep":
        depth = draw(DEPTHS)
        return written(document(HOSTILE))[:-1] + b', "x": ' + b"[" * depth + b"]" * depth + b"}"
    if kind == "bytes":
        return draw(st.binary(max_size=30))
    return written(draw(spoiled(document(HOSTILE, **HONEST_PARTS)) if kind == "spoiled" else JSON))


ROWS = (spoiled(film(HOSTILE)) | JSON).map(written)


def ingest(engine: Engine, row: bytes, body: bytes, change: bytes) -> dict[int, str | None]:
    """List, read and clean an honest and a hostile film; return the reason of each film that could not be read."""

    def disturb(request: Request) -> Response | None:
        if "/movie/changes" in request.url:
            honest = json.dumps({"id": HONEST, "adult": False}).encode()
            return answer(b'{"page": 1, "total_pages": 1, "total_results": 2, "results": [%s, %s]}' % (honest, change))
        if "/discover/" in request.url and "2020" in request.url:
            rows = json.dumps(film(HONEST)).encode(), row
            return answer(b'{"page": 1, "total_pages": 1, "total_results": 2, "results": [%s, %s]}' % rows)
        return answer(body) if f"/movie/{HOSTILE}?" in request.url else None

    client = make_client(FakeTmdb([film(HONEST), film(HOSTILE)], disturb=disturb), connections=1)
    [listing] = listings_of(YEAR, today=NOW.date(), last_year=2028, min_votes=10)
    raw._store_sweep(engine, YEAR, [Sweeper(client).sweep(listing)], NOW)
    pages = list(changes_of(client, NOW.date() - dt.timedelta(days=1)))
    with engine.begin() as connection:
        raw_tables.replace_changes(connection, NOW.date(), ((page.number, page.text) for page in pages), NOW)
    found = list(details_of(client, [HONEST, HOSTILE], lambda: NOW))
    raw._store_details(engine, found, {HONEST: YEAR, HOSTILE: YEAR})
    movies._clean_year(engine, YEAR, Cleaning(2010, ("Horror",), NOW))
    return {one.tmdb_id: one.failure for one in found}


@given(row=ROWS, body=bodies(), change=JSON.map(written))
@example(row=b"null", body=b"null", change=b"null")
@example(row=b'{"id": 2, "x": ' + b"[" * 980 + b"]" * 980 + b"}", body=b'{"id": 2}', change=b'{"id": 9e99}')
@example(row=b"{}", body=written({"id": HOSTILE, "x" * 1_000_000: "y" * 1_000_000}), change=b"[]")
@example(row=written(film(HOSTILE)), body=written(document(HOSTILE, title="z" * 2_000_000)), change=b"{}")
@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_is_sent_of_a_film_ends_in_a_row_a_rejection_or_a_reason(
    engine: Engine, row: bytes, body: bytes, change: bytes
) -> None:
    with engine.begin() as connection:
        for table in ("movies", "raw.discover_pages", "raw.movie_details", "raw.movie_changes", "raw.rejected_records"):
            connection.execute(text(f"DELETE FROM {table}"))
    failures = ingest(engine, row, body, change)
    with engine.connect() as connection:
        films = connection.scalars(text("SELECT tmdb_id FROM movies")).all()
        rejected = connection.scalars(text("SELECT record_key FROM raw.rejected_records WHERE reason > ''")).all()
        gone = connection.scalars(text("SELECT tmdb_id FROM raw.movie_details WHERE gone_at IS NOT NULL")).all()
    assert HONEST in films
    assert HOSTILE in films or str(HOSTILE) in rejected or failures[HOSTILE] or HOSTILE in gone


def page(*rows: dict[str, Any]) -> dict[str, Any]:
    return {"page": 1, "total_pages": 1, "total_results": len(rows), "results": list(rows)}


PAGES = (spoiled(page(film(HONEST), film(HOSTILE))) | JSON).map(written)
STATUSES = st.sampled_from([200, 200, 200, 204, 302, 401, 404, 422, 429, 500])


def read_listings(engine: Engine, body: bytes, status: int) -> None:
    """Read and store a year of every listing, and a day of changes, of which each page is this body."""
    client = make_client(lambda _: answer(body, status, {"Retry-After": "nan", "Date": "\x00"}), connections=1)
    of_year: Any = {"today": NOW.date(), "last_year": 2028, "min_votes": 10, "genres": (27,)}
    with suppress(TmdbError):
        raw._store_sweep(engine, YEAR, [Sweeper(client).sweep(one) for one in listings_of(YEAR, **of_year)], NOW)
    with suppress(TmdbError):
        others = listing_of_others(YEAR, **of_year)
        assert others is not None
        other_movies._store(engine, YEAR, Sweeper(client).read_once(others).pages, ("Horror",), NOW)
    with suppress(TmdbError):
        pages = list(changes_of(client, NOW.date() - dt.timedelta(days=1)))
        with engine.begin() as connection:
            raw_tables.replace_changes(connection, NOW.date(), ((one.number, one.text) for one in pages), NOW)
    with suppress(TmdbError):
        client.check_credential()


@given(body=PAGES, status=STATUSES)
@example(body=b'{"total_pages": 1, "total_results": 1, "results": {"id": 1}}', status=200)
@example(body=b'{"total_pages": 1, "total_results": 1, "results": [%s]}' % (b"{}," * 9 + b"{}"), status=200)
@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_a_page_says_it_is_stored_or_one_error_of_ours(engine: Engine, body: bytes, status: int) -> None:
    read_listings(engine, body, status)


LINE = {"adult": False, "id": HOSTILE, "original_title": "Film", "popularity": 1.5, "video": False}


@given(line=(spoiled(LINE) | JSON).map(written) | st.binary(max_size=30) | DEPTHS.map(lambda depth: b"[" * depth))
@settings(max_examples=EXAMPLES, deadline=None)
def test_whatever_is_in_a_line_of_an_export_costs_that_line(line: bytes) -> None:
    honest = json.dumps(LINE | {"id": HONEST}).encode()
    file = gzip.compress(b"\n".join([honest, line.replace(b"\n", b""), honest]), compresslevel=1)
    client = make_client(lambda _: Response(200, {}, stream=io.BytesIO(file)))
    found = read_export(client, NOW.date(), {HONEST, HOSTILE}, now=NOW)
    assert found.popularity[HONEST] == 1.5
    assert all(0 <= value < 1e9 for value in found.popularity.values())
