from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from sqlalchemy import Engine, insert, text

from horror_pipeline.warehouse import features, models, outcomes, predictions, tables

NOW = dt.datetime(2026, 11, 22, 12, tzinfo=dt.UTC)
TODAY = NOW.date()
DAY = dt.timedelta(days=1)


def movie(tmdb_id: int, **columns: Any) -> dict[str, Any]:
    return {
        "tmdb_id": tmdb_id,
        "title": f"Film {tmdb_id}",
        "release_date": dt.date(2020, 1, 1),
        "genres": ["Horror"],
        "is_adult": False,
        "popularity": 5.0,
        "vote_average": 6.0,
        "vote_count": 100,
        "first_seen_at": NOW,
        "observed_at": NOW,
        "details_fetched_at": NOW,
        "gone_at": None,
        **columns,
    }


def prediction(at: dt.datetime, tmdb_id: int = 1, **columns: Any) -> dict[str, Any]:
    return {
        "predicted_at": at,
        "tmdb_id": tmdb_id,
        "stage": "after_release",
        "predicted_popularity": 4.0,
        "popularity_lower": 2.0,
        "popularity_upper": 6.0,
        "predicted_vote_average": 6.0,
        "vote_average_lower": 5.0,
        "vote_average_upper": 7.0,
        "actual_popularity": 5.0,
        "actual_vote_average": 6.5,
        "actual_vote_count": 100,
        "popularity_model_version": "p",
        "vote_average_model_version": "r",
        **columns,
    }


def snapshot(day: dt.date, tmdb_id: int = 1, **columns: Any) -> dict[str, Any]:
    return {
        "tmdb_id": tmdb_id,
        "snapshot_date": day,
        "popularity": 5.0,
        "popularity_percentile": 0.5,
        "vote_count": 120,
        "vote_average": 7.5,
        "source": "listing",
        "export_date": None,
        **columns,
    }


def fill(engine: Engine, table: str, *rows: dict[str, Any]) -> None:
    with engine.begin() as connection:
        if table == "movie_snapshots":
            for month in {row["snapshot_date"].replace(day=1) for row in rows}:
                name, end = f"movie_snapshots_{month:%Y_%m}", (month + 31 * DAY).replace(day=1)
                connection.execute(
                    text(
                        f"CREATE TABLE IF NOT EXISTS {name} PARTITION OF movie_snapshots "
                        f"FOR VALUES FROM ('{month}') TO ('{end}')"
                    )
                )
        connection.execute(insert(tables.TABLES[table]), list(rows))


def all_of(engine: Engine, query: str) -> list[tuple[Any, ...]]:
    with engine.connect() as connection:
        return [tuple(row) for row in connection.execute(text(query))]


# -- what is new -------------------------------------------------------------------------------------------------------


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


# -- models ------------------------------------------------------------------------------------------------------------


def version(name: str, model: str = "rating_after_release", **columns: Any) -> dict[str, Any]:
    return {
        "model_version": name,
        "model_name": model,
        "algorithm": "blend",
        "trained_at": NOW,
        "training_rows": 100,
        "data_fingerprint": "data",
        "metrics": {"mean": {"mae": 0.5, "r2": float("nan")}},
        "baseline_metrics": {},
        "importance": {"is_drama": 0.1},
        "library_versions": {"numpy": "2"},
        "artifact": b"bytes",
        **columns,
    }


def test_one_champion_per_model_and_only_it_has_an_artefact(engine: Engine) -> None:
    with engine.begin() as connection:
        for name, model in (("a", "m"), ("b", "m"), ("c", "other")):
            models.promote(connection, version(name, model))
        champion = models.champion(connection, "m")
        assert champion is not None
        assert (champion["model_version"], bytes(champion["artifact"])) == ("b", b"bytes")
        assert models.champion(connection, "none") is None
    assert all_of(engine, "SELECT model_version, is_champion, artifact IS NULL FROM model_versions ORDER BY 1") == [
        ("a", False, True),
        ("b", True, False),
        ("c", True, False),
    ]


def test_a_version_may_become_champion_again(engine: Engine) -> None:
    with engine.begin() as connection:
        for name in ("a", "b", "a"):
            models.promote(connection, version(name))
    assert all_of(engine, "SELECT model_version, is_champion FROM model_versions ORDER BY 1") == [
        ("a", True),
        ("b", False),
    ]


def test_the_history_of_a_model_is_in_order_of_time(engine: Engine) -> None:
    with engine.begin() as connection:
        for days, name in enumerate("abc"):
            models.promote(connection, version(name, trained_at=NOW + days * DAY))
        found = models.version_history(connection, "rating_after_release", limit=2)
    assert [row["trained_at"] for row in found] == [NOW + DAY, NOW + 2 * DAY]


