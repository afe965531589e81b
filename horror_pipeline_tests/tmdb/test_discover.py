from __future__ import annotations

import datetime as dt
import json
import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from horror_pipeline.errors import BadRequestError, UnavailableError
from horror_pipeline.tmdb import discover
from horror_pipeline.tmdb.discover import Sweeper, query
from horror_pipeline.tmdb.listings import Listing, Slice, listings_of
from horror_pipeline.tmdb.transport import Request, Response
from horror_pipeline_tests.tmdb.fake import FakeTmdb, answer, film, make_client

TODAY = dt.date(2026, 11, 22)


def on(day: int, month: int = 1, year: int = 2020) -> str:
    return dt.date(year, month, day).isoformat()


def year_of_films(count: int, year: int = 2020) -> list[dict[str, Any]]:
    first = dt.date(year, 1, 1)
    return [film(number + 1, (first + dt.timedelta(days=number * 7 % 365)).isoformat()) for number in range(count)]


LISTING = Listing("released", 2020, Slice(dt.date(2020, 1, 1), dt.date(2020, 12, 31)), 10)


def test_a_past_year_has_released_films_only() -> None:
    (listing,) = listings_of(2020, today=TODAY, last_year=2028, min_votes=10)
    assert (listing.name, listing.dates, listing.min_votes) == (
        "released",
        Slice(dt.date(2020, 1, 1), dt.date(2021, 1, 1)),
        10,
    )


def test_the_running_year_is_cut_after_today() -> None:
    released, upcoming = listings_of(2026, today=TODAY, last_year=2028, min_votes=10)
    assert released.dates == Slice(dt.date(2026, 1, 1), TODAY)
    assert upcoming.dates == Slice(dt.date(2026, 11, 23), dt.date(2027, 1, 1))
    assert upcoming.min_votes == 0


def test_the_last_year_takes_every_later_film() -> None:
    (upcoming,) = listings_of(2028, today=TODAY, last_year=2028, min_votes=10)
    assert upcoming.dates == Slice(dt.date(2028, 1, 1), None)
    assert "primary_release_date.lte" not in query(upcoming, upcoming.dates, 1)


@pytest.mark.parametrize("today", [dt.date(2026, 12, 31), dt.date(2026, 1, 1), dt.date(2028, 2, 29)])
def test_every_date_is_in_a_listing_and_only_new_year_in_two(today: dt.date) -> None:
    last_year = today.year + 2
    slices = [
        listing.dates
        for year in range(2020, last_year + 1)
        for listing in listings_of(year, today=today, last_year=last_year, min_votes=0)
    ]
    slices.sort(key=lambda one: one.start)
    assert slices[0].start == dt.date(2020, 1, 1)
    assert slices[-1].end is None
    for earlier, later in zip(slices, slices[1:], strict=False):
        assert earlier.end is not None
        is_new_year = later.start == earlier.end and (later.start.month, later.start.day) == (1, 1)
        assert is_new_year or later.start == earlier.end + dt.timedelta(days=1)


def test_a_film_of_new_year_is_the_next_year_s_and_one_of_no_date_is_not_lost() -> None:
    tmdb = FakeTmdb([film(1, "2020-12-31"), film(2, "2021-01-01"), film(3, "2020-13-45")])
    sweeper, today = Sweeper(make_client(tmdb)), dt.date(2026, 11, 22)
    found = {
        year: sweeper.sweep(*listings_of(year, today=today, last_year=2028, min_votes=10)) for year in (2020, 2021)
    }
    assert found[2020].films == {1, 3}
    assert found[2021].films == {2}
    assert found[2020].passes == found[2021].passes == 1


def test_the_last_year_keeps_a_later_new_year() -> None:
    tmdb = FakeTmdb([film(1, "2029-01-01")])
    (listing,) = listings_of(2028, today=dt.date(2026, 11, 22), last_year=2028, min_votes=10)
    assert Sweeper(make_client(tmdb)).sweep(listing).films == {1}


def test_a_query_says_all_that_tmdb_must_filter_by() -> None:
    assert query(LISTING, LISTING.dates, 3) == {
        "with_genres": "27",
        "include_adult": "false",
        "language": "en-US",
        "sort_by": "primary_release_date.asc",
        "primary_release_date.gte": "2020-01-01",
        "primary_release_date.lte": "2020-12-31",
        "vote_count.gte": 10,
        "page": 3,
    }


