from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from horror_pipeline.modeling import intervals
from horror_pipeline.modeling.intervals import NEW_DAYS, NEW_FACTOR, WINDOW, Interval
from horror_pipeline.modeling.specs import MODELS

RATING, POPULARITY = MODELS["rating_after_release"], MODELS["popularity_after_release"]
BEFORE = MODELS["rating_before_release"]
OLD = 1_000.0
"""Days since the release of a film that is not new."""


def forward(count: int = 1_000, noise: float = 1.0, blocks: int = 5) -> pd.DataFrame:
    """A walk whose predictions are off by Gaussian noise."""
    random = np.random.default_rng(4)
    predicted = random.uniform(3, 7, count)
    return pd.DataFrame(
        {
            "position": np.arange(count),
            "block": [f"o{place * blocks // count}" for place in range(count)],
            "is_scored_block": True,
            "is_scored": True,
            "votes": 1_000.0,
            "age_days": 1_000.0,
            "actual": predicted + random.normal(0, noise, count),
            "ours": predicted,
        }
    )


def test_eight_of_ten_films_are_inside() -> None:
    found = intervals.coverage(BEFORE, forward(), "ours")
    assert found["coverage"] == pytest.approx(0.8, abs=0.04)
    assert found["width"] == pytest.approx(2 * 1.2816, rel=0.1)


def test_films_that_are_scored_never_calibrated() -> None:
    walk = forward()
    bounds = intervals.with_bounds(BEFORE, walk, "ours")
    newest = walk["block"] == "o4"
    other = walk.assign(actual=walk["actual"].where(~newest, 9.0))
    moved = intervals.with_bounds(BEFORE, other, "ours")
    pd.testing.assert_series_equal(bounds["upper"], moved["upper"])
    assert "o0" not in set(bounds["block"])  # there is nothing earlier to calibrate it on


def test_only_the_newest_films_calibrate() -> None:
    random = np.random.default_rng(0)
    wild, calm = random.normal(0, 5, 2_000), random.normal(0, 0.5, WINDOW)
    actual = np.concatenate([wild, calm])
    found = intervals.calibrate(BEFORE, actual, np.zeros(len(actual)), np.ones(len(actual)), np.full(len(actual), OLD))
    assert found.half_width == pytest.approx(1.28 * 0.5, rel=0.15)
    assert found.films == WINDOW


def test_ratings_of_few_votes_have_wider_intervals() -> None:
    interval = Interval(half_width=1.0, new_factor=1.0, floor=0.0, offset=0.0, films=300)
    lower, upper = interval.bounds(RATING, np.array([5.0, 5.0]), np.array([2.0, 5_000.0]), np.full(2, OLD))
    width = upper - lower
    assert width[0] > 2 * width[1] > 0


def test_bounds_stay_within_what_the_target_can_be() -> None:
    wide = Interval(half_width=900.0, new_factor=1.0, floor=0.0, offset=0.01, films=300)
    for spec, highest in ((RATING, 10.0), (POPULARITY, np.inf)):
        lower, upper = wide.bounds(spec, np.array([0.0, 9.0]), np.array([np.nan, 10.0]), np.array([0.0, OLD]))
        assert (lower == 0).all()
        assert np.isfinite(upper).all()
        assert (upper <= highest).all()


def test_popularity_is_off_by_a_factor_whatever_its_scale() -> None:
    random = np.random.default_rng(1)
    predicted = np.exp(random.normal(0, 1, 500))
    actual = predicted * np.exp(random.normal(0, 0.3, 500))
    small, large = (
        intervals.calibrate(POPULARITY, actual * k, predicted * k, np.ones(500), np.full(500, OLD)) for k in (0.01, 100)
    )
    assert small.half_width == pytest.approx(large.half_width)
    lower, upper = large.bounds(POPULARITY, np.array([100.0]), np.array([1.0]), np.array([OLD]))
    assert upper[0] / 100 == pytest.approx(100 / lower[0], rel=0.05)


def test_one_film_calibrates_a_little() -> None:
    assert intervals.calibrate(BEFORE, np.array([3.0]), np.array([5.0]), np.ones(1), np.full(1, OLD)).half_width == 2


def test_hardly_a_film_is_below_popularity_s_floor_and_no_interval_either() -> None:
    random = np.random.default_rng(2)
    predicted = 4 + np.exp(random.normal(0, 1, 500))
    actual = 4 + (predicted - 4) * np.exp(random.normal(0, 1, 500))
    found = intervals.calibrate(POPULARITY, actual, predicted, np.ones(500), np.full(500, OLD))
    lower, upper = found.bounds(POPULARITY, np.array([4.2, 40.0, 3.0]), np.ones(3), np.full(3, OLD))
    assert (lower[:2] > 3.8).all()
    assert upper[1] - 40 > 10 * (upper[0] - 4.2)  # what is far above the floor may be far off
    assert lower[2] <= 3.0 <= upper[2]


def of_ages(spread_of_new: float, age_days: np.ndarray) -> Interval:
    """The interval of films whose logarithms are off by 0.3, or by so many times that where they are new."""
    random, new = np.random.default_rng(3), age_days < NEW_DAYS
    predicted = np.exp(random.normal(1, 1, len(age_days)))
    actual = predicted * np.exp(random.normal(0, 0.3, len(age_days)) * np.where(new, spread_of_new, 1.0))
    return intervals.calibrate(POPULARITY, actual, predicted, np.ones(len(age_days)), age_days)


def test_popularity_of_new_and_upcoming_films_is_as_uncertain_as_that_of_other_new_ones() -> None:
    ages = np.tile([30.0, OLD], WINDOW // 2)
    assert of_ages(3.0, ages).new_factor == pytest.approx(3.0, rel=0.25)
    assert of_ages(1.0, ages).new_factor == pytest.approx(1.0, rel=0.25)
    lower, upper = of_ages(3.0, ages).bounds(POPULARITY, np.full(3, 9.0), np.ones(3), np.array([OLD, 30, 0]))
    assert upper[0] < upper[1] == upper[2]
    assert lower[0] > lower[1] == lower[2]


def test_where_few_new_films_are_known_their_popularity_is_taken_to_be_less_certain() -> None:
    assert of_ages(1.0, np.full(WINDOW, OLD)).new_factor == NEW_FACTOR
    assert of_ages(1.0, np.full(WINDOW, 30.0)).new_factor == 1.0  # all are measured alike
