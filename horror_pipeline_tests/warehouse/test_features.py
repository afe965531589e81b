from __future__ import annotations

import datetime as dt
import io

import pytest
from sqlalchemy import Engine, text

from horror_pipeline.warehouse import bulk, features
from horror_pipeline.warehouse.tables import movie_features
from horror_pipeline_tests.warehouse.rows import DAY, NOW, TODAY, fill, movie, snapshot


@pytest.mark.parametrize(
    "change",
    [
        "INSERT INTO movies SELECT (jsonb_populate_record(movies, '{\"tmdb_id\": 9}')).* FROM movies WHERE tmdb_id = 1",
        "UPDATE movies SET observed_at = observed_at + interval '1 hour' WHERE tmdb_id = 1",
        "UPDATE movies SET details_fetched_at = details_fetched_at + interval '1 hour' WHERE tmdb_id = 1",
        "UPDATE movies SET gone_at = observed_at WHERE tmdb_id = 2",
        "DELETE FROM movies WHERE tmdb_id = 2",
        f"UPDATE movie_snapshots SET popularity = 7 WHERE snapshot_date = '{TODAY}'",
        f"DELETE FROM movie_snapshots WHERE snapshot_date < '{TODAY}'",
    ],
    ids=["new film", "observed anew", "read anew", "gone", "deleted", "newest day", "missing day"],
)
def test_the_fingerprint_changes_with_what_models_learn_from(engine: Engine, change: str) -> None:
    fill(engine, "movies", movie(1), movie(2))
    for back in range(2):
        fill(engine, "movie_snapshots", snapshot(TODAY - back * DAY))
    with engine.begin() as connection:
        before = features.training_fingerprint(connection)
        assert features.training_fingerprint(connection) == before
        connection.execute(text(change))
        assert features.training_fingerprint(connection) != before


def test_features_are_read_as_columns_where_unknown_is_empty_and_a_flag_a_number(engine: Engine) -> None:
    fill(engine, "movies", movie(1), movie(2))
    described = {"stage": "after_release", "release_date": NOW.date(), "original_language": "nan"}
    with engine.begin() as connection:
        rows = [
            {"tmdb_id": 2, "popularity": 0.1, "is_english": True, **described},
            {"tmdb_id": 1, "popularity": None, "is_english": False, **described},
        ]
        names = {column.name: None for column in movie_features.columns if column.nullable}
        features.replace_features(connection, [names | row for row in rows], NOW)
        file = io.BytesIO()
        bulk.copy_out(connection, features.described_films(), file)
    header, first, second = (line.split(",") for line in file.getvalue().decode().splitlines())
    told = {name: (one, two) for name, one, two in zip(header, first, second, strict=True)}
    assert told["tmdb_id"] == ("1", "2")
    assert told["popularity"] == ("", "0.1")
    assert told["is_english"] == ("0", "1")
    assert told["original_language"] == ("nan", "nan")


def test_an_empty_catalogue_has_a_fingerprint_and_was_never_trained_on(engine: Engine) -> None:
    with engine.begin() as connection:
        assert features.training_fingerprint(connection) != features.state(connection, features.PREDICTIONS_STEP)
        features.set_state(connection, features.PREDICTIONS_STEP, "a", NOW)
        features.set_state(connection, features.PREDICTIONS_STEP, "b", NOW)
        assert features.state(connection, features.PREDICTIONS_STEP) == "b"


def test_popularity_before_release_is_that_of_the_last_day_before_it(engine: Engine) -> None:
    release_dates = {1: TODAY - 5 * DAY, 2: TODAY + 9 * DAY, 3: None, 4: TODAY - 20 * DAY, 5: TODAY - 5 * DAY}
    fill(engine, "movies", *(movie(film, release_date=day) for film, day in release_dates.items()))
    # On the day of its release and after it, a film draws a thousand times as much: none of that may be told.
    drawn = [(8, 2.0), (6, 3.0), (5, 3_000.0), (4, 5_000.0), (0, 9_000.0)]
    days = [snapshot(TODAY - ago * DAY, film, popularity=value) for film in (1, 2, 3) for ago, value in drawn]
    fill(engine, "movie_snapshots", *days, snapshot(TODAY - 10 * DAY, 5, popularity=4.0))

    def told(since: dt.date | None) -> dict[int, float | None]:
        with engine.connect() as connection:
            rows = connection.execute(features.films_to_describe(since)).mappings()
            return {row["tmdb_id"]: row["prerelease_popularity"] for row in rows}

    assert told(None) == {1: 3.0, 2: 9_000.0, 3: 9_000.0, 4: None, 5: 4.0}
    assert told(TODAY - 7 * DAY) == {1: 3.0, 2: 9_000.0, 3: 9_000.0, 4: None, 5: None}
    assert told(TODAY - 5 * DAY)[1] is None
