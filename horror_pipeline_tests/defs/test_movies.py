from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

import dagster as dg
import pytest
from sqlalchemy import Engine

from horror_pipeline.defs import movies, raw
from horror_pipeline_tests.defs.runs import NOW, Ingest, checks, figures
from horror_pipeline_tests.tmdb.fake import FakeTmdb, document, film


@pytest.fixture
def tmdb() -> FakeTmdb:
    return FakeTmdb([film(number, f"2020-{number:02}-10") for number in range(1, 6)])


@pytest.fixture
def ingest(engine: Engine, tmdb: FakeTmdb) -> Iterator[Ingest]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield Ingest(engine, tmdb, instance)


def test_every_document_becomes_a_row_or_a_rejection(ingest: Ingest, tmdb: FakeTmdb) -> None:
    tmdb.documents[2] = document(2, title="", original_title="")
    tmdb.documents[3] = document(3, runtime=-5, vote_average=11)
    tmdb.gone.add(4)
    result = ingest.run()
    assert ingest.rows("SELECT tmdb_id FROM movies ORDER BY 1") == [(1,), (3,), (5,)]
    assert ingest.rows("SELECT record_key, reason FROM raw.rejected_records") == [("2", "no title")]
    assert ingest.rows("SELECT runtime_minutes, release_date::text FROM movies WHERE tmdb_id = 3") == [
        (None, "2020-05-05")
    ]
    told = figures(result, "movies", "2020")
    assert {name: told[name] for name in ("new", "changed", "unchanged", "rejected", "gone")} == {
        "new": 3,
        "changed": 0,
        "unchanged": 0,
        "rejected": 1,
        "gone": 1,
    }
    assert told["values_dropped"] == {"runtime": 1}  # the listing's vote_average is newer, and fine
    assert not checks(result)["few_are_rejected"].passed


def test_a_second_run_over_the_same_input_changes_no_row(ingest: Ingest) -> None:
    ingest.run()
    before = ingest.rows("SELECT xmin::text, movies.* FROM movies ORDER BY tmdb_id")
    ingest.now += dt.timedelta(hours=1)
    told = figures(ingest.run(movies.movies), "movies", "2020")
    assert (told["new"], told["changed"], told["unchanged"]) == (0, 0, 5)
    assert figures(ingest.run(), "movies", "2020")["unchanged"] == 5  # nor does a second sweep of the day
    assert ingest.rows("SELECT xmin::text, movies.* FROM movies ORDER BY tmdb_id") == before


def test_the_day_s_listing_gives_popularity_and_when_it_was_seen(ingest: Ingest, tmdb: FakeTmdb) -> None:
    ingest.run()
    ingest.now += dt.timedelta(days=1)
    for one in tmdb.films:
        one["popularity"] = 7.5
    told = figures(ingest.run(raw.discover_pages, movies.movies), "movies", "2020")
    assert told["changed"] == 5
    query = "SELECT DISTINCT popularity, observed_at, first_seen_at, details_fetched_at FROM movies"
    assert ingest.rows(query) == [(7.5, NOW + dt.timedelta(days=1), NOW, NOW)]


def test_observed_at_moves_once_a_day_even_where_nothing_else_does(ingest: Ingest) -> None:
    ingest.run()
    ingest.now += dt.timedelta(days=1)
    ingest.run(raw.discover_pages, movies.movies)
    assert ingest.rows("SELECT DISTINCT observed_at FROM movies") == [(NOW + dt.timedelta(days=1),)]


def test_a_film_that_is_no_horror_any_more_stays_as_it_last_was(ingest: Ingest, tmdb: FakeTmdb) -> None:
    ingest.run()
    tmdb.documents[1] = document(1, title="Renamed", genres=[{"id": 18, "name": "Drama"}])
    with ingest.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE raw.movie_details SET missing_parts = '{credits}' WHERE tmdb_id = 1")
    ingest.now += dt.timedelta(days=1)
    ingest.run()
    assert ingest.value("SELECT title FROM movies WHERE tmdb_id = 1") == "Film 1"
    assert ingest.rows("SELECT record_key, reason FROM raw.rejected_records") == [
        ("1", "of no genre that is collected: Drama")
    ]


def test_a_gone_film_stays_with_the_moment_it_went(ingest: Ingest, tmdb: FakeTmdb) -> None:
    ingest.run()
    tmdb.gone.add(2)
    with ingest.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE raw.movie_details SET missing_parts = '{credits}' WHERE tmdb_id = 2")
    ingest.now += dt.timedelta(days=1)
    ingest.run()
    assert ingest.rows("SELECT title, gone_at FROM movies WHERE tmdb_id = 2") == [("Film 2", ingest.now)]


def test_a_popularity_far_outside_the_catalogue_is_kept_and_shown_to_a_person(ingest: Ingest, tmdb: FakeTmdb) -> None:
    assert checks(ingest.run())["values_are_credible"].passed
    ingest.now += dt.timedelta(days=1)
    tmdb.films[1]["popularity"] = 1e8
    check = checks(ingest.run())["values_are_credible"]
    assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert check.description is not None
    assert "film 2 has popularity 1e+08" in check.description
    assert ingest.value("SELECT popularity FROM movies WHERE tmdb_id = 2") == 1e8
