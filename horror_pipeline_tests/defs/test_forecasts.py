"""The assets of forecasts over an invented history: what is live, what is a backtest, and what is left alone."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

import numpy as np
import pytest
from sqlalchemy import URL

from horror_pipeline.defs import forecasts
from horror_pipeline.warehouse import bulk, partitions, snapshots, tables
from horror_pipeline_tests.conftest import database, keep_forecasters_small
from horror_pipeline_tests.defs.trainings import Learning, learning
from horror_pipeline_tests.modeling.series import reverting

FILMS, DAYS = 40, 36
TODAY = dt.date(2026, 6, 15)
YESTERDAY, FIRST = TODAY - dt.timedelta(days=1), TODAY - dt.timedelta(days=DAYS - 1)
ASSETS = (forecasts.popularity_forecaster, forecasts.popularity_forecasts)
FORECASTS = "SELECT * FROM popularity_forecasts ORDER BY made_on, tmdb_id, horizon_days"


@pytest.fixture(autouse=True)
def _small_forecasters(monkeypatch: pytest.MonkeyPatch) -> None:
    """How good forecasts are is not asked here."""
    keep_forecasters_small(monkeypatch)


@pytest.fixture
def runs(database_url: URL) -> Iterator[Learning]:
    with learning(database_url) as learned:
        learned.now = noon_of(TODAY)
        yield learned


@pytest.fixture(scope="module")
def forecast_today(postgres: URL) -> Iterator[URL]:
    """A warehouse whose history ends today, with its forecasts, to read or to go on from in a copy."""
    yield from forecast_on(postgres, TODAY)


@pytest.fixture(scope="module")
def forecast_yesterday(postgres: URL) -> Iterator[URL]:
    """The same as it was a day before."""
    yield from forecast_on(postgres, YESTERDAY)


@pytest.fixture
def today(postgres: URL, forecast_today: URL) -> Iterator[Learning]:
    yield from going_on(postgres, forecast_today)


@pytest.fixture
def new_day(postgres: URL, forecast_yesterday: URL) -> Iterator[Learning]:
    """Yesterday's forecasts, and then today's snapshot."""
    for learned in going_on(postgres, forecast_yesterday):
        store_history(learned, reverting(FILMS, DAYS)[:, -1:], TODAY)
        yield learned


def noon_of(day: dt.date) -> dt.datetime:
    return dt.datetime.combine(day, dt.time(12), dt.UTC)


def forecast_on(postgres: URL, day: dt.date) -> Iterator[URL]:
    with database(postgres) as url, pytest.MonkeyPatch.context() as patch:
        keep_forecasters_small(patch)
        with learning(url) as learned:
            learned.now = noon_of(day)
            store_history(learned, reverting(FILMS, DAYS)[:, : (day - FIRST).days + 1])
            learned.run(*ASSETS)
        yield url


def going_on(postgres: URL, past: URL) -> Iterator[Learning]:
    with database(postgres, str(past.database)) as url, learning(url) as learned:
        learned.now = noon_of(TODAY)
        yield learned


OFF_BY = f"""
    SELECT max(abs(base + (SELECT sum((part ->> 1)::float) FROM jsonb_array_elements(parts) AS part)
                   - ln((forecast_popularity + 0.1) / (origin_popularity + 0.1))))
    FROM prediction_explanations JOIN popularity_forecasts USING (tmdb_id, horizon_days) WHERE made_on = '{TODAY}'
