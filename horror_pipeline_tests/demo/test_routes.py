from __future__ import annotations

import datetime as dt
import gzip
import json
import math
from collections.abc import Mapping
from typing import Any

import pytest

from horror_pipeline.demo import daily_state
from horror_pipeline.demo.catalogue import FILM_IDS
from horror_pipeline.demo.routes import DemoTmdb
from horror_pipeline_tests.demo.conftest import TODAY

KEY = {"api_key": "demo"}


def get(tmdb: DemoTmdb, path: str, query: Mapping[str, str] | None = None, *, status: int = 200) -> Any:
    answer = tmdb.answer(f"/3{path}", {**KEY, **(query or {})})
    assert answer.status == status, answer.body
    return json.loads(answer.body)


def discover(tmdb: DemoTmdb, **query: str) -> dict[str, Any]:
    dotted = {name.replace("__", "."): value for name, value in query.items()}
    body = get(tmdb, "/discover/movie", {"with_genres": "27", "sort_by": "primary_release_date.asc"} | dotted)
    assert isinstance(body, dict)
    return body


def every_page(tmdb: DemoTmdb, **query: str) -> list[dict[str, Any]]:
    first = discover(tmdb, **query)
    pages = [first] + [discover(tmdb, page=str(number), **query) for number in range(2, first["total_pages"] + 1)]
    rows = [row for page in pages for row in page["results"]]
    assert len(rows) == first["total_results"]
    return rows


# -- credentials -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("query", "header"), [({"api_key": "anything"}, ""), ({}, "Bearer eyJ.demo.token")])
def test_any_credential_is_accepted(tmdb: DemoTmdb, query: dict[str, str], header: str) -> None:
    assert tmdb.answer("/3/authentication", query, header).status == 200


@pytest.mark.parametrize(("query", "header"), [({}, ""), ({"api_key": ""}, ""), ({}, "Bearer ")])
def test_no_credential_is_401_with_code_7(tmdb: DemoTmdb, query: dict[str, str], header: str) -> None:
    answer = tmdb.answer("/3/discover/movie", query, header)
    assert answer.status == 401
    assert json.loads(answer.body) == {
        "status_code": 7,
        "status_message": "Invalid API key: You must be granted a valid key.",
        "success": False,
    }


def test_exports_need_no_credential(tmdb: DemoTmdb) -> None:
    assert tmdb.answer("/p/exports/movie_ids_11_22_2026.json.gz", {}).status == 200


# -- discover ----------------------------------------------------------------------------------------------------------


def test_a_year_pages_through_every_film_once_in_order(tmdb: DemoTmdb) -> None:
    rows = every_page(tmdb, primary_release_date__gte="2024-01-01", primary_release_date__lte="2024-12-31")
    assert len({row["id"] for row in rows}) == len(rows) > 150
    dates = [row["release_date"] for row in rows]
    assert dates == sorted(dates)
    assert {date[:4] for date in dates} == {"2024"}
    assert all(27 in row["genre_ids"] for row in rows)


def test_a_row_has_the_keys_of_tmdb(tmdb: DemoTmdb) -> None:
    row = discover(tmdb)["results"][0]
    assert sorted(row) == [
        "adult", "backdrop_path", "genre_ids", "id", "original_language", "original_title", "overview", "popularity",
        "poster_path", "release_date", "softcore", "title", "video", "vote_average", "vote_count",
    ]  # fmt: skip


def test_every_overview_says_that_the_film_is_invented(tmdb: DemoTmdb) -> None:
    for row in every_page(tmdb, primary_release_date__gte="2026-01-01"):
        assert row["overview"] == "" or "Invented for the demo" in row["overview"]
        assert row["id"] > FILM_IDS
        assert row["poster_path"] is None


def test_vote_count_bounds_the_rows(tmdb: DemoTmdb) -> None:
    assert min(row["vote_count"] for row in every_page(tmdb, vote_count__gte="500")) >= 500


def test_only_upcoming_films_lie_beyond_a_lower_bound_without_an_upper(tmdb: DemoTmdb) -> None:
    rows = every_page(tmdb, primary_release_date__gte="2026-11-23")
    assert {row["release_date"][:4] for row in rows} == {"2026", "2027", "2028"}
    assert {row["vote_count"] for row in rows} == {0}


def test_undated_films_match_no_date_filter(tmdb: DemoTmdb) -> None:
    dated = discover(tmdb, primary_release_date__gte="1900-01-01")["total_results"]
    assert dated < discover(tmdb)["total_results"]


def test_genres_combine_with_comma_or_bar_and_are_left_out(tmdb: DemoTmdb) -> None:
    both = every_page(tmdb, with_genres="27,35")
    either, neither = every_page(tmdb, with_genres="27|35"), every_page(tmdb, with_genres="18", without_genres="27,35")
    assert all({27, 35} & set(row["genre_ids"]) for row in either) and len(either) > len(both)
    assert neither and not any({27, 35} & set(row["genre_ids"]) for row in neither)
    assert both
    assert all({27, 35} <= set(row["genre_ids"]) for row in both)


