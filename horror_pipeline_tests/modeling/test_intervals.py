from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from horror_pipeline.modeling import intervals
from horror_pipeline.modeling.intervals import WINDOW, Interval
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
            "release_date": pd.Timestamp("2010-01-01") + pd.to_timedelta(np.arange(count), unit="D"),
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
    changed = walk["position"] >= 900  # half of the newest block
    moved = intervals.with_bounds(BEFORE, walk.assign(actual=walk["actual"].where(~changed, 9.0)), "ours")
    known = bounds["position"] < 920  # a block has ten parts of 20 films, each calibrated on the films before the part
    pd.testing.assert_series_equal(bounds["upper"][known], moved["upper"][known])
    assert (bounds["upper"][~known] < moved["upper"][~known]).all()
    assert bounds["position"].min() == 20  # nothing is earlier than the first part


def test_films_of_a_day_do_not_calibrate_one_another() -> None:
    walk = forward()
    one_day = walk.assign(release_date=walk["release_date"].where(walk["block"] != "o4", walk["release_date"].max()))
    other = one_day.assign(actual=one_day["actual"].where(one_day["block"] != "o4", 9.0))
    first, second = (intervals.with_bounds(BEFORE, each, "ours")["upper"] for each in (one_day, other))
    pd.testing.assert_series_equal(first, second)


def test_only_the_newest_films_calibrate() -> None:
    random = np.random.default_rng(0)
    wild, calm = random.normal(0, 5, 2_000), random.normal(0, 0.5, WINDOW)
    actual = np.concatenate([wild, calm])
    found = intervals.calibrate(BEFORE, actual, np.zeros(len(actual)), np.ones(len(actual)), np.full(len(actual), OLD))
    assert found.half_widths[-1] == pytest.approx(1.28 * 0.5, rel=0.15)
    assert found.films == WINDOW


def test_ratings_of_few_votes_have_wider_intervals() -> None:
    interval = Interval(ages=(0.0,), half_widths=(1.0,), floor=0.0, offset=0.0, films=300)
    lower, upper = interval.bounds(RATING, np.array([5.0, 5.0]), np.array([2.0, 5_000.0]), np.full(2, OLD))
    width = upper - lower
    assert width[0] > 2 * width[1] > 0


def test_bounds_stay_within_what_the_target_can_be() -> None:
    wide = Interval(ages=(0.0,), half_widths=(900.0,), floor=0.0, offset=0.01, films=300)
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
    assert small.half_widths == pytest.approx(large.half_widths)
    lower, upper = large.bounds(POPULARITY, np.array([100.0]), np.array([1.0]), np.array([OLD]))
    assert upper[0] / 100 == pytest.approx(100 / lower[0], rel=0.05)


def test_one_film_calibrates_a_little() -> None:
    found = intervals.calibrate(BEFORE, np.array([3.0]), np.array([5.0]), np.ones(1), np.full(1, OLD))
    assert set(found.half_widths) == {2.0}


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
    random, new = np.random.default_rng(3), age_days < OLD
    predicted = np.exp(random.normal(1, 1, len(age_days)))
    actual = predicted * np.exp(random.normal(0, 0.3, len(age_days)) * np.where(new, spread_of_new, 1.0))
    return intervals.calibrate(POPULARITY, actual, predicted, np.ones(len(age_days)), age_days)


@pytest.mark.parametrize("spread", [1.0, 3.0])
def test_popularity_of_new_and_upcoming_films_is_as_uncertain_as_that_of_other_new_ones(spread: float) -> None:
    found = of_ages(spread, np.tile([30.0, OLD], WINDOW // 2))
    new, old = np.interp([30.0, OLD], found.ages, found.half_widths)
    assert new / old == pytest.approx(spread, rel=0.25)
    lower, upper = found.bounds(POPULARITY, np.full(3, 9.0), np.ones(3), np.array([OLD, 30, 0]))
    assert upper[2] == pytest.approx(upper[1], rel=0.2)
    assert lower[2] == pytest.approx(lower[1], rel=0.2)


def test_where_few_films_of_an_age_are_known_their_intervals_are_wider() -> None:
    few = np.concatenate([np.full(WINDOW - 3, OLD), [30.0, 20.0, 10.0]])
    found = of_ages(1.0, few)
    assert found.half_widths[0] > 1.5 * found.half_widths[-1]
