from __future__ import annotations

import datetime as dt
import itertools
import math
import statistics

import pytest

from horror_pipeline.demo import daily_state
from horror_pipeline.demo.catalogue import DEMO_SEED, Film
from horror_pipeline.demo.routes import DemoTmdb
from horror_pipeline_tests.demo.conftest import TODAY

DAY = dt.timedelta(days=1)


@pytest.fixture(scope="module")
def released(tmdb: DemoTmdb) -> list[Film]:
    films = (film for film in tmdb.catalogue.known_on(TODAY) if film.is_horror and film.release_date)
    return [film for film in films if film.release_date and film.release_date <= TODAY]


def spearman(left: list[float], right: list[float]) -> float:
    def ranks(values: list[float]) -> list[float]:
        order = sorted(range(len(values)), key=values.__getitem__)
        ranked = [0.0] * len(values)
        for rank, place in enumerate(order):
            ranked[place] = rank
        return ranked

    return statistics.correlation(ranks(left), ranks(right))


def test_popularity_can_be_learnt_from_votes_but_not_read_off_them(released: list[Film]) -> None:
    votes = [float(daily_state.vote_count(film, TODAY)) for film in released]
    popularity = [daily_state.popularity(film, TODAY, DEMO_SEED) for film in released]
    assert 0.6 < spearman(votes, popularity) < 0.95


def test_what_is_known_before_release_says_something_but_little(released: list[Film]) -> None:
    budgeted = [film for film in released if film.budget_usd]
    popularity = [daily_state.popularity(film, TODAY, DEMO_SEED) for film in budgeted]
    assert 0.15 < spearman([film.budget_usd for film in budgeted], popularity) < 0.7


@pytest.fixture(scope="module")
def days(tmdb: DemoTmdb) -> list[dict[int, float]]:
    """Popularity of every second film by its id on 90 days, the oldest first."""
    films = list(tmdb.catalogue.known_on(TODAY - 90 * DAY))[::2]
    dates = [TODAY - number * DAY for number in range(89, -1, -1)]
    return [{film.id: daily_state.popularity(film, date, DEMO_SEED) for film in films} for date in dates]


def changes(days: list[dict[int, float]], horizon: int, low: float = 1, high: float = math.inf) -> list[float]:
    """Changes of log popularity over a number of days, of films within bounds at the start."""
    pairs = zip(days[:-horizon], days[horizon:], strict=True)
    return [
        math.log(after[film_id] / value)
        for before, after in pairs
        for film_id, value in before.items()
        if low <= value < high
    ]


def test_most_films_are_under_one_and_a_few_are_above_a_hundred(days: list[dict[int, float]]) -> None:
    values = [value for day in days for value in day.values()]
    assert 0.6 < sum(value < 1 for value in values) / len(values) < 0.9
    assert 0.02 < sum(5 <= value < 50 for value in values) / len(values) < 0.1
    assert 0.5 <= sum(value >= 100 for value in values) / len(days) < 5
    assert max(values) < 2_000


# TMDB's medians of today are 0.07, 0.19 to 0.25 and 0.32: little noise from day to day, and most of a change in a week.
@pytest.mark.parametrize(("horizon", "low", "high"), [(1, 0.05, 0.09), (7, 0.18, 0.3), (30, 0.25, 0.45)])
def test_popularity_moves_as_far_as_real_popularity(
    days: list[dict[int, float]], horizon: int, low: float, high: float
) -> None:
    assert low < statistics.median(map(abs, changes(days, horizon))) < high


def test_the_higher_a_film_stands_the_faster_it_falls(days: list[dict[int, float]]) -> None:
    bounds = ((1, 10), (30, 100), (100, math.inf))
    small, large, largest = (statistics.median(changes(days, 30, *pair)) for pair in bounds)
    assert -0.2 < small < 0
    assert -1.0 < large < -0.25
    assert -2.0 < largest < -0.7


def test_a_deviation_is_forgotten_within_weeks(days: list[dict[int, float]]) -> None:
    """A rise of one week says nothing, or the opposite, about the next."""
    weeks = [day for day in days[::7]]
    steps = [
        [math.log(after[film_id] / before[film_id]) for before, after in itertools.pairwise(weeks)]
        for film_id, value in weeks[0].items()
        if value >= 1
    ]
    pairs = [pair for step in steps for pair in itertools.pairwise(step)]
    assert statistics.correlation(*zip(*pairs, strict=True)) < -0.1


