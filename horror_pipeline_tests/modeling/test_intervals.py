from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from horror_pipeline.modeling import intervals
from horror_pipeline.modeling.intervals import WINDOW, Interval
from horror_pipeline.modeling.specs import MODELS

RATING, POPULARITY = MODELS["rating_after_release"], MODELS["popularity_after_release"]
BEFORE = MODELS["rating_before_release"]


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
    found = intervals.calibrate(BEFORE, actual, np.zeros(len(actual)), np.ones(len(actual)))
    assert found.half_width == pytest.approx(1.28 * 0.5, rel=0.15)
    assert found.films == WINDOW


def test_ratings_of_few_votes_have_wider_intervals() -> None:
    interval = Interval(half_width=1.0, floor=0.0, offset=0.0, films=300)
    lower, upper = interval.bounds(RATING, np.array([5.0, 5.0]), np.array([2.0, 5_000.0]))
    width = upper - lower
    assert width[0] > 2 * width[1] > 0


def test_bounds_stay_within_what_the_target_can_be() -> None:
    wide = Interval(half_width=900.0, floor=0.0, offset=0.01, films=300)
    for spec, highest in ((RATING, 10.0), (POPULARITY, np.inf)):
        lower, upper = wide.bounds(spec, np.array([0.0, 9.0]), np.array([np.nan, 10.0]))
        assert (lower == 0).all()
        assert np.isfinite(upper).all()
        assert (upper <= highest).all()


def test_popularity_is_off_by_a_factor_whatever_its_scale() -> None:
    random = np.random.default_rng(1)
    predicted = np.exp(random.normal(0, 1, 500))
    actual = predicted * np.exp(random.normal(0, 0.3, 500))
    small, large = (intervals.calibrate(POPULARITY, actual * k, predicted * k, np.ones(500)) for k in (0.01, 100))
    assert small.half_width == pytest.approx(large.half_width)
    lower, upper = large.bounds(POPULARITY, np.array([100.0]), np.array([1.0]))
    assert upper[0] / 100 == pytest.approx(100 / lower[0], rel=0.05)


def test_one_film_calibrates_a_little() -> None:
    assert intervals.calibrate(BEFORE, np.array([3.0]), np.array([5.0]), np.ones(1)).half_width == 2


def test_hardly_a_film_is_below_popularity_s_floor_and_no_interval_either() -> None:
    random = np.random.default_rng(2)
    predicted = 4 + np.exp(random.normal(0, 1, 500))
    actual = 4 + (predicted - 4) * np.exp(random.normal(0, 1, 500))
    found = intervals.calibrate(POPULARITY, actual, predicted, np.ones(500))
    lower, upper = found.bounds(POPULARITY, np.array([4.2, 40.0, 3.0]), np.ones(3))
    assert (lower[:2] > 3.8).all()
    assert upper[1] - 40 > 10 * (upper[0] - 4.2)  # what is far above the floor may be far off
    assert lower[2] <= 3.0 <= upper[2]
