from __future__ import annotations

import datetime as dt
import json
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import pytest
from sqlalchemy import Engine, text

from horror_pipeline.warehouse import movies, raw
from horror_pipeline.warehouse.raw import DetailsCounts, DetailsRow, PageRow
from horror_pipeline.warehouse.stale_details import Due, due_details, gap_reaches

NOW = dt.datetime(2026, 11, 22, 12, tzinfo=dt.UTC)
DAY = dt.timedelta(days=1)
TODAY = NOW.date()


def read(engine: Engine, tmdb_id: int, at: dt.datetime, **extra: Any) -> DetailsCounts:
    """Store a details document of the year 2020."""
    body = {"id": tmdb_id, "release_date": extra.pop("release_date", "2020-05-05"), **extra.pop("body", {})}
    given = {"digest": f"digest {tmdb_id}", "text": json.dumps(body), **extra}
    with engine.begin() as connection:
        return raw.write_details(connection, [DetailsRow(2020, tmdb_id, at, **given)])[2020]


def sweep(engine: Engine, ids: Sequence[Any], year: int = 2020, at: dt.datetime = NOW) -> None:
    page = json.dumps({"results": [{"id": one} for one in ids]})
    row = PageRow("released", 1, dt.date(year, 1, 1), dt.date(year, 12, 31), 1, page)
    with engine.begin() as connection:
        raw.replace_sweep(connection, year, [row], [one for one in ids if isinstance(one, int)], at)


def change(engine: Engine, day: dt.date, ids: Sequence[int] = ()) -> None:
    page = json.dumps({"results": [{"id": one, "adult": None} for one in ids]})
    with engine.begin() as connection:
        raw.replace_changes(connection, day, [(1, page)], NOW)


def due(engine: Engine, now: dt.datetime = NOW, years: Sequence[int] = (2020,)) -> dict[int, str]:
    with engine.connect() as connection:
        found = due_details(connection, years, now, retention_days=180)
    assert len({one.tmdb_id for one in found}) == len(found)
    return {one.tmdb_id: one.reason for one in found}


def collect_every_day(engine: Engine, since: dt.datetime, now: dt.datetime = NOW) -> None:
    """As the daily job does: changes of every closed day, none of them of our films."""
    for number in range((now.date() - since.date()).days):
        change(engine, since.date() + number * DAY)


def stored(engine: Engine, what: str) -> Any:
    with engine.connect() as connection:
        return connection.execute(text(what)).scalar()


def test_a_listed_film_never_read_is_new(engine: Engine) -> None:
    sweep(engine, [1, 2, "x", None, 1.5, -4, 3])
    assert due(engine) == {1: "new", 2: "new", 3: "new"}


def test_a_film_read_today_is_not_due(engine: Engine) -> None:
    sweep(engine, [1])
    read(engine, 1, NOW - 3 * dt.timedelta(hours=3), missing=("credits",), release_date="2026-11-25")
    assert due(engine) == {}


@pytest.mark.parametrize(("age_days", "is_due"), [(0, True), (1, True), (2, False)])
def test_a_change_counts_from_the_day_of_the_reading_on(engine: Engine, age_days: int, is_due: bool) -> None:
    change_day = (NOW - 2 * DAY).date()
    read(engine, 1, NOW - 2 * DAY - DAY + age_days * DAY)
    change(engine, change_day, [1, 99])
    change(engine, change_day + DAY)
    assert due(engine) == ({1: "changed"} if is_due else {})


def test_a_change_of_an_unknown_film_is_not_asked_for(engine: Engine) -> None:
    read(engine, 1, NOW - DAY)
    change(engine, (NOW - DAY).date(), [5, 6, 7])
    assert due(engine) == {}


def test_an_incomplete_document_is_asked_for_once_a_day(engine: Engine) -> None:
    read(engine, 1, NOW - DAY, missing=("keywords",))
    assert due(engine) == {1: "incomplete"}
    read(engine, 1, NOW, missing=("keywords",))
    assert due(engine) == {}