@pytest.mark.parametrize("end", [dt.date(2020, 12, 31), None])
@pytest.mark.parametrize("count", [1, 2, 7, 366, 1000])
def test_windows_cover_the_slice_without_overlap(end: dt.date | None, count: int) -> None:
    whole = Slice(dt.date(2020, 1, 1), end)
    windows = whole.windows(count)
    assert (windows[0].start, windows[-1].end) == (whole.start, whole.end)
    for earlier, later in zip(windows, windows[1:], strict=False):
        assert earlier.end is not None
        assert later.start == earlier.end + dt.timedelta(days=1)
    assert len(windows) == min(count, 366)


def test_a_year_costs_its_pages_and_nothing_more() -> None:
    tmdb = FakeTmdb(year_of_films(95))
    sweep = Sweeper(make_client(tmdb)).sweep(LISTING)
    assert sweep.ids == set(range(1, 96))
    assert (sweep.passes, sweep.short, len(sweep.pages)) == (1, 0, 5)
    assert tmdb.asked["/discover/movie"] == 5


def test_an_empty_year_is_one_page() -> None:
    tmdb = FakeTmdb()
    sweep = Sweeper(make_client(tmdb)).sweep(LISTING)
    assert (sweep.ids, sweep.short, sweep.passes) == (set(), 0, 1)


def page_of(response: Response) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(response.body)
    return body


class Moving(FakeTmdb):
    """Pages as TMDB's caches make them: rows slide over borders, totals differ, rows are dropped."""

    def __init__(self, films: list[dict[str, Any]], seed: int) -> None:
        super().__init__(films)
        self.random = random.Random(seed)  # noqa: S311

    def _page(self, rows: list[dict[str, Any]], query: Any) -> Response:
        body = page_of(super()._page(rows, query))
        number = int(query["page"])
        start = max(0, (number - 1) * 20 - (self.random.randint(0, 3) if number > 1 else 0))
        body["results"] = rows[start : start + 20]
        if len(body["results"]) > 2 and self.random.random() < 0.2:
            del body["results"][self.random.randrange(len(body["results"]))]
        body["total_results"] = max(0, len(rows) + self.random.randint(-1, 1)) if rows else 0
        return answer(body)


@pytest.mark.parametrize("seed", range(12))
def test_nothing_is_lost_when_pages_move(seed: int) -> None:
    tmdb = Moving(year_of_films(230), seed)
    sweep = Sweeper(make_client(tmdb)).sweep(LISTING)
    assert sweep.ids == set(range(1, 231))
    assert sweep.short == 0


def test_a_short_page_is_not_the_last() -> None:
    tmdb = FakeTmdb(year_of_films(60))

    def drop_a_row(request: Request) -> Response | None:
        if "page=2" in request.url and tmdb.asked["/discover/movie"] <= 3:
            rows = tmdb.listed({})
            return answer({"page": 2, "results": rows[20:39], "total_results": 60, "total_pages": 3})
        return None

    tmdb.disturb = drop_a_row
    sweep = Sweeper(make_client(tmdb, connections=1)).sweep(LISTING)
    assert sweep.ids == set(range(1, 61))
    assert sweep.passes == 2


def test_what_stays_short_is_told_and_sweeping_ends() -> None:
    sweep = Sweeper(make_client(FakeTmdb(year_of_films(60), promised=5))).sweep(LISTING)
    assert sweep.ids == set(range(1, 61))
    assert sweep.short == 5
    assert sweep.passes == discover.MOST_PASSES


def test_once_pages_were_found_moving_no_listing_is_trusted_at_first_sight() -> None:
    tmdb = FakeTmdb(year_of_films(15))
    sweeper = Sweeper(make_client(tmdb))
    assert sweeper.sweep(LISTING).passes == 1
    sweeper.is_moving = True
    assert sweeper.sweep(LISTING).passes == 2


def test_a_slice_of_too_many_pages_is_split_not_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(discover, "LAST_PAGE", 10)
    monkeypatch.setattr(discover, "ROWS_A_PAGE", 2)
    films = year_of_films(200)
    tmdb = FakeTmdb(films, rows_a_page=2)
    sweep = Sweeper(make_client(tmdb, connections=8)).sweep(LISTING)
    assert sweep.ids == {one["id"] for one in films}
    assert max(page.number for page in sweep.pages) <= 10
    assert sweep.passes == 1


def test_an_open_slice_of_too_many_pages_is_split_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(discover, "LAST_PAGE", 10)
    monkeypatch.setattr(discover, "ROWS_A_PAGE", 2)
    films = [film(number + 1, f"{2028 + number % 30}-06-{number % 28 + 1:02}") for number in range(150)]
    tmdb = FakeTmdb(films, rows_a_page=2)
    listing = Listing("upcoming", 2028, Slice(dt.date(2028, 1, 1), None))
    assert Sweeper(make_client(tmdb, connections=8)).sweep(listing).ids == {one["id"] for one in films}


