"""Which changes are movers, and which of them are breakouts, over invented histories."""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from horror_pipeline.modeling.movers import movers
from horror_pipeline_tests.modeling.series import day, history, reverting

FILMS, DAYS = 600, 50
LAST = DAYS - 1


@pytest.fixture
def usual() -> NDArray[np.float64]:
    """Films that waver around levels from 1 to 55."""
    return reverting(FILMS, DAYS)


def of_last_day(popularity: NDArray[np.float64], released: dict[int, dt.date] | None = None) -> pd.DataFrame:
    dates = pd.Series(released or {}, dtype="object")
    ((_, found),) = movers(history(popularity), dates, [day(popularity.shape[1] - 1)])
    return found


def change_of(film: int, popularity: NDArray[np.float64], span_days: int = 7) -> dict[str, Any]:
    """The film's row over a span that ends on the last day."""
    found = of_last_day(popularity)
    (row,) = found[(found["tmdb_id"] == 101 + film) & (found["span_days"] == span_days)].to_dict("records")
    return {str(name): value for name, value in row.items()}


def strongest(popularity: NDArray[np.float64], nth: int) -> int:
    """The film with the nth highest level."""
    return int(np.argsort(-np.median(popularity, axis=1))[nth])


def test_a_film_that_rises_alone_is_a_breakout(usual: NDArray[np.float64]) -> None:
    film = strongest(usual, 60)
    level = np.median(usual[film])
    usual[film] = level
    usual[film, -3:] = 5 * level
    found = change_of(film, usual)
    assert found["is_breakout"]
    assert found["breakout_score"] > 0.99
    assert found["popularity_before"] == pytest.approx(level, abs=1e-3)
    assert found["popularity"] == pytest.approx(5 * level, abs=1e-3)
    assert found["popularity_usual"] == pytest.approx(level, rel=0.3)
    assert found["popularity_rank"] < found["popularity_rank_before"]
    assert not change_of(film, usual, 1)["is_breakout"]  # it rose three days ago


def test_a_rise_that_does_not_reach_the_top_is_no_breakout(usual: NDArray[np.float64]) -> None:
    film = strongest(usual, 590)
    usual[film] = np.median(usual[film])
    usual[film, -1] *= 6
    found = change_of(film, usual)
    assert found["change_percentile"] > 0.99
    assert np.isnan(found["breakout_score"])
    assert not found["is_breakout"]


def test_what_a_film_has_done_before_is_no_breakout(usual: NDArray[np.float64]) -> None:
    film = strongest(usual, 60)
    level = np.median(usual[film])
    usual[film] = level
    usual[film, 20:23] = usual[film, -3:] = 5 * level
    found = change_of(film, usual)
    assert found["change_percentile"] > 0.99
    assert found["is_own_record"] == False  # noqa: E712  # not unknown either
    assert not found["is_breakout"]


def test_what_all_films_do_at_once_is_no_news(usual: NDArray[np.float64]) -> None:
    usual[:, -2:] *= 2.5
    found = of_last_day(usual)
    assert found.groupby("span_days")["is_breakout"].mean().max() <= 0.01


def test_a_burst_of_many_small_films_is_no_news(usual: NDArray[np.float64]) -> None:
    random = np.random.default_rng(3)
    middle = np.argsort(-np.median(usual, axis=1))[120:360]
    burst = random.choice(middle, 60, replace=False)  # a quarter of the films of these levels
    usual[burst, -4:] *= random.uniform(3, 8, (60, 1))
    of_burst = of_last_day(usual).query("span_days == 7 and tmdb_id in @burst + 101")
    assert (of_burst["popularity_rank"] <= FILMS / 10).sum() > 10  # they are a burst into the top tenth
    assert of_burst["is_breakout"].sum() <= 1


def test_on_usual_days_fewer_than_one_film_in_a_hundred_breaks_out() -> None:
    counts = []
    for seed in range(6):
        popularity = reverting(FILMS, DAYS, seed)
        shuffled = popularity[:, np.random.default_rng(seed).permutation(DAYS)]
        counts.append(of_last_day(shuffled).groupby("span_days")["is_breakout"].mean())
    assert pd.concat(counts).groupby(level=0).mean().max() <= 0.01


def test_a_change_is_compared_with_films_of_its_age(usual: NDArray[np.float64]) -> None:
    """New films rise as none of the others does: for one of them that is usual."""
    new = np.argsort(-np.median(usual, axis=1))[:60:2]
    usual[new] *= np.exp(np.linspace(0, 3, DAYS))
    released = {101 + int(film): day(LAST) + dt.timedelta(days=10) for film in new}
    found = of_last_day(usual, released).query("span_days == 7 and tmdb_id in @new + 101")
    assert found["change_percentile"].median() < 0.9
    without_dates = of_last_day(usual).query("span_days == 7 and tmdb_id in @new + 101")
    assert without_dates["change_percentile"].median() > found["change_percentile"].median()


def test_a_day_knows_nothing_of_later_days(usual: NDArray[np.float64]) -> None:
    earlier = of_last_day(usual[:, :40])
    usual[:, 40:] *= 1.4
    (_, again), _ = movers(history(usual), pd.Series(dtype="object"), [day(39), day(LAST)])
    pd.testing.assert_frame_equal(earlier.reset_index(drop=True), again.reset_index(drop=True))


def test_a_young_history_has_changes_and_says_nothing_of_them() -> None:
    found = of_last_day(reverting(40, 9))
    assert set(found["span_days"]) == set()
    found = of_last_day(reverting(FILMS, 3))
    assert set(found["span_days"]) == {1}
    assert found["change_percentile"].isna().mean() > 0.5
    assert found["is_own_record"].isna().all()


def test_films_below_popularity_1_are_no_movers(usual: NDArray[np.float64]) -> None:
    usual[:200] /= 1_000
    found = of_last_day(usual)
    assert not set(found["tmdb_id"]) & set(range(101, 301))
    assert found["popularity_rank"].max() <= FILMS
