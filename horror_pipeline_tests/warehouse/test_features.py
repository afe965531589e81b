from __future__ import annotations

import pytest
from sqlalchemy import Engine, text

from horror_pipeline.warehouse import features
from horror_pipeline_tests.warehouse.rows import NOW, fill, movie


@pytest.mark.parametrize(
    "change",
    [
        "INSERT INTO movies SELECT 9, imdb_id, title, original_title, original_language, overview, tagline, "
        "release_date, release_year, status, runtime_minutes, budget_usd, revenue_usd, collection_id, "
        "collection_name, genres, keywords, directors, cast_names, popularity, vote_average, vote_count, is_adult, "
        "poster_path, backdrop_path, first_seen_at, observed_at, details_fetched_at, gone_at FROM movies WHERE "
        "tmdb_id = 1",
        "UPDATE movies SET observed_at = observed_at + interval '1 hour' WHERE tmdb_id = 1",
        "UPDATE movies SET details_fetched_at = details_fetched_at + interval '1 hour' WHERE tmdb_id = 1",
        "UPDATE movies SET gone_at = observed_at WHERE tmdb_id = 2",
        "DELETE FROM movies WHERE tmdb_id = 2",
    ],
    ids=["new film", "observed anew", "read anew", "gone", "deleted"],
)
def test_the_fingerprint_changes_with_what_models_learn_from(engine: Engine, change: str) -> None:
    fill(engine, "movies", movie(1), movie(2))
    with engine.begin() as connection:
        before = features.training_fingerprint(connection)
        assert features.training_fingerprint(connection) == before
        connection.execute(text(change))
        assert features.training_fingerprint(connection) != before


def test_an_empty_catalogue_has_a_fingerprint_and_was_never_trained_on(engine: Engine) -> None:
    with engine.begin() as connection:
        assert features.training_fingerprint(connection) != features.last_trained_fingerprint(connection)
        features.set_state(connection, features.PREDICTIONS_STEP, "a", NOW)
        features.set_state(connection, features.PREDICTIONS_STEP, "b", NOW)
        assert features.last_trained_fingerprint(connection) == "b"
