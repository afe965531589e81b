from __future__ import annotations

import datetime as dt
import json
from itertools import pairwise

import pytest
from sqlalchemy import Engine

from horror_pipeline.warehouse import raw
from horror_pipeline.warehouse.stale_details import Due, due_details, gap_reaches
from horror_pipeline_tests.warehouse.documents import (
    DAY,
    NOW,
    TODAY,
    change,
    collect_every_day,
    document,
    due,
    gone,
    read,
    sweep,
)


def test_a_listed_film_never_read_is_new(engine: Engine) -> None:
    sweep(engine, [1, 2, "x", None, 1.5, -4, 3])
    assert due(engine) == {1: "new", 2: "new", 3: "new"}


def test_a_film_read_today_is_not_due(engine: Engine) -> None:
    sweep(engine, [1])
    read(engine, 1, NOW - 3 * dt.timedelta(hours=3), missing_parts=("credits",), release_date="2026-11-25")
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
    read(engine, 1, NOW - DAY, missing_parts=("keywords",))
    assert due(engine) == {1: "incomplete"}
    read(engine, 1, NOW, missing_parts=("keywords",))
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
        rows = [document(2020, film, read_on, payload=body) for film in films]
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
    gone(engine, 1, NOW - 8 * DAY)
    change(engine, (NOW - DAY).date(), [1])
    assert due(engine) == {}
    sweep(engine, [1])
    assert due(engine) == {1: "listed again"}
    gone(engine, 1, NOW - 6 * DAY)
    assert due(engine) == {}


def test_a_film_is_due_under_the_year_it_was_listed_in_last(engine: Engine) -> None:
    sweep(engine, [1], 2020, NOW - DAY)
    read(engine, 1, NOW - DAY, missing_parts=("credits",))
    sweep(engine, [1], 2021)
    with engine.connect() as connection:
        found = due_details(connection, [2020, 2021], NOW, retention_days=180)
    assert found == [Due(2021, 1, "incomplete")]


def test_a_film_in_no_listing_stays_due_where_it_was(engine: Engine) -> None:
    read(engine, 1, NOW - DAY, release_date="")
    sweep(engine, [2])
    change(engine, (NOW - DAY).date(), [1])
    assert due(engine) == {1: "changed", 2: "new"}