class Absurd(FakeTmdb):
    """States totals that its films do not justify."""

    def __init__(self, total: Callable[[int], int], pages: Callable[[int], int]) -> None:
        super().__init__(year_of_films(60))
        self.total, self.pages = total, pages

    def _page(self, rows: list[dict[str, Any]], query: Any) -> Response:
        asked = self.asked["/discover/movie"]
        totals = {"total_results": self.total(asked), "total_pages": self.pages(asked)}
        return answer(page_of(super()._page(rows, query)) | totals)


@pytest.mark.parametrize(
    ("total", "pages"),
    [
        (lambda _: 60, lambda _: 10**9),
        (lambda _: 10**9, lambda _: 10**9),
        (lambda _: 99_000, lambda _: 4_950),
        (lambda asked: 60 * 2**asked, lambda asked: 3 * 2**asked),
    ],
)
def test_a_plan_that_the_totals_cannot_justify_is_refused_by_name(
    total: Callable[[int], int], pages: Callable[[int], int]
) -> None:
    tmdb = Absurd(total, pages)
    with pytest.raises(UnavailableError, match="total_pages|TMDB states [0-9,]+ released films of 2020, but"):
        Sweeper(make_client(tmdb)).sweep(LISTING)
    assert tmdb.asked["/discover/movie"] < 1_000


def test_an_open_slice_is_not_cut_for_ever() -> None:
    class Endless(FakeTmdb):
        def _page(self, rows: list[dict[str, Any]], query: Any) -> Response:
            body = page_of(super()._page(rows, query))
            is_open = "primary_release_date.lte" not in query
            return answer(body | ({"total_results": 20_000, "total_pages": 1_000} if is_open else {}))

    tmdb = Endless([film(1, "9998-12-31")])
    listing = Listing("upcoming", 2028, Slice(dt.date(2028, 1, 1), None))
    sweep = Sweeper(make_client(tmdb)).sweep(listing)
    assert sweep.films == {1}
    assert sweep.short > 0
    assert tmdb.asked["/discover/movie"] < 2_500


def test_empty_pages_end_a_slice() -> None:
    tmdb = Absurd(lambda _: 9_000, lambda _: 450)
    planned: list[int] = []
    came: list[int] = []
    sweep = Sweeper(make_client(tmdb), planned.append, lambda: came.append(1))
    with pytest.raises(UnavailableError, match="TMDB states"):
        sweep.sweep(LISTING)
    assert tmdb.asked["/discover/movie"] < 1_000
    assert sum(planned) == len(came)


def test_rows_without_an_id_are_kept_aside() -> None:
    tmdb = FakeTmdb([film(1), {**film(2), "id": "two"}])
    found = Sweeper(make_client(tmdb)).sweep(LISTING)
    assert found.ids == {1}
    assert [row["id"] for page in found.pages[:1] for row in page.nameless] == ["two"]


def test_films_of_one_of_several_genres_are_asked_for_or_of_none_of_them_or_all() -> None:
    wanted = replace(LISTING, genres=(27, 53))
    assert query(wanted, LISTING.dates, 1)["with_genres"] == "27|53"
    assert query(replace(wanted, is_collected=False), LISTING.dates, 1)["without_genres"] == "27,53"
    assert not {"with_genres", "without_genres"} & query(replace(wanted, genres=()), LISTING.dates, 1).keys()


def test_a_listing_that_ignores_the_genre_is_refused() -> None:
    tmdb = FakeTmdb([film(number, genre_ids=[18]) for number in range(1, 12)])
    tmdb.listed = lambda _: tmdb.films  # type: ignore[method-assign, assignment]
    with pytest.raises(BadRequestError, match="genre"):
        Sweeper(make_client(tmdb)).sweep(LISTING)


def test_a_page_without_totals_is_asked_again_and_then_unavailable() -> None:
    tmdb = FakeTmdb(disturb=lambda _: answer({"results": []}))
    with pytest.raises(UnavailableError, match="total_results"):
        Sweeper(make_client(tmdb)).sweep(LISTING)
    assert tmdb.asked["/discover/movie"] == 8


def test_progress_is_told_page_by_page() -> None:
    planned: list[int] = []
    came: list[int] = []
    sweeper = Sweeper(make_client(FakeTmdb(year_of_films(95))), planned.append, lambda: came.append(1))
    sweeper.sweep(LISTING)
    assert sum(planned) == len(came) == 5
