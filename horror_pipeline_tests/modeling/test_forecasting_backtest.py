from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from horror_pipeline.modeling.forecasting import backtest, residuals
from horror_pipeline.modeling.forecasting.backtest import clustered_z, judge, shift, shrinkage
from horror_pipeline.modeling.forecasting.change_model import ChangeModel, changes
from horror_pipeline.modeling.forecasting.features import dates_of
from horror_pipeline.modeling.forecasting.residuals import (
    DEFAULT_STEP,
    LEVELS,
    calibrate,
    common_spread,
    volatility_exponent,
)
from horror_pipeline_tests.modeling.series import day, history, released, walking

FILMS, DAYS = 200, 14


def walked(merit: float, seed: int = 0) -> pd.DataFrame:
    """Forecasts of changes; a part of what is predicted happens."""
    random = np.random.default_rng(seed)
    film, on = (grid.ravel() for grid in np.meshgrid(np.arange(FILMS), np.arange(DAYS), indexing="ij"))
    origin = np.exp(random.uniform(0.5, 4.0, FILMS))[film]
    predicted = random.normal(0, 0.2, len(film))
    change = merit * predicted + random.normal(0, 0.2, len(film))
    return pd.DataFrame(
        {
            "film": film,
            "day": on,
            "origin": origin,
            "actual": shift(origin, change),
            "log_change": change,
            "predicted": predicted,
            "days_known": 28.0,
            "step": DEFAULT_STEP,
            "displacement": 0.0,
        }
    )


def test_a_change_of_the_log_is_undone_by_shift() -> None:
    values = walking(5, 10)
    change = changes(history(values), 3)
    assert np.isnan(change[:, -3:]).all()
    np.testing.assert_allclose(shift(values[:, 0], change[:, 0].astype("float64")), values[:, 3], rtol=1e-5)


def test_nothing_is_forecast_below_zero() -> None:
    assert shift(np.array([0.01]), np.array([-5.0])).tolist() == [0.0]


def test_what_comes_true_serves_and_what_does_not_is_refused() -> None:
    assert judge(walked(merit=1.0), 1.0, 1).serves
    refused = judge(walked(merit=0.0), 1.0, 1)
    assert not refused.serves
    assert refused.z < 0


def test_few_days_are_no_verdict() -> None:
    rows = walked(merit=1.0)
    verdict = judge(rows[rows["day"] < 5], 1.0, 1)
    assert not verdict.serves
    assert verdict.reason == "there are too few past days to test a model on"


def test_the_backtest_moves_shrinkage_more_the_shorter_the_horizon() -> None:
    rows = walked(merit=0.4)
    usual, weight = backtest.PRIOR_SHRINKAGE, backtest.PRIOR_WEIGHT
    assert shrinkage(rows, 1) == pytest.approx(1.0 + DAYS / (DAYS + weight) * (0.4 - 1.0), abs=0.05)
    assert shrinkage(rows, 30) == pytest.approx(usual[30] + 14 / 30 / (14 / 30 + weight) * (0.4 - usual[30]), abs=0.01)
    assert shrinkage(rows.head(0), 7) == usual[7]


def test_gains_of_one_day_are_one_piece_of_news() -> None:
    film, on = (grid.ravel() for grid in np.meshgrid(np.arange(FILMS), np.arange(DAYS), indexing="ij"))
    by_day = np.random.default_rng(1).normal(0.1, 1.0, DAYS)[on]
    alone = np.random.default_rng(1).normal(0.1, 1.0, len(on))
    assert abs(clustered_z(by_day, film, on, 1)) < 3
    assert clustered_z(alone, film, on, 1) > 4


def test_a_walk_fits_on_the_first_day_of_each_week_and_forecasts_only_known_outcomes() -> None:
    past, asked = history(walking(30, 60)), []

    def model_at(on: np.datetime64, horizon_days: int) -> ChangeModel | None:
        asked.append((on, horizon_days))
        return None

    rows = backtest.walk(past, dates_of(past, released(30)), 10, model_at)
    assert asked == [(np.datetime64(day(45)), 10), (np.datetime64(day(38)), 10)]
    assert sorted(rows["day"].unique()) == [*range(38, 50)]
    assert rows["predicted"].isna().all()
    np.testing.assert_allclose(rows["actual"], past.popularity[rows["film"], rows["day"] + 10])


def test_intervals_leave_a_tenth_out_on_each_side() -> None:
    rows = walked(merit=0.0, seed=3)
    skewed = np.random.default_rng(3).exponential(0.3, len(rows))
    skewed -= np.median(skewed)
    reach = calibrate(rows.assign(log_change=skewed), 0.0, 7, 0.0)
    assert reach is not None
    lower, upper = reach.bounds(rows["origin"].to_numpy(), rows)
    came = shift(rows["origin"].to_numpy(), skewed)
    assert (came < lower).mean() == pytest.approx(0.1, abs=0.02)
    assert (came > upper).mean() == pytest.approx(0.1, abs=0.02)
    assert reach.upper[3] > -1.5 * reach.lower[3]


def test_a_move_of_all_films_widens_the_side_it_came_from() -> None:
    reach = residuals.Reach(7, (-0.5,) * len(LEVELS), (0.5,) * len(LEVELS), 0.0, 1)
    calm = walked(merit=0.0).head(10)
    fallen = calm.assign(displacement=-0.5)
    origin = calm["origin"].to_numpy()
    ends, moved = reach.bounds(origin, calm), reach.bounds(origin, fallen)
    np.testing.assert_array_equal(ends[0], moved[0])
    added = residuals.RETURNING_SHARE * 0.5
    np.testing.assert_allclose(np.log((moved[1] + 0.1) / (ends[1] + 0.1)), added, rtol=1e-6)


def test_intervals_are_wider_in_volatile_weeks_for_films_seldom_seen_and_never_below_zero() -> None:
    reach = residuals.Reach(1, (-9.0,) * len(LEVELS), (9.0,) * len(LEVELS), 0.0, 1)
    rows = walked(merit=0.0).head(10).assign(origin=0.2)
    origin = rows["origin"].to_numpy()
    lower, upper = reach.bounds(origin, rows)
    assert (lower >= 0).all()
    ratio = np.log((reach.bounds(origin, rows.assign(step=2 * DEFAULT_STEP))[1] + 0.1) / 0.3) / np.log(
        (upper + 0.1) / 0.3
    )
    np.testing.assert_allclose(ratio, 2 ** volatility_exponent(1), rtol=1e-6)
    ratio = np.log((reach.bounds(origin, rows.assign(days_known=0.0))[1] + 0.1) / 0.3) / np.log((upper + 0.1) / 0.3)
    np.testing.assert_allclose(ratio, residuals.NEW_FILM_FACTOR, rtol=1e-6)


def test_the_common_spread_is_what_the_median_film_does() -> None:
    common = np.cumsum(np.resize([0.2, -0.2], 40))
    values = np.full((30, 40), 9.9) * np.exp(common) - 0.1
    assert common_spread(history(values), 1) == pytest.approx(0.4, abs=0.01)
    assert common_spread(history(np.full((30, 40), 5.0)), 1) == 0.0