def test_unknown_keys_are_ignored(tmdb: DemoTmdb) -> None:
    assert discover(tmdb, no_such_filter="1") == discover(tmdb)


@pytest.mark.parametrize(
    "wrong", [{"vote_count.gte": "many"}, {"primary_release_date.gte": "soon"}, {"with_genres": "x"}]
)
def test_a_wrong_value_gives_an_empty_200_of_one_page(tmdb: DemoTmdb, wrong: dict[str, str]) -> None:
    body = get(tmdb, "/discover/movie", wrong)
    assert body == {"page": 1, "results": [], "total_pages": 1, "total_results": 0}


def test_beyond_the_last_page_is_an_empty_200(tmdb: DemoTmdb) -> None:
    assert discover(tmdb, page="499")["results"] == []


@pytest.mark.parametrize("page", ["0", "501", "-1", "one", "", "²", "9" * 5_000])
def test_a_page_out_of_range_is_400_with_code_22(tmdb: DemoTmdb, page: str) -> None:
    assert get(tmdb, "/discover/movie", {"page": page}, status=400)["status_code"] == 22


def test_sorting_by_popularity_falls(tmdb: DemoTmdb) -> None:
    values = [row["popularity"] for row in discover(tmdb, sort_by="popularity.desc")["results"]]
    assert values == sorted(values, reverse=True)


# -- details -----------------------------------------------------------------------------------------------------------


def some_id(tmdb: DemoTmdb, **query: str) -> int:
    return int(discover(tmdb, **query)["results"][0]["id"])


def test_details_carry_the_parts_asked_for_and_no_others(tmdb: DemoTmdb) -> None:
    film_id = some_id(tmdb, vote_count__gte="10")
    plain = get(tmdb, f"/movie/{film_id}")
    full = get(tmdb, f"/movie/{film_id}", {"append_to_response": "credits,keywords,no_such_part"})
    assert full.keys() - plain.keys() == {"credits", "keywords"}
    assert {"name": "Horror", "id": 27} in full["genres"]
    assert [person["job"] for person in full["credits"]["crew"]][0] == "Director"
    assert [person["order"] for person in full["credits"]["cast"]] == list(range(len(full["credits"]["cast"])))
    assert all(word.keys() == {"id", "name"} for word in full["keywords"]["keywords"])


def test_details_and_listing_agree(tmdb: DemoTmdb) -> None:
    row = discover(tmdb, vote_count__gte="100")["results"][3]
    details = get(tmdb, f"/movie/{row['id']}")
    for name in row.keys() - {"genre_ids"}:
        assert details[name] == row[name]
    assert [genre["id"] for genre in details["genres"]] == row["genre_ids"]


def test_unknown_is_written_as_tmdb_writes_it(tmdb: DemoTmdb) -> None:
    films = [film for film in tmdb.catalogue.known_on(TODAY) if not daily_state.is_gone(film, TODAY)]
    details = [get(tmdb, f"/movie/{film.id}") for film in films[::7]]
    for name, unknown in (
        ("runtime", 0),
        ("budget", 0),
        ("imdb_id", None),
        ("belongs_to_collection", None),
        ("tagline", ""),
    ):
        values = [body[name] for body in details]
        assert unknown in values
        assert any(value != unknown for value in values)


def test_a_gone_film_is_404_while_listings_lag(tmdb: DemoTmdb) -> None:
    lagging = [row["id"] for row in every_page(tmdb) if tmdb.answer(f"/3/movie/{row['id']}", KEY).status == 404]
    assert 1 <= len(lagging) <= 10
    assert get(tmdb, f"/movie/{lagging[0]}", status=404)["status_code"] == 34


@pytest.mark.parametrize("path", ["/movie/550", "/movie/999999999999999999", "/movie/x", "/movie/-1", "/person/1", ""])
def test_what_does_not_exist_is_404_with_code_34(tmdb: DemoTmdb, path: str) -> None:
    assert get(tmdb, path, status=404)["status_code"] == 34


def test_too_many_parts_are_400_with_code_27(tmdb: DemoTmdb) -> None:
    parts = ",".join(["credits"] * 21)
    assert get(tmdb, f"/movie/{some_id(tmdb)}", {"append_to_response": parts}, status=400)["status_code"] == 27


# -- changes -----------------------------------------------------------------------------------------------------------


def changed(tmdb: DemoTmdb, start: str, end: str) -> list[dict[str, Any]]:
    first = get(tmdb, "/movie/changes", {"start_date": start, "end_date": end})
    assert first["total_pages"] == max(1, math.ceil(first["total_results"] / 100))
    rows = first["results"]
    for page in range(2, first["total_pages"] + 1):
        rows += get(tmdb, "/movie/changes", {"start_date": start, "end_date": end, "page": str(page)})["results"]
    assert len(rows) == first["total_results"]
    return [dict(row) for row in rows]