"""
"""How far explanations do not add up to the changes they explain."""


def store_history(runs: Learning, popularity: np.ndarray, first: dt.date = FIRST) -> None:
    days = [first + dt.timedelta(days=number) for number in range(popularity.shape[1])]
    with runs.engine.begin() as connection:
        partitions.ensure_months(connection, tables.movie_snapshots, days)
        rows = [
            {
                "tmdb_id": 101 + film,
                "snapshot_date": day,
                "popularity": float(value),
                "source": "export",
                "popularity_percentile": 0.5,
            }
            for film, values in enumerate(popularity)
            for day, value in zip(days, values, strict=True)
        ]
        bulk.copy_rows(
            connection, tables.movie_snapshots, [row | {"export_date": row["snapshot_date"]} for row in rows]
        )
        for day in days:
            snapshots.note_known_films(connection, day, len(popularity))


def test_the_newest_day_is_forecast_live_and_past_days_as_a_backtest(today: Learning) -> None:
    kinds = today.rows(
        "SELECT made_on, bool_and(is_backtest), count(*) FROM popularity_forecasts GROUP BY 1 ORDER BY 1"
    )
    assert kinds[-1] == (TODAY, False, FILMS * 5)
    assert [row[0] for row in kinds[:-1]] == [FIRST + dt.timedelta(days=number) for number in range(28, DAYS - 1)]
    assert {row[1] for row in kinds[:-1]} == {True}
    assert today.value("SELECT min(skill) FROM forecast_accuracy WHERE horizon_days = 1 AND films > 250") > 0
    assert today.value("SELECT count(*) FROM prediction_explanations WHERE horizon_days = 1") == FILMS
    assert today.value(OFF_BY) < 1e-6


def test_a_second_run_on_the_same_history_writes_nothing(today: Learning) -> None:
    runs = today
    before = runs.rows("SELECT xmin, * FROM popularity_forecasts ORDER BY made_on, tmdb_id, horizon_days")
    shown = runs.run(*ASSETS)
    assert before
    assert runs.rows("SELECT xmin, * FROM popularity_forecasts ORDER BY made_on, tmdb_id, horizon_days") == before
    assert shown["popularity_forecaster"]["reason"] == "the forecaster is recent"
    assert "popularity_forecasts" not in runs.materialized


def test_forecasts_of_a_past_day_do_not_depend_on_later_days(runs: Learning, today: Learning) -> None:
    store_history(runs, reverting(FILMS, DAYS)[:, :-5])
    runs.now -= dt.timedelta(days=5)
    runs.run(*ASSETS)
    past = "SELECT * FROM popularity_forecasts WHERE is_backtest AND made_on < '2026-06-10' ORDER BY 1, 2, 3"
    assert runs.rows(past)
    assert today.rows(past) == runs.rows(past)


def test_a_backtest_never_replaces_a_forecast_that_was_made_at_the_time(new_day: Learning) -> None:
    made_yesterday = f"SELECT * FROM popularity_forecasts WHERE made_on = '{YESTERDAY}' ORDER BY 2, 3"
    live = new_day.rows(made_yesterday)
    new_day.run(forecasts.popularity_forecasts, days=(str(YESTERDAY), str(TODAY)))
    assert len(live) == FILMS * 5
    assert new_day.rows(made_yesterday) == live
    assert new_day.value(f"SELECT count(*) FROM popularity_forecasts WHERE made_on = '{TODAY}' AND NOT is_backtest") > 0


def test_a_new_snapshot_brings_new_forecasts_with_the_forecaster_there_is(new_day: Learning) -> None:
    shown = new_day.run(*ASSETS)
    assert shown["popularity_forecaster"]["reason"] == "the forecaster is recent"
    assert new_day.value("SELECT count(*) FROM model_versions WHERE model_name = 'popularity_forecaster'") == 1
    assert new_day.value(f"SELECT count(*) FROM popularity_forecasts WHERE made_on = '{TODAY}'") == FILMS * 5


def test_a_forecaster_that_missed_a_week_of_history_is_fitted_anew(runs: Learning) -> None:
    popularity = reverting(FILMS, DAYS)
    store_history(runs, popularity[:, :-7])
    runs.now -= dt.timedelta(days=7)
    runs.run(*ASSETS)
    runs.now += dt.timedelta(days=7)
    store_history(runs, popularity[:, -7:], TODAY - dt.timedelta(days=6))
    shown = runs.run(*ASSETS)
    assert shown["popularity_forecaster"]["reason"] == "7 days of history came after the 29 of the present one"


def test_a_forecaster_of_a_young_history_is_fitted_anew_daily(runs: Learning) -> None:
    popularity = reverting(FILMS, 5)
    store_history(runs, popularity[:, :-1], TODAY - dt.timedelta(days=4))
    runs.now -= dt.timedelta(days=1)
    runs.run(*ASSETS)
    runs.now += dt.timedelta(days=1)
    store_history(runs, popularity[:, -1:], TODAY)
    shown = runs.run(*ASSETS)
    assert shown["popularity_forecaster"]["reason"] == "1 day of history came after the 4 of the present one"


def test_a_forecaster_is_fitted_anew_when_a_missing_day_of_its_history_was_stored(runs: Learning) -> None:
    popularity, missing = reverting(FILMS, 5), 2
    for place in {*range(5)} - {missing}:
        store_history(runs, popularity[:, place : place + 1], TODAY - dt.timedelta(days=4 - place))
    runs.run(*ASSETS)
    store_history(runs, popularity[:, missing : missing + 1], TODAY - dt.timedelta(days=4 - missing))
    shown = runs.run(*ASSETS)
    reason = f"days up to {TODAY} were collected, or gained films, after the present one was fitted"
    assert shown["popularity_forecaster"]["reason"] == reason


def test_a_forecaster_is_fitted_anew_when_its_days_gained_films(runs: Learning) -> None:
    store_history(runs, reverting(FILMS, 5), TODAY - dt.timedelta(days=4))
    runs.run(*ASSETS)
    assert runs.run(*ASSETS)["popularity_forecaster"]["reason"] == "the forecaster is recent"
    with runs.engine.begin() as connection:
        snapshots.note_known_films(connection, TODAY - dt.timedelta(days=2), FILMS + 1)
    shown = runs.run(*ASSETS)
    assert "gained films" in shown["popularity_forecaster"]["reason"]


def test_without_history_nothing_is_forecast_and_the_reason_is_given(runs: Learning) -> None:
    shown = runs.run(*ASSETS)
    assert shown["popularity_forecaster"]["reason"] == "there is no history yet"
    assert shown["popularity_forecasts"] == {"skipped": "there is no history yet (days: 1)"}


def test_two_days_of_history_give_forecasts_of_no_change(runs: Learning) -> None:
    store_history(runs, reverting(FILMS, 2), TODAY - dt.timedelta(days=1))
    runs.run(*ASSETS)
    changed = "SELECT count(*) FROM popularity_forecasts WHERE forecast_popularity <> origin_popularity"
    assert runs.value(changed) == 0
    assert runs.value("SELECT count(*) FROM popularity_forecasts") == FILMS * 5
    assert runs.value("SELECT min(popularity_upper / origin_popularity) FROM popularity_forecasts") > 1


def test_without_a_forecaster_the_newest_day_is_not_recorded_as_forecast(runs: Learning) -> None:
    store_history(runs, reverting(FILMS, 5), TODAY - dt.timedelta(days=4))
    shown = runs.run(forecasts.popularity_forecasts, days=(str(TODAY), str(TODAY)))
    assert shown["popularity_forecasts"] == {"skipped": "no forecaster has been fitted yet (days: 1)"}
    assert "popularity_forecasts" not in runs.materialized


def test_a_forecast_starts_from_the_value_of_the_snapshot(runs: Learning) -> None:
    store_history(runs, reverting(FILMS, 5).round(4), TODAY - dt.timedelta(days=4))
    runs.run(*ASSETS)
    differing = """
        SELECT count(*) FROM popularity_forecasts JOIN movie_snapshots USING (tmdb_id)
        WHERE snapshot_date = made_on AND origin_popularity <> popularity
    """
    assert runs.value(differing) == 0
    assert runs.value("SELECT count(*) FROM popularity_forecasts") == FILMS * 5
