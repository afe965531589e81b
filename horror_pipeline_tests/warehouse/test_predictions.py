from __future__ import annotations

import datetime as dt
from typing import Any

from sqlalchemy import Engine

from horror_pipeline.warehouse import predictions
from horror_pipeline.warehouse.bulk import copy_rows
from horror_pipeline.warehouse.tables import model_predictions
from horror_pipeline_tests.warehouse.rows import DAY, NOW, fill, movie, prediction


def test_a_week_is_kept_whole_and_then_the_last_batch_of_a_day(engine: Engine) -> None:
    kept = [NOW, NOW - dt.timedelta(hours=5), NOW - 7 * DAY, NOW - 9 * DAY, NOW - 179 * DAY]
    gone = [NOW - 9 * DAY - dt.timedelta(hours=3), NOW - 9 * DAY - dt.timedelta(hours=11), NOW - 181 * DAY]
    with engine.begin() as connection:
        copy_rows(connection, model_predictions, [prediction(at, number) for at in (*kept, *gone) for number in (1, 2)])
        assert predictions.thin_batches(connection, NOW, 180) == 2 * len(gone)
        assert predictions.batches(connection, NOW + DAY) == sorted(kept, reverse=True)
        assert predictions.thin_batches(connection, NOW, 180) == 0


def test_batches_are_found_between_two_moments(engine: Engine) -> None:
    every = [NOW - days * DAY for days in range(6)]
    with engine.begin() as connection:
        assert predictions.batches(connection, NOW) == []
        copy_rows(connection, model_predictions, [prediction(at) for at in every])
        assert predictions.batches(connection, NOW, NOW - 3 * DAY) == every[1:4]


def test_top_predictions_come_in_the_order_asked_for(engine: Engine) -> None:
    fill(engine, "movies", *(movie(number) for number in (1, 2, 3, 4)))
    with engine.begin() as connection:
        copy_rows(
            connection,
            model_predictions,
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
