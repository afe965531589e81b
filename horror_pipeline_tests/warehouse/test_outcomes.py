from __future__ import annotations

import datetime as dt

from sqlalchemy import Engine

from horror_pipeline.warehouse import outcomes
from horror_pipeline_tests.warehouse.rows import DAY, NOW, TODAY, all_of, fill, movie, prediction, snapshot

NEXT = TODAY + DAY


def test_predictions_are_held_against_the_snapshot_a_day_a_week_and_a_month_later(engine: Engine) -> None:
    fill(engine, "movies", movie(1))
    fill(engine, "movie_snapshots", snapshot(NEXT))
    made = [NOW, NOW - dt.timedelta(hours=3), NOW - 6 * DAY, NOW - 29 * DAY, NOW - 3 * DAY, NOW + DAY]
    fill(engine, "model_predictions", *(prediction(at) for at in made))
    with engine.begin() as connection:
        assert outcomes.replace_outcomes(connection, NEXT) == 3
        assert outcomes.replace_outcomes(connection, NEXT) == 3  # again: in the place of the first
    assert all_of(
        engine,
        "SELECT predicted_at, horizon, popularity_error, is_popularity_in_interval, vote_average_error, "
        "is_vote_average_in_interval FROM prediction_outcomes ORDER BY predicted_at DESC",
    ) == [
        (NOW, "1d", 1.0, True, 1.5, False),
        (NOW - 6 * DAY, "7d", 1.0, True, 1.5, False),
        (NOW - 29 * DAY, "30d", 1.0, True, 1.5, False),
    ]


def test_what_was_predicted_before_release_is_judged_at_release_and_a_week_and_a_month_later(engine: Engine) -> None:
    since = {1: 0, 2: 7, 3: 30, 4: 1, 5: -1}
    fill(engine, "movies", *(movie(number, release_date=NEXT - days * DAY) for number, days in since.items()))
    fill(engine, "movie_snapshots", *(snapshot(NEXT, number) for number in since))
    before = {"stage": "before_release"}
    fill(
        engine,
        "model_predictions",
        *(prediction(NOW - days * DAY, number, **before) for days in (0, 7, 30, 40) for number in since),
    )
    with engine.begin() as connection:
        assert outcomes.replace_outcomes(connection, NEXT) == 3
    assert all_of(engine, "SELECT tmdb_id, horizon, predicted_at FROM prediction_outcomes ORDER BY 1") == [
        (1, "release", NOW),
        (2, "release_7d", NOW - 7 * DAY),
        (3, "release_30d", NOW - 30 * DAY),
    ]


def test_what_a_film_had_when_it_was_predicted_stands_beside_the_prediction(engine: Engine) -> None:
    fill(engine, "movies", movie(1))
    fill(engine, "movie_snapshots", snapshot(NEXT, popularity=14.0, vote_average=7.0))
    fill(engine, "model_predictions", prediction(NOW, actual_popularity=10.0, actual_vote_average=6.5))
    with engine.begin() as connection:
        outcomes.replace_outcomes(connection, NEXT)
        found = {row["target"]: row["mae_no_change"] for row in outcomes.accuracy(connection, NEXT, 10)}
    assert found == {"popularity": 4.0, "vote_average": 0.5}


def test_a_day_without_votes_judges_popularity_alone(engine: Engine) -> None:
    fill(engine, "movies", movie(1))
    fill(engine, "movie_snapshots", snapshot(NEXT, vote_count=None, vote_average=None, source="export"))
    fill(engine, "model_predictions", prediction(NOW))
    with engine.begin() as connection:
        outcomes.replace_outcomes(connection, NEXT)
        found = outcomes.accuracy(connection, NEXT, 10)
    assert [(row["target"], row["films"], row["mae"], row["coverage"]) for row in found] == [("popularity", 1, 1, 1)]


def test_a_popularity_far_outside_the_day_is_shown_and_counts_for_no_error(engine: Engine) -> None:
    films = range(1, 8)
    fill(engine, "movies", *(movie(number) for number in films))
    fill(
        engine, "movie_snapshots", *(snapshot(NEXT, number) for number in films[:-1]), snapshot(NEXT, 7, popularity=1e8)
    )
    fill(engine, "model_predictions", *(prediction(NOW, number) for number in films))
    with engine.begin() as connection:
        outcomes.replace_outcomes(connection, NEXT)
        found = {row["target"]: row for row in outcomes.accuracy(connection, NEXT, 10)}
    assert (found["popularity"]["films"], found["popularity"]["mae"], found["vote_average"]["films"]) == (6, 1.0, 7)
    query = "SELECT outcome_popularity, popularity_error, vote_average_error FROM prediction_outcomes WHERE tmdb_id = 7"
    assert all_of(engine, query) == [(1e8, None, 1.5)]


def test_accuracy_counts_films_of_enough_votes(engine: Engine) -> None:
    fill(engine, "movies", movie(1), movie(2))
    fill(engine, "movie_snapshots", snapshot(NEXT), snapshot(NEXT, 2, vote_count=3, popularity=60.0))
    fill(engine, "model_predictions", prediction(NOW), prediction(NOW, 2))
    with engine.begin() as connection:
        outcomes.replace_outcomes(connection, NEXT)
        found = outcomes.accuracy(connection, NEXT, 10)
        assert outcomes.popularity_shift(connection, NEXT) == (2, 6.5)
    assert {row["films"] for row in found} == {1}


def test_a_day_without_predictions_has_no_outcomes(engine: Engine) -> None:
    fill(engine, "movies", movie(1))
    fill(engine, "movie_snapshots", snapshot(NEXT))
    with engine.begin() as connection:
        assert outcomes.replace_outcomes(connection, NEXT) == 0
        assert outcomes.accuracy(connection, NEXT, 10) == []
        assert outcomes.popularity_shift(connection, NEXT) == (0, None)
