from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from horror_pipeline.modeling import chances, charts
from horror_pipeline.modeling.intervals import Interval, calibrate
from horror_pipeline.modeling.specs import MODELS, Floats, ModelSpec
from horror_pipeline_tests.modeling.test_intervals import forward

RATING, POPULARITY = MODELS["rating_after_release"], MODELS["popularity_before_release"]
BEFORE = MODELS["rating_before_release"]
FILMS = 20_000
OLD = np.full(300, 1_000.0)
"""Days since the release of films that are not new."""


def spread(low: float, high: float) -> Floats:
    """Two hundred values at equal steps; the newest fifty, which come last, have the same spread as the rest."""
    return np.linspace(low, high, 200).reshape(50, 4).T.ravel()


def popularities(walk: pd.DataFrame) -> pd.DataFrame:
    """The same walk on the scale of popularity."""
    return walk.assign(actual=np.exp(walk["actual"]), ours=np.exp(walk["ours"]))


@pytest.mark.parametrize("spec", [BEFORE, POPULARITY], ids=["rating", "popularity"])
def test_each_decile_of_chances_comes_as_often_as_it_says(spec: ModelSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chances, "TOP_SHARE", 0.1)  # more films, so that their share can be known
    walk = forward(FILMS, noise=0.7)
    walked = chances.of_walk(spec, popularities(walk) if spec.is_popularity else walk, "ours")
    held = chances.reliability(walked["chance"], walked["came"])
    assert held["films"].sum() == len(walked) == FILMS * 49 / 50  # nothing is before the first part of the first block
    assert (held["chance"] - held["came"]).abs().max() < 0.06
    assert held["came"].iloc[-1] > 0.3 > 0.1 > held["came"].iloc[0]


def test_films_that_are_scored_never_calibrated() -> None:
    walk = forward()
    other = walk.assign(actual=walk["actual"].where(walk["position"] < 900, 9.0))  # half of the newest block
    first, second = (chances.of_walk(BEFORE, each, "ours")["chance"] for each in (walk, other))
    pd.testing.assert_series_equal(first[:900], second[:900])  # the first part, of 20 films, is not among them
    assert (first[900:] < second[900:]).all()


def test_no_chance_is_none_or_certain() -> None:
    interval = calibrate(BEFORE, np.linspace(4, 6, 200), np.full(200, 5.0), np.ones(200), OLD[:200])
    chance = chances.chance_of(BEFORE, interval, np.array([0.0, 5.0, 10.0]), np.ones(3), 7.0)
    assert 0 < chance[0] == chance[1] < 0.01
    assert 0.99 < chance[2] < 1


def test_half_the_films_reach_the_median() -> None:
    interval = calibrate(BEFORE, spread(4, 8), np.full(200, 5.0), np.ones(200), OLD[:200])
    chance = chances.chance_of(BEFORE, interval, np.array([5.0]), np.ones(1), 6.0)
    assert chance == pytest.approx(0.5, abs=0.01)


def test_chances_follow_the_level_of_the_newest_films() -> None:
    risen = spread(4, 8) + np.where(np.arange(200) < 150, 0.0, 1.0)
    interval = calibrate(BEFORE, risen, np.full(200, 5.0), np.ones(200), OLD[:200])
    chance = chances.chance_of(BEFORE, interval, np.array([5.0]), np.ones(1), 7.0)
    assert chance == pytest.approx(0.5, abs=0.1)  # of all, a quarter reach it


def test_a_rating_of_few_votes_may_be_anything() -> None:
    interval = calibrate(RATING, spread(4, 6), np.full(200, 5.0), np.full(200, 100.0), OLD[:200])
    few, many = chances.chance_of(RATING, interval, np.array([6.0, 6.0]), np.array([2.0, 5_000.0]), 7.0)
    assert few > 2 * many


def test_popularity_is_reached_by_factors() -> None:
    known = {"predictions": (1.0, 2.0, 3.0), "residuals": tuple(np.log([0.5, 1.0, 2.0]))}
    interval = Interval(ages=(0.0,), half_widths=(1.0,), floor=0.0, offset=0.0, films=3, **known)
    chance = chances.chance_of(POPULARITY, interval, np.array([10.0, 100.0]), np.ones(2), 150.0)
    assert chance.tolist() == [0.125, 0.375]  # none of three, and one of three


def test_films_that_are_new_are_not_taken_to_scatter_more_twice() -> None:
    outcomes, new = np.linspace(1, 3, 200), np.zeros(200)
    old, young = (calibrate(POPULARITY, outcomes, np.full(200, 2.0), np.ones(200), age) for age in (OLD[:200], new))
    assert old.residuals == young.residuals


def test_films_of_a_like_prediction_count() -> None:
    low, high = np.full(150, 3.0), np.full(150, 6.0)
    actual = np.concatenate([low, high + np.tile([-2.0, 2.0], 75)])  # only the better ones scatter
    interval = calibrate(BEFORE, actual, np.concatenate([low, high]), np.ones(300), OLD)
    chance = chances.chance_of(BEFORE, interval, np.array([3.0, 6.0]), np.ones(2), 4.5)
    assert chance[0] < 0.01
    assert chance[1] == pytest.approx(0.5, abs=0.01)


def test_the_top_is_a_share_of_the_films_whose_popularity_is_known() -> None:
    known = pd.Series([*range(1, 101), None])
    assert (known >= chances.top_popularity(known)).sum() == 1
    assert chances.top_popularity(pd.Series([], dtype="float64")) == float("inf")


def test_chances_that_are_all_alike_are_one_group_and_none_are_none() -> None:
    held = chances.reliability([0.2, 0.2], [0.0, 1.0])
    assert held.to_numpy().tolist() == [[0.2, 0.5, 2.0]]
    assert chances.reliability([], []).empty


def test_the_picture_of_chances_has_a_point_for_each_decile() -> None:
    picture = charts.reliability("a rise", [0.1, 0.5], [0.2, 0.4])
    assert picture.count("h0") == 2
    assert "chances: a rise" in picture
