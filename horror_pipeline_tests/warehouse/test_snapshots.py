from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, insert, select, text

from horror_pipeline.warehouse import bulk, snapshots
from horror_pipeline.warehouse.bulk import WriteCounts
from horror_pipeline.warehouse.tables import discover_pages, movie_snapshots
from horror_pipeline_tests.warehouse.history import DAY, NOON, ONE_DAY, add_films, day_rows, put


def add_page(connection: Connection, results: Any, at: dt.datetime, page: int = 1) -> None:
    row = {"release_year": 2026, "listing": "released", "sweep": 1, "slice_start_date": DAY, "page": page}
    connection.execute(insert(discover_pages).values(**row, payload={"results": results}, fetched_at=at))


def test_the_database_itself_refuses_a_film_twice_a_day(engine: Engine) -> None:
    with engine.begin() as connection:
        put(connection, DAY, {1: 1.0})
        with pytest.raises(Exception, match="duplicate key"), connection.begin_nested():
            bulk.copy_rows(connection, movie_snapshots, day_rows(DAY, {1: 2.0}))


def test_a_day_is_replaced_as_a_whole(engine: Engine) -> None:
    with engine.begin() as connection:
        assert put(connection, DAY, {1: 1.0, 2: 2.0, 3: 3.0}) == WriteCounts(new=3)
        put(connection, DAY + ONE_DAY, {1: 9.0})
        assert put(connection, DAY, {2: 2.0, 3: 3.5, 4: 4.0}) == WriteCounts(new=1, changed=1, unchanged=1, removed=1)
        query = select(movie_snapshots.c.tmdb_id, movie_snapshots.c.popularity).where(
            movie_snapshots.c.snapshot_date == DAY
        )
        assert sorted(connection.execute(query).all()) == [(2, 2.0), (3, 3.5), (4, 4.0)]
        assert snapshots.snapshot_days(connection) == {DAY, DAY + ONE_DAY}


def test_a_day_taken_again_rewrites_nothing(engine: Engine) -> None:
    with engine.begin() as connection:
        put(connection, DAY, {1: 1.0, 2: 2.0})
    where = text("SELECT tmdb_id, ctid::text, xmin::text FROM movie_snapshots ORDER BY 1")
    with engine.connect() as connection:
        before = connection.execute(where).all()
    with engine.begin() as connection:
        assert put(connection, DAY, {1: 1.0, 2: 2.0}) == WriteCounts(new=0, unchanged=2)
    with engine.connect() as connection:
        assert connection.execute(where).all() == before


def test_a_day_may_become_empty(engine: Engine) -> None:
    with engine.begin() as connection:
        put(connection, DAY, {1: 1.0})
        assert put(connection, DAY, {}).removed == 1
        assert snapshots.snapshot_days(connection) == set()


def test_known_films_are_those_of_movies(engine: Engine) -> None:
    with engine.begin() as connection:
        assert snapshots.known_ids(connection) == set()
        add_films(connection, [1, 5])
        assert snapshots.known_ids(connection) == {1, 5}


def test_a_days_listing_is_what_was_read_on_that_utc_day_of_known_films(engine: Engine) -> None:
    film = {"popularity": 1.5, "vote_count": 10, "vote_average": 6.25}
    with engine.begin() as connection:
        add_films(connection, [1, 2, 3])
        add_page(connection, [film | {"id": 1}, film | {"id": 99}], dt.datetime(2026, 11, 20, tzinfo=dt.UTC))
        add_page(connection, [film | {"id": 2}], dt.datetime(2026, 11, 20, 23, 59, tzinfo=dt.UTC), page=2)
        add_page(connection, [film | {"id": 3}], dt.datetime(2026, 11, 21, tzinfo=dt.UTC), page=3)
        listed = snapshots.listed_on(connection, DAY)
    assert [row["tmdb_id"] for row in listed] == [1, 2]
    assert listed[0] == {"tmdb_id": 1} | film


@pytest.mark.parametrize(
    "results",
    [
        None,
        "no list",
        [],
        [None, 5, "text", []],
        [{"id": "1"}, {"id": None}, {"id": 1.5}, {"id": 1e300}, {}],
    ],
)
def test_a_listing_of_another_shape_is_no_films(engine: Engine, results: Any) -> None:
    with engine.begin() as connection:
        add_films(connection, [1])
        add_page(connection, results, NOON)
        assert snapshots.listed_on(connection, DAY) == []


def test_a_listing_without_numbers_has_none(engine: Engine) -> None:
    with engine.begin() as connection:
        add_films(connection, [1])
        add_page(connection, [{"id": 1, "popularity": "many", "vote_count": None, "vote_average": 10**30}], NOON)
        assert snapshots.listed_on(connection, DAY) == [
            {"tmdb_id": 1, "popularity": None, "vote_count": None, "vote_average": None}
        ]