@pytest.mark.parametrize(("days_off", "is_due"), [(-15, False), (-14, True), (0, True), (14, True), (15, False)])
def test_a_film_near_its_release_is_read_daily(engine: Engine, days_off: int, is_due: bool) -> None:
    read(engine, 1, NOW - DAY, release_date=str(TODAY + days_off * DAY))
    collect_every_day(engine, NOW - DAY)
    assert due(engine) == ({1: "near release"} if is_due else {})


def test_documents_of_one_day_are_read_again_on_many_days_well_within_the_retention(engine: Engine) -> None:
    films, read_on = range(1, 1201), NOW - 121 * DAY
    body = json.dumps({"release_date": "2020-05-05"})
    with engine.begin() as connection:
        rows = [DetailsRow(2020, film, read_on, digest=f"digest {film}", text=body) for film in films]
        raw.write_details(connection, rows)
    collect_every_day(engine, read_on)
    by_age = [len(due(engine, read_on + age * DAY)) for age in range(60, 122, 4)]
    assert by_age[0] == 0
    assert max(after - before for before, after in pairwise(by_age)) <= 1.5 * len(films) * 4 / 60
    assert due(engine, read_on + 121 * DAY) == dict.fromkeys(films, "old")


def test_after_a_long_gap_in_the_changes_everything_read_before_it_is_due(engine: Engine) -> None:
    read(engine, 1, NOW - 16 * DAY)
    read(engine, 2, NOW - 14 * DAY)
    assert due(engine) == {1: "gap"}
    change(engine, (NOW - 3 * DAY).date())
    change(engine, (NOW - 4 * DAY).date())
    assert due(engine) == {}


@pytest.mark.parametrize(
    ("collected_ages", "reaches_age"),
    [([], 15), ([1, 2, 3], 18), (list(range(1, 100)), 114), ([20], 15)],
)
def test_how_far_back_a_reading_is_still_good(collected_ages: list[int], reaches_age: int) -> None:
    collected = {TODAY - age * DAY for age in collected_ages}
    assert gap_reaches(collected, TODAY) == TODAY - reaches_age * DAY


def test_a_gone_film_is_asked_for_again_only_when_listed_again_and_at_most_weekly(engine: Engine) -> None:
    read(engine, 1, NOW - 8 * DAY, text=None, digest=None)
    change(engine, (NOW - DAY).date(), [1])
    assert due(engine) == {}
    sweep(engine, [1])
    assert due(engine) == {1: "listed again"}
    read(engine, 1, NOW - 6 * DAY, text=None, digest=None)
    assert due(engine) == {}


def test_a_film_is_due_under_the_year_it_was_listed_in_last(engine: Engine) -> None:
    sweep(engine, [1], 2020, NOW - DAY)
    read(engine, 1, NOW - DAY, missing=("credits",))
    sweep(engine, [1], 2021)
    with engine.connect() as connection:
        found = due_details(connection, [2020, 2021], NOW, retention_days=180)
    assert found == [Due(2021, 1, "incomplete")]


def test_a_film_in_no_listing_stays_due_where_it_was(engine: Engine) -> None:
    read(engine, 1, NOW - DAY, release_date="")
    sweep(engine, [2])
    change(engine, (NOW - DAY).date(), [1])
    assert due(engine) == {1: "changed", 2: "new"}


def test_what_a_batch_did_is_counted(engine: Engine) -> None:
    assert read(engine, 1, NOW - DAY) == DetailsCounts(new=1)
    assert read(engine, 1, NOW) == DetailsCounts(unchanged=1)
    assert stored(engine, "SELECT changed_at FROM raw.movie_details") == NOW - DAY
    assert stored(engine, "SELECT fetched_at FROM raw.movie_details") == NOW
    assert read(engine, 1, NOW, digest="another") == DetailsCounts(changed=1)
    assert stored(engine, "SELECT changed_at FROM raw.movie_details") == NOW


