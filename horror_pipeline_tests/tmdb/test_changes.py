from __future__ import annotations

import datetime as dt

import pytest

from horror_pipeline.errors import UnavailableError
from horror_pipeline.tmdb.changes import changes_of
from horror_pipeline_tests.tmdb.fake import FakeTmdb, answer, make_client

DAY = dt.date(2026, 11, 21)


def test_every_page_of_one_day_is_read() -> None:
    tmdb = FakeTmdb(changes={"2026-11-21": [{"id": number, "adult": None} for number in range(1, 46)]})
    pages = list(changes_of(make_client(tmdb), DAY))
    assert sorted(page.number for page in pages) == [1, 2, 3]
    assert {tmdb_id for page in pages for tmdb_id in page.ids} == set(range(1, 46))
    assert {(query["start_date"], query["end_date"]) for query in tmdb.queries} == {("2026-11-21", "2026-11-21")}


def test_a_day_without_changes_is_one_page() -> None:
    (page,) = changes_of(make_client(FakeTmdb()), DAY)
    assert (page.number, page.ids, page.total_pages) == (1, (), 1)


def test_a_page_without_results_is_never_taken_for_a_quiet_day() -> None:
    with pytest.raises(UnavailableError, match="no results"):
        list(changes_of(make_client(FakeTmdb(disturb=lambda _: answer({"total_pages": 1}))), DAY))


def test_pages_that_the_total_cannot_fill_are_not_asked_for() -> None:
    tmdb = FakeTmdb(disturb=lambda _: answer({"total_pages": 10**9, "total_results": 150, "results": []}))
    with pytest.raises(UnavailableError, match="total_pages 1000000000"):
        list(changes_of(make_client(tmdb), DAY))