def test_about_one_film_in_a_hundred_changes_a_day(tmdb: DemoTmdb) -> None:
    known = sum(1 for _ in tmdb.catalogue.known_on(TODAY))
    for number in range(1, 8):
        day = (TODAY - dt.timedelta(days=number)).isoformat()
        assert 0.005 < len(changed(tmdb, day, day)) / known < 0.03


def test_a_range_of_days_lists_every_id_once_and_marks_the_gone(tmdb: DemoTmdb) -> None:
    rows = changed(tmdb, "2026-11-08", "2026-11-22")
    assert len(rows) > 200
    assert len({row["id"] for row in rows}) == len(rows)
    for row in rows:
        assert (row["adult"] is None) == (tmdb.answer(f"/3/movie/{row['id']}", KEY).status == 404)


@pytest.mark.parametrize(
    ("start", "end"), [("2026-11-01", "2026-11-16"), ("2026-11-16", "2026-11-15"), ("yesterday", "2026-11-15")]
)
def test_a_wrong_range_is_422_with_code_20(tmdb: DemoTmdb, start: str, end: str) -> None:
    assert get(tmdb, "/movie/changes", {"start_date": start, "end_date": end}, status=422)["status_code"] == 20


def test_a_document_differs_the_day_after_only_where_changes_said_so() -> None:
    today = [dt.date(2026, 11, 20)]
    tmdb = DemoTmdb(today=lambda: today[0], scale=0.3)
    moving = {"popularity", "vote_average", "vote_count"}

    def documents() -> dict[int, dict[str, Any]]:
        ids = [film.id for film in tmdb.catalogue.known_on(dt.date(2026, 11, 20))]
        bodies = {film_id: json.loads(tmdb.answer(f"/3/movie/{film_id}", KEY).body) for film_id in ids}
        return {film_id: {k: v for k, v in body.items() if k not in moving} for film_id, body in bodies.items()}

    before = documents()
    today[0] = dt.date(2026, 11, 21)
    after = documents()
    listed = {row["id"] for row in changed(tmdb, "2026-11-21", "2026-11-21")}
    differing = {film_id for film_id in before if before[film_id] != after[film_id]}
    assert differing
    assert differing <= listed


# -- exports -----------------------------------------------------------------------------------------------------------


def export(tmdb: DemoTmdb, day: dt.date) -> list[dict[str, Any]]:
    answer = tmdb.answer(f"/p/exports/movie_ids_{day:%m_%d_%Y}.json.gz", {})
    assert answer.status == 200
    assert answer.content_type == "application/gzip"
    return [json.loads(line) for line in gzip.decompress(answer.body).decode().split("\n")]


def test_an_export_has_a_line_per_film_with_the_popularity_of_its_day(tmdb: DemoTmdb) -> None:
    lines = {line["id"]: line for line in export(tmdb, TODAY)}
    for row in every_page(tmdb, primary_release_date__gte="2026-06-01"):
        if row["id"] in lines:
            assert lines[row["id"]]["popularity"] == row["popularity"]
    assert all(line.keys() == {"adult", "id", "original_title", "popularity", "video"} for line in lines.values())


def test_an_export_holds_other_genres_too(tmdb: DemoTmdb) -> None:
    horror = {row["id"] for row in every_page(tmdb)}
    assert {line["id"] for line in export(tmdb, TODAY)} - horror


def test_an_export_is_the_same_bytes_on_every_later_day() -> None:
    path = "/p/exports/movie_ids_10_01_2026.json.gz"
    now, later = (DemoTmdb(today=lambda day=day: day, scale=0.1) for day in (dt.date(2026, 10, 1), TODAY))  # type: ignore[misc]
    assert now.answer(path, {}) == later.answer(path, {})


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("movie_ids_11_22_2026.json.gz", 200),
        ("movie_ids_11_23_2026.json.gz", 403),
        ("movie_ids_08_24_2026.json.gz", 200),
        ("movie_ids_08_23_2026.json.gz", 403),
        ("movie_ids_13_40_2026.json.gz", 403),
        ("person_ids_11_22_2026.json.gz", 403),
    ],
)
def test_exports_reach_from_today_ninety_days_back(tmdb: DemoTmdb, name: str, status: int) -> None:
    answer = tmdb.answer(f"/p/exports/{name}", {})
    assert answer.status == status
    assert answer.body.startswith(b"<?xml" if status == 403 else b"\x1f\x8b")


def test_a_new_day_is_noticed_without_a_restart() -> None:
    today = [dt.date(2026, 11, 22)]
    tmdb = DemoTmdb(today=lambda: today[0], scale=0.05)
    before = discover(tmdb, sort_by="popularity.desc")["results"]
    today[0] += dt.timedelta(days=1)
    assert discover(tmdb, sort_by="popularity.desc")["results"] != before
    assert tmdb.answer("/p/exports/movie_ids_11_23_2026.json.gz", {}).status == 200
