from __future__ import annotations

import numpy as np
import pandas as pd

from horror_pipeline.modeling.forecasting.change_model import fit_change_model
from horror_pipeline.modeling.forecasting.features import FEATURES, dates_of, features
from horror_pipeline.modeling.forecasting.history import History
from horror_pipeline_tests.modeling.series import day, history, released, reverting, walking


def rows_of(past: History) -> np.ndarray:
    """The features of every film on the last day."""
    film = np.arange(len(past.tmdb_ids))
    return features(past, dates_of(past, released(99)), film, np.full(len(film), len(past.days) - 1))


def column(rows: np.ndarray, name: str) -> np.ndarray:
    return rows[:, FEATURES.index(name)]


def test_rows_are_arranged_by_film_and_day_whatever_their_order() -> None:
    frame = pd.DataFrame(
        {
            "tmdb_id": [7, 3, 7, 3],
            "snapshot_date": [day(3), day(0), day(0), day(1)],
            "popularity": [4.0, 1.0, 3.0, 2.0],
        }
    )
    for order in ([0, 1, 2, 3], [3, 1, 0, 2]):
        arranged = History.from_frame(frame.iloc[order])
        assert arranged.tmdb_ids.tolist() == [3, 7]
        assert len(arranged.days) == 4
        np.testing.assert_array_equal(arranged.popularity, [[1, 2, np.nan, np.nan], [3, np.nan, np.nan, 4]])


def test_a_past_day_knows_neither_later_values_nor_films_found_later() -> None:
    values = reverting(6, 20)
    values[2, :11] = np.nan
    past = history(values).until(day(10))
    assert past.tmdb_ids.tolist() == [101, 102, 104, 105, 106]
    assert past.days[-1] == np.datetime64(day(10))
    np.testing.assert_array_equal(past.popularity, values[[0, 1, 3, 4, 5], :11].astype("float32"))


def test_features_of_a_day_do_not_change_with_anything_after_it() -> None:
    values = reverting(6, 40)
    planted = values.copy()
    planted[:, 31:] = 99.0
    film, on = np.arange(6), np.full(6, 30)
    dates = dates_of(history(values), released(6))
    honest = features(history(values), dates, film, on)
    np.testing.assert_array_equal(features(history(planted), dates, film, on), honest)


def test_a_value_planted_in_the_past_is_seen() -> None:
    values = reverting(6, 40)
    planted = values.copy()
    planted[:, 38] = values[:, 39] * 2
    changed = column(rows_of(history(planted)), "change_1")
    np.testing.assert_allclose(changed, np.log((values[:, 39] + 0.1) / (2 * values[:, 39] + 0.1)), atol=1e-5)
    assert not np.allclose(changed, column(rows_of(history(values)), "change_1"))


def test_features_say_what_they_are_called() -> None:
    values = np.full((1, 30), 1.9)
    values[0, 22] = 3.9
    rows = rows_of(history(values))
    assert column(rows, "level")[0] == np.float32(np.log(2.0))
    assert column(rows, "change_7")[0] == np.float32(np.log(2.0)) - np.float32(np.log(4.0))
    assert column(rows, "change_8")[0] == 0
    assert column(rows, "from_month_high")[0] == column(rows, "change_7")[0]
    assert column(rows, "from_month_median")[0] == 0
    assert column(rows, "days_known")[0] == 28
    assert column(rows, "days_from_release")[0] == 29
    assert column(rows, "weekday")[0] == day(29).weekday()


def test_what_follows_each_weekday_is_learned() -> None:
    by_weekday = np.array([0.2, -0.3, 0.1, -0.1, 0.3, -0.2, 0.0])
    weekday = (history(walking(1, 60)).days.astype("int64") + 3) % 7
    common = np.concatenate([[0.0], np.cumsum(by_weekday[weekday])[:-1]])
    past = history(walking(80, 60) * np.exp(common))
    dates = dates_of(past, released(80))
    model = fit_change_model(past, dates, 1, 0)
    assert model
    np.testing.assert_allclose(model.weekday_changes, by_weekday, atol=0.03)
    film, on = np.arange(80), np.full(80, 59)
    predicted = model.predict(features(past, dates, film, on))
    np.testing.assert_allclose(np.median(predicted), by_weekday[weekday[59]], atol=0.05)


def test_a_copied_day_is_as_if_missing() -> None:
    values = walking(30, 20)
    values[:, 12] = values[:, 11]
    values[:, 15] = values[:, 9]
    trusted = history(values).trusted()
    assert np.flatnonzero(np.isnan(trusted.popularity).all(axis=0)).tolist() == [12, 15]


def test_small_films_that_stand_still_do_not_make_a_day_a_copy() -> None:
    values = np.vstack([np.full((500, 20), 0.2), walking(30, 20)])
    assert not np.isnan(history(values).trusted().popularity).any()


def test_only_the_newest_side_of_a_scale_break_is_used() -> None:
    values = walking(30, 40)
    values[:, :25] *= 8
    values[:, 24] = np.nan
    trusted = history(values).trusted()
    assert trusted.days[0] == np.datetime64(day(25))
    np.testing.assert_array_equal(trusted.popularity, values[:, 25:].astype("float32"))


def test_a_day_on_which_all_films_rise_by_a_half_is_no_scale_break() -> None:
    values = walking(30, 40)
    values[:, 25:] *= 1.5
    assert len(history(values).trusted().days) == 40


def test_what_cannot_be_popularity_is_not_used() -> None:
    values = walking(30, 20)
    values[0, 5], values[1, 6], values[2, 7], values[3, 8] = 0.0, 1e8, -3.0, np.inf
    trusted = history(values).trusted().popularity
    assert np.argwhere(np.isnan(trusted)).tolist() == [[0, 5], [1, 6], [2, 7], [3, 8]]


def test_no_observations_at_all_are_a_history_too() -> None:
    empty = History.from_frame(pd.DataFrame({"tmdb_id": [], "snapshot_date": [], "popularity": []}))
    assert empty.until(day(3)).trusted().popularity.shape == (0, 1)