def test_a_burst_is_a_plateau_of_a_week_that_ends_at_once(released: list[Film], days: list[dict[int, float]]) -> None:
    first = TODAY.toordinal() - len(days) + 1
    window = first // daily_state.BURST_WINDOW_DAYS + 1
    ends, steps = [], []
    for film in released:
        start, end, height = daily_state._burst(film.id, DEMO_SEED, window)
        if height and film.id in days[0] and days[0][film.id] < 1:
            assert end - start in (7, 8)
            ends.append(end)
            steps.append(
                [
                    math.log(days[day - first][film.id] / days[day - 1 - first][film.id])
                    for day in (start, start + 3, end)
                ]
            )
    assert 0.1 < len(ends) / len(days[0]) < 0.3
    assert max(ends.count(end) for end in ends) > 0.2 * len(ends)  # many begin on one day
    begin, during, after = (statistics.median(column) for column in zip(*steps, strict=True))
    assert begin > 0.5
    assert abs(during) < 0.1
    assert after < -0.5


def test_some_days_lift_all_films(days: list[dict[int, float]]) -> None:
    common = [
        statistics.median(math.log(after[film_id] / before[film_id]) for film_id in before)
        for before, after in itertools.pairwise(days)
    ]
    assert max(common) > 0.15
    assert statistics.median(map(abs, common)) < 0.05


def test_small_values_are_multiples_of_a_quantum(days: list[dict[int, float]]) -> None:
    small = [value for value in days[-1].values() if value < 0.3]
    assert len(small) > 150
    assert len(set(small)) <= 0.3 / daily_state.QUANTUM
    assert min(small) >= 0.007


def test_votes_come_where_popularity_is(released: list[Film]) -> None:
    gained = [
        float(daily_state.vote_count(film, TODAY) - daily_state.vote_count(film, TODAY - 30 * DAY)) for film in released
    ]
    popularity = [daily_state.popularity(film, TODAY, DEMO_SEED) for film in released]
    assert spearman(gained, popularity) > 0.5


def test_popularity_depends_on_the_seed(released: list[Film]) -> None:
    film = max(released, key=lambda film: film.reach)
    assert daily_state.popularity(film, TODAY, 1) != daily_state.popularity(film, TODAY, 2)


def test_upcoming_films_gain_popularity_towards_release_and_lose_it_after(released: list[Film]) -> None:
    def mean(offset: int) -> float:
        days = [(film, film.release_date + offset * DAY) for film in released if film.release_date]
        return statistics.mean(daily_state.popularity(film, day, DEMO_SEED) for film, day in days)

    assert mean(-300) < mean(-60) < mean(-10) < mean(0)
    assert mean(0) > mean(60) > mean(1500)


def test_votes_are_none_before_release_and_never_fall(released: list[Film]) -> None:
    for film in released[::40]:
        assert film.release_date is not None
        assert daily_state.vote_count(film, film.release_date - DAY) == 0
        counts = [daily_state.vote_count(film, film.release_date + offset * DAY) for offset in range(0, 1500, 50)]
        assert counts == sorted(counts)


def test_a_rating_is_noisier_the_fewer_votes_it_has(released: list[Film]) -> None:
    few, many = ([daily_state.vote_average(film, votes) - film.quality for film in released] for votes in (2, 2_000))
    assert statistics.stdev(few) > 2 * statistics.stdev(many)
    assert 0.5 < statistics.stdev(many) < 0.75
    assert all(1 <= daily_state.vote_average(film, 1) <= 10 for film in released)


def test_without_votes_a_rating_is_zero_as_at_tmdb(released: list[Film]) -> None:
    assert daily_state.vote_average(released[0], 0) == 0


def test_status_follows_the_calendar(released: list[Film]) -> None:
    film = released[0]
    assert film.release_date is not None
    offsets = {0: "Released", 1: "Post Production", 241: "In Production", 481: "Planned"}
    for ahead, expected in offsets.items():
        assert daily_state.status(film, film.release_date - ahead * DAY) == expected


def test_a_record_that_reads_differently_was_listed_as_changed(released: list[Film]) -> None:
    for film in released[::100]:
        for number in range(200):
            day = TODAY - number * DAY
            if day <= film.announced_on:
                break
            differs = daily_state.edits(film, day) != daily_state.edits(film, day - DAY)
            assert not differs or daily_state.is_changed_on(film, day) or film.withdrawn_on is not None
