from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

import dagster as dg
import pytest
from sqlalchemy import Engine

from horror_pipeline.defs.other_movies import other_movies
from horror_pipeline.settings import Settings
from horror_pipeline_tests.defs.runs import CATALOGUE, Ingest, figures
from horror_pipeline_tests.tmdb.fake import FakeTmdb, document, film

pytestmark = pytest.mark.integration

STORED = "SELECT tmdb_id, listed_year, genres FROM other_movies ORDER BY 1"


@pytest.fixture
def ingest(engine: Engine) -> Iterator[Ingest]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield Ingest(engine, FakeTmdb(), instance)


def test_released_films_of_other_genres_are_stored_as_listed_without_their_details(ingest: Ingest) -> None:
    ingest.tmdb.films = [
        film(1),
        film(2, genre_ids=[18, 53], vote_average=7.1, popularity=3.5),
        film(3, "2021-01-02", genre_ids=[]),
        film(4, vote_count=9, genre_ids=[18]),
        film(5, "2027-01-01", genre_ids=[18]),
    ]
    result = ingest.run(other_movies)
    assert ingest.rows(STORED) == [(2, 2020, ["Drama", "Thriller"]), (3, 2021, [])]
    query = "SELECT title, original_language, release_date, popularity, vote_average, vote_count, observed_at"
    stored = ("Film 2", "en", dt.date(2020, 5, 5), 3.5, 7.1, 100, ingest.now)
    assert ingest.rows(f"{query} FROM other_movies WHERE tmdb_id = 2") == [stored]
    told = figures(result, "other_movies", "2020")
    assert (told["dagster/partition_row_count"], told["pages"]) == (1, 1)
    assert ingest.tmdb.asked == {"/discover/movie": 2}


def test_horror_stays_out_where_tmdb_ignores_the_filter(ingest: Ingest) -> None:
    ingest.tmdb.films = [film(1), film(2, genre_ids=[18])]
    listed = ingest.tmdb.listed
    ingest.tmdb.listed = lambda query: listed({k: v for k, v in query.items() if k != "without_genres"})  # type: ignore[method-assign]
    ingest.run(other_movies)
    assert ingest.rows(STORED) == [(2, 2020, ["Drama"])]


def test_a_year_is_replaced_and_a_film_that_moved_moves(ingest: Ingest) -> None:
    ingest.tmdb.films = [film(1, genre_ids=[18]), film(2, genre_ids=[18])]
    ingest.run(other_movies)
    ingest.tmdb.films = [film(2, "2021-02-02", genre_ids=[18])]
    ingest.run(other_movies)
    assert ingest.rows(STORED) == [(2, 2021, ["Drama"])]


def test_a_listing_of_moving_pages_is_read_once(ingest: Ingest) -> None:
    ingest.tmdb.films = [film(number, genre_ids=[18]) for number in range(1, 31)]
    ingest.tmdb.promised = 2
    ingest.run(other_movies)
    assert ingest.value("SELECT count(*) FROM other_movies") == 30
    assert ingest.tmdb.asked == {"/discover/movie": 3}


def test_nothing_is_requested_where_models_learn_from_horror_alone(ingest: Ingest) -> None:
    ingest.settings = Settings(_env_file=None, horror_learn_from="horror")
    ingest.run(other_movies)
    assert not ingest.tmdb.asked


@pytest.mark.parametrize(
    ("genres", "collected", "others"),
    [(("Horror",), [1], [2, 3, 4]), (("Horror", "Thriller"), [1, 2], [3, 4]), ("all", [1, 2, 3, 4], [])],
)
def test_what_is_collected_follows_the_genres_and_others_are_the_rest(
    ingest: Ingest, genres: object, collected: list[int], others: list[int]
) -> None:
    names = {27: "Horror", 53: "Thriller", 18: "Drama"}
    ingest.tmdb.films = [film(key, genre_ids=ids) for key, ids in enumerate([[27, 53], [53], [18], []], start=1)]
    for one in ingest.tmdb.films:
        of = [{"id": genre, "name": names[genre]} for genre in one["genre_ids"]]
        ingest.tmdb.documents[one["id"]] = document(one["id"], genres=of)
    ingest.run(other_movies)
    ingest.settings = Settings(_env_file=None, horror_genres=genres)
    ingest.run(*CATALOGUE, other_movies)
    assert [row for (row,) in ingest.rows("SELECT tmdb_id FROM movies ORDER BY 1")] == collected
    assert [row for (row,) in ingest.rows("SELECT tmdb_id FROM other_movies ORDER BY 1")] == others
    assert ingest.tmdb.asked["details"] == len(collected)


def test_the_whole_catalogue_is_not_asked_for(ingest: Ingest) -> None:
    ingest.settings = Settings(_env_file=None, horror_min_votes=0)
    ingest.run(other_movies)
    assert {query["vote_count.gte"] for query in ingest.tmdb.queries} == {"10"}