def test_many_trainings_leave_a_small_table(engine: Engine) -> None:
    artefact = bytes(range(256)) * 1_200
    for number in range(40):
        with engine.begin() as connection:
            for model in "abcd":
                # A little different each time, as a real one is.
                row = version(f"{model}{number}", model, artifact=artefact + str(number).encode())
                models.promote(connection, row)
        models.vacuum_versions(engine)
    [(size,)] = all_of(engine, "SELECT pg_total_relation_size('model_versions')")
    assert size < 12e6  # forty of them would be 49 MB, held together


# -- predictions -------------------------------------------------------------------------------------------------------


def test_a_week_is_kept_whole_and_then_the_last_batch_of_a_day(engine: Engine) -> None:
    kept = [NOW, NOW - dt.timedelta(hours=5), NOW - 7 * DAY, NOW - 9 * DAY, NOW - 179 * DAY]
    gone = [NOW - 9 * DAY - dt.timedelta(hours=3), NOW - 9 * DAY - dt.timedelta(hours=11), NOW - 181 * DAY]
    with engine.begin() as connection:
        predictions.write_batch(connection, [prediction(at, number) for at in (*kept, *gone) for number in (1, 2)])
        assert predictions.thin_batches(connection, NOW, 180) == 2 * len(gone)
        assert predictions.batches(connection, NOW + DAY) == sorted(kept, reverse=True)
        assert predictions.thin_batches(connection, NOW, 180) == 0


def test_batches_are_found_between_two_moments(engine: Engine) -> None:
    every = [NOW - days * DAY for days in range(6)]
    with engine.begin() as connection:
        assert predictions.batches(connection, NOW) == []
        predictions.write_batch(connection, [prediction(at) for at in every])
        assert predictions.batches(connection, NOW, NOW - 3 * DAY) == every[1:4]


def test_top_predictions_come_in_the_order_asked_for(engine: Engine) -> None:
    fill(engine, "movies", *(movie(number) for number in (1, 2, 3, 4)))
    with engine.begin() as connection:
        predictions.write_batch(
            connection,
            [
                prediction(NOW, 1, predicted_popularity=1.0, actual_vote_average=4.0),
                prediction(NOW, 2, predicted_popularity=9.0, actual_vote_average=9.0),
                prediction(NOW, 3, predicted_popularity=None, actual_vote_average=1.0, actual_vote_count=3),
                prediction(NOW, 4, predicted_popularity=5.0, stage="before_release", actual_vote_average=None),
            ],
        )

        def ids(**options: Any) -> list[int]:
            return [row["tmdb_id"] for row in predictions.top_predictions(connection, **options)]

        assert ids() == [2, 4, 1, 3]
        assert ids(stage="before_release") == [4]
        assert ids(order="undervalued") == [1, 2]  # the third has too few votes to be called anything
        assert ids(order="overvalued", limit=1) == [2]


# -- outcomes ----------------------------------------------------------------------------------------------------------

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


def test_what_was_predicted_before_release_is_judged_once_the_film_is_out(engine: Engine) -> None:
    fill(engine, "movies", movie(1, release_date=NEXT), movie(2, release_date=NEXT + DAY), movie(3, release_date=TODAY))
    fill(engine, "movie_snapshots", *(snapshot(NEXT, number) for number in (1, 2, 3)))
    before = {"stage": "before_release"}
    fill(
        engine,
        "model_predictions",
        *(prediction(NOW - days * DAY, number, **before) for days in (0, 1, 40) for number in (1, 2, 3)),
    )
    with engine.begin() as connection:
        assert outcomes.replace_outcomes(connection, NEXT) == 2
    assert all_of(engine, "SELECT tmdb_id, horizon, predicted_at FROM prediction_outcomes ORDER BY 1") == [
        (1, "release", NOW),
        (3, "1d", NOW),
    ]


def test_a_day_without_votes_judges_popularity_alone(engine: Engine) -> None:
    fill(engine, "movies", movie(1))
    fill(engine, "movie_snapshots", snapshot(NEXT, vote_count=None, vote_average=None, source="export"))
    fill(engine, "model_predictions", prediction(NOW))
    with engine.begin() as connection:
        outcomes.replace_outcomes(connection, NEXT)
        found = outcomes.accuracy(connection, NEXT, 10)
    assert [(row["target"], row["films"], row["mae"], row["coverage"]) for row in found] == [("popularity", 1, 1, 1)]


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