def test_a_gone_film_keeps_its_document_and_the_moment_it_went(engine: Engine) -> None:
    read(engine, 1, NOW - 2 * DAY)
    assert read(engine, 1, NOW - DAY, text=None, digest=None) == DetailsCounts(gone=1)
    assert read(engine, 1, NOW, text=None, digest=None) == DetailsCounts(gone=1)
    assert stored(engine, "SELECT payload ->> 'id' FROM raw.movie_details") == "1"
    assert stored(engine, "SELECT gone_at FROM raw.movie_details") == NOW - DAY
    assert stored(engine, "SELECT changed_at FROM raw.movie_details") == NOW - DAY


def test_a_film_that_comes_back_is_gone_no_more(engine: Engine) -> None:
    read(engine, 1, NOW - DAY, text=None, digest=None)
    assert read(engine, 1, NOW) == DetailsCounts(changed=1)
    assert stored(engine, "SELECT gone_at FROM raw.movie_details") is None


def test_a_batch_may_hold_several_years(engine: Engine) -> None:
    rows = [DetailsRow(year, year, NOW, text="{}", digest="d") for year in (2019, 2020)]
    with engine.begin() as connection:
        assert raw.write_details(connection, [*rows, DetailsRow(2020, 5, NOW)]) == {
            2019: DetailsCounts(new=1),
            2020: DetailsCounts(new=1, gone=1),
        }


def test_stored_parts_are_objects_that_are_there(engine: Engine) -> None:
    read(engine, 1, NOW, body={"credits": {"cast": []}, "keywords": None})
    with engine.connect() as connection:
        assert raw.stored_parts(connection, [1, 2], ["credits", "keywords"]) == {
            1: {"credits": {"cast": []}},
            2: {},
        }
        assert raw.stored_parts(connection, [], ["credits"]) == {}


def test_a_sweep_takes_the_place_of_the_one_before(engine: Engine) -> None:
    sweep(engine, [1, 2])
    sweep(engine, [3])
    assert due(engine) == {3: "new"}


def test_first_read_and_collected_days(engine: Engine) -> None:
    with engine.connect() as connection:
        assert raw.first_read_date(connection) is None
    read(engine, 1, dt.datetime(2026, 11, 20, 23, 30, tzinfo=dt.UTC))
    read(engine, 2, NOW)
    change(engine, dt.date(2026, 11, 20))
    with engine.connect() as connection:
        assert raw.first_read_date(connection) == dt.date(2026, 11, 20)
        assert raw.collected_change_days(connection) == {dt.date(2026, 11, 20)}


def test_documents_stream_with_their_newest_listing_row(engine: Engine) -> None:
    read(engine, 1, NOW - DAY)
    read(engine, 2, NOW, text=None, digest=None)
    sweep(engine, [1, 1, "x"])
    found = list(movies.stream_details(engine, 2020))
    assert [(one.tmdb_id, one.listed, one.listed_at) for one in found] == [(1, {"id": 1}, NOW), (2, None, None)]
    assert found[0].payload["id"] == 1
    assert found[1].payload is None
    assert found[1].gone_at == NOW


def test_a_record_that_is_fine_again_leaves_the_rejected(engine: Engine) -> None:
    def reject(year: int, *keys: str, at: dt.datetime = NOW) -> None:
        records = [{"record_key": key, "reason": "no title", "payload": {"id": 1}, "rejected_at": at} for key in keys]
        with engine.begin() as connection:
            raw.replace_rejected(connection, "raw.movie_details", year, records)

    def rejected() -> list[tuple[str, int]]:
        with engine.connect() as connection:
            query = "SELECT record_key, release_year FROM raw.rejected_records ORDER BY 1"
            return [(row[0], row[1]) for row in connection.execute(text(query))]

    reject(2020, "1", "2")
    reject(2021, "3")
    reject(2020, "2", at=NOW + DAY)
    assert rejected() == [("2", 2020), ("3", 2021)]
    assert stored(engine, "SELECT rejected_at FROM raw.rejected_records WHERE record_key = '2'") == NOW
    read(engine, 3, NOW)  # film 3 belongs to 2020 now, and is fine
    reject(2020, "2")
    assert rejected() == [("2", 2020)]
