from __future__ import annotations

import datetime as dt
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


def test_popularity_is_distributed_as_real_popularity_is(released: list[Film]) -> None:
    known = [film for film in released if daily_state.vote_count(film, TODAY) >= 10]
    popularity = sorted(daily_state.popularity(film, TODAY, DEMO_SEED) for film in known)
    assert popularity[0] >= daily_state.POPULARITY_FLOOR
    assert 3 < statistics.median(popularity) < 6
    assert popularity[int(len(popularity) * 0.99)] > 4 * statistics.median(popularity)


def test_popularity_moves_from_day_to_day_by_a_fixed_rule(released: list[Film]) -> None:
    changes = []
    for film in released[-200:]:
        today, tomorrow = (daily_state.popularity(film, day, DEMO_SEED) for day in (TODAY, TODAY + DAY))
        assert daily_state.popularity(film, TODAY, DEMO_SEED) == today
        changes.append(abs(tomorrow / today - 1))
    assert 0.005 < statistics.median(changes) < 0.1


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
