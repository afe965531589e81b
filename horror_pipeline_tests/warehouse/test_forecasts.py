from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
import pytest
from sqlalchemy import Connection, Engine, text

from horror_pipeline.warehouse import forecasts, retention, tables
from horror_pipeline.warehouse.days import days_left_out
from horror_pipeline_tests.warehouse.history import DAY, NOON, ONE_DAY, add_films, put
from horror_pipeline_tests.warehouse.rows import all_of


def days(count: int) -> dt.timedelta:
    return count * ONE_DAY


def write(
    connection: Connection,
    made_on: dt.date,
    popularity: dict[int, tuple[float, float]],
    *,
    horizon: int = 1,
    is_backtest: bool = False,
) -> int:
    """Write forecasts of one horizon: by film its popularity on the day, and the forecast, ± 1."""
    columns: dict[str, Any] = {
        "tmdb_id": np.array(list(popularity), dtype="int64"),
        "horizon_days": np.full(len(popularity), horizon),
        "origin_popularity": np.array([origin for origin, _ in popularity.values()]),
        "forecast_popularity": np.array([forecast for _, forecast in popularity.values()]),
        "popularity_lower": np.array([max(forecast - 1, 0.0) for _, forecast in popularity.values()]),
        "popularity_upper": np.array([forecast + 1 for _, forecast in popularity.values()]),
        "model_version": ["live" if not is_backtest else "backtest"] * len(popularity),
    }
    return forecasts.replace_forecasts(connection, made_on, columns, is_backtest=is_backtest)


# -- history -----------------------------------------------------------------------------------------------------------


def test_history_is_read_as_columns_in_order_of_day_and_film(engine: Engine) -> None:
    with engine.begin() as connection:
        put(connection, DAY, {3: 3.5, 1: 1.25})
        put(connection, DAY + days(15), {2: 0.0})  # another month
        put(connection, DAY - days(1), {9: 9.0})
        history = forecasts.read_history(connection, DAY, DAY + days(15))
    assert history["tmdb_id"].tolist() == [1, 3, 2]
    assert history["snapshot_date"].tolist() == [DAY, DAY, DAY + days(15)]
    assert history["popularity"].tolist() == [1.25, 3.5, 0.0]
    assert [column.dtype.str for column in history.values()] == ["<i8", "<M8[D]", "<f8"]


def test_no_history_is_empty_columns(engine: Engine) -> None:
    with engine.begin() as connection:
        history = forecasts.read_history(connection, DAY, DAY)
    assert [len(column) for column in history.values()] == [0, 0, 0]
    assert [column.dtype.str for column in history.values()] == ["<i8", "<M8[D]", "<f8"]


def test_release_dates_are_read_of_every_film(engine: Engine) -> None:
    with engine.begin() as connection:
        add_films(connection, [1], release_date=DAY)
        add_films(connection, [2], gone_at=NOON)
        assert forecasts.release_dates(connection) == {1: DAY, 2: None}


# -- writing -----------------------------------------------------------------------------------------------------------


def test_a_day_is_replaced_as_a_whole(engine: Engine) -> None:
    with engine.begin() as connection:
        assert write(connection, DAY, {1: (1.0, 2.0), 2: (1.0, 2.0)}) == 2
        write(connection, DAY + days(1), {1: (1.0, 9.0)})
        assert write(connection, DAY, {2: (1.0, 3.0)}) == 1
    assert all_of(
        engine, "SELECT made_on, tmdb_id, target_date, forecast_popularity FROM popularity_forecasts ORDER BY 1"
    ) == [
        (DAY, 2, DAY + days(1), 3.0),
        (DAY + days(1), 1, DAY + days(2), 9.0),
    ]


def test_a_backtest_replaces_a_backtest_and_never_a_live_forecast(engine: Engine) -> None:
    with engine.begin() as connection:
        assert write(connection, DAY, {1: (1.0, 2.0)}, is_backtest=True) == 1
        assert write(connection, DAY, {1: (1.0, 3.0)}, is_backtest=True) == 1
        assert write(connection, DAY, {1: (1.0, 4.0)}) == 1
        assert write(connection, DAY, {1: (1.0, 5.0)}, is_backtest=True) == 0
        assert write(connection, DAY, {1: (1.0, 6.0)}) == 1
        write(connection, DAY - days(1), {1: (1.0, 2.0)}, is_backtest=True)
        assert forecasts.forecast_days(connection) == {DAY - days(1): True, DAY: False}
    assert all_of(engine, "SELECT forecast_popularity FROM popularity_forecasts ORDER BY made_on") == [(2.0,), (6.0,)]


def test_a_day_may_have_no_forecasts(engine: Engine) -> None:
    with engine.begin() as connection:
        assert write(connection, DAY, {}) == 0
        write(connection, DAY, {1: (1.0, 2.0)})
        assert write(connection, DAY, {}) == 0
        assert forecasts.forecast_days(connection) == {}


def test_days_with_a_snapshot_and_no_forecasts_are_missing(engine: Engine) -> None:
    with engine.begin() as connection:
        for offset in (0, 1, 3, 9):
            put(connection, DAY + days(offset), {1: 1.0})
        write(connection, DAY + days(1), {1: (1.0, 2.0)})
        missing = days_left_out(connection, tables.popularity_forecasts.c.made_on, DAY + days(9), 9)
        assert missing == [DAY, DAY + days(3)]


# -- scores ------------------------------------------------------------------------------------------------------------


def accuracy(engine: Engine) -> list[tuple[Any, ...]]:
    return all_of(
        engine,
        "SELECT horizon_days, month, is_backtest, films, mae, mae_no_change, skill, coverage FROM forecast_accuracy "
        "ORDER BY 1, 2, 3",
    )


@pytest.mark.parametrize("is_snapshot_first", [True, False])
def test_a_forecast_is_scored_whichever_comes_last(engine: Engine, is_snapshot_first: bool) -> None:
    film_2_is_too_small = {1: (4.0, 6.0), 2: (0.9, 50.0), 3: (10.0, 10.5)}
    steps = [
        lambda connection: put(connection, DAY + days(1), {1: 6.5, 2: 1.0, 3: 12.0, 4: 99.0}),
        lambda connection: write(connection, DAY, film_2_is_too_small),
    ]
    for step in steps if is_snapshot_first else reversed(steps):
        with engine.begin() as connection:
            step(connection)
    assert accuracy(engine) == [(1, dt.date(2026, 11, 1), False, 2, 1.0, 2.25, pytest.approx(1 - 1 / 2.25), 0.5)]


def test_a_film_whose_popularity_cannot_be_believed_has_no_part_in_the_score(engine: Engine) -> None:
    usual = {film: 5.0 for film in range(1, 8)}
    with engine.begin() as connection:
        add_films(connection, (*usual, 8))
        write(connection, DAY, {film: (4.0, 5.0) for film in (*usual, 8)})
        put(connection, DAY + ONE_DAY, usual | {8: 1e8})
        assert connection.execute(text("SELECT films, total_error FROM forecast_scores")).all() == [(7, 0.0)]


def test_scores_follow_a_snapshot_and_forecasts_that_are_replaced(engine: Engine) -> None:
    with engine.begin() as connection:
        write(connection, DAY, {1: (4.0, 6.0)})
        put(connection, DAY + days(1), {1: 5.0})
        put(connection, DAY + days(1), {1: 6.0})
        assert forecasts.live_skill(connection, DAY)[1]["mae"] == 0.0
        write(connection, DAY, {1: (4.0, 8.0)})
        assert forecasts.live_skill(connection, DAY)[1]["mae"] == 2.0
        put(connection, DAY + days(1), {})
        assert forecasts.live_skill(connection, DAY) == {}


def test_accuracy_is_by_horizon_and_month_of_the_target_and_keeps_backtests_apart(engine: Engine) -> None:
    with engine.begin() as connection:
        for offset in range(15):
            put(connection, DAY + days(offset), {1: 2.0 + offset})
        write(connection, DAY, {1: (2.0, 3.0)}, is_backtest=True)
        write(connection, DAY + days(1), {1: (3.0, 3.0)}, horizon=3)
        write(connection, DAY + days(9), {1: (11.0, 13.0)}, horizon=3)
    assert [row[:4] for row in accuracy(engine)] == [
        (1, dt.date(2026, 11, 1), True, 1),
        (3, dt.date(2026, 11, 1), False, 1),
        (3, dt.date(2026, 12, 1), False, 1),
    ]


def test_live_skill_is_of_live_forecasts_for_the_days_since(engine: Engine) -> None:
    with engine.begin() as connection:
        for offset in range(4):
            put(connection, DAY + days(offset), {1: 2.0 + offset})
        write(connection, DAY, {1: (2.0, 2.0)}, is_backtest=True)
        write(connection, DAY + days(1), {1: (3.0, 3.5)})
        write(connection, DAY + days(2), {1: (4.0, 7.0)})
        assert forecasts.live_skill(connection, DAY + days(3)) == {
            1: {"films": 1, "mae": 2.0, "mae_no_change": 1.0, "skill": -1.0, "coverage": 0.0}
        }
        assert forecasts.live_skill(connection, DAY)[1]["films"] == 2
        assert forecasts.live_skill(connection, DAY + days(4)) == {}


def test_days_on_which_nothing_changed_have_no_skill(engine: Engine) -> None:
    with engine.begin() as connection:
        write(connection, DAY, {1: (2.0, 2.5)})
        put(connection, DAY + days(1), {1: 2.0})
        assert forecasts.live_skill(connection, DAY)[1]["skill"] is None


def test_the_track_record_outlives_the_forecasts(engine: Engine) -> None:
    with engine.begin() as connection:
        write(connection, DAY, {1: (2.0, 2.5)})
        put(connection, DAY + days(1), {1: 2.0})
        assert retention.purge(connection, DAY + days(30))["popularity_forecasts"] == 1
        assert forecasts.forecast_days(connection) == {}
        put(connection, DAY + days(1), {1: 3.0})
    assert len(accuracy(engine)) == 1


# -- reading -----------------------------------------------------------------------------------------------------------


def test_the_latest_forecasts_are_the_newest_days_of_films_that_exist(engine: Engine) -> None:
    with engine.begin() as connection:
        add_films(connection, [1], release_date=DAY + days(3), title="Soon")
        add_films(connection, [2])
        add_films(connection, [3], gone_at=NOON)
        write(connection, DAY - days(1), {1: (1.0, 9.0)})
        write(connection, DAY, {1: (2.0, 3.0), 2: (0.0, 1.0), 3: (1.0, 1.0)})
    columns = "tmdb_id, title, days_to_release, made_on, target_date, forecast_popularity, change_factor"
    assert all_of(engine, f"SELECT {columns} FROM latest_forecasts ORDER BY 1") == [
        (1, "Soon", 3, DAY, DAY + days(1), 3.0, 1.5),
        (2, "Film", None, DAY, DAY + days(1), 1.0, None),
    ]


def test_top_forecasts_come_in_the_order_asked_for(engine: Engine) -> None:
    with engine.begin() as connection:
        add_films(connection, range(1, 7))
        write(
            connection,
            DAY,
            {1: (10.0, 11.0), 2: (2.0, 6.0), 3: (8.0, 1.0), 4: (0.5, 50.0), 5: (3.0, 3.0), 6: (1.0, 0.0)},
            horizon=7,
        )

        def ids(order: forecasts.ForecastOrder, **options: Any) -> list[int]:
            return [row["tmdb_id"] for row in forecasts.top_forecasts(connection, 7, order, **options)]

        assert ids("popularity", limit=3) == [4, 1, 2]
        assert ids("movers") == [6, 3, 2, 1, 5]
        assert forecasts.top_forecasts(connection, 1) == []


def test_the_database_refuses_a_film_twice(engine: Engine) -> None:
    with engine.begin() as connection:
        write(connection, DAY, {1: (1.0, 2.0)})
        again = "INSERT INTO popularity_forecasts SELECT * FROM popularity_forecasts"
        with pytest.raises(Exception, match="duplicate key"), connection.begin_nested():
            connection.execute(text(again))


# -- the track record --------------------------------------------------------------------------------------------------


def test_the_best_and_the_worst_calls_of_a_day_are_kept_beside_what_came(engine: Engine) -> None:
    forecast = {film: (10.0, 20.0) for film in range(1, 31)} | {40: (10.0, 10.0)}
    with engine.begin() as connection:
        assert write(connection, DAY, forecast) == 31
        put(connection, DAY + days(1), {film: 10.0 + film / 2 for film in range(1, 31)} | {40: 19.0})
    calls = all_of(engine, "SELECT tmdb_id, origin_popularity, outcome_popularity, gain FROM forecast_calls ORDER BY 1")
    assert [row[0] for row in calls] == [*range(1, 10), *range(20, 30)]
    assert (calls[0], calls[-1]) == ((1, 10.0, 10.5, 0.5 - 9.5), (29, 10.0, 24.5, 14.5 - 4.5))
    with engine.begin() as connection:
        put(connection, DAY + days(1), dict.fromkeys(forecast, 10.0))  # the day is taken again
    assert {row[0] for row in all_of(engine, "SELECT gain FROM forecast_calls")} == {-10.0}
    with engine.begin() as connection:
        assert retention.purge(connection, DAY + days(1))["forecast_calls"] == 10


def test_forecasts_are_scored_by_votes_language_and_stage_of_their_films(engine: Engine) -> None:
    with engine.begin() as connection:
        add_films(connection, [1], vote_count=5, original_language="fr", release_date=DAY + days(1))
        add_films(connection, [2], vote_count=99, original_language="en", release_date=DAY)
        add_films(connection, [3], vote_count=1_000)
        write(connection, DAY, {1: (10.0, 12.0), 2: (10.0, 20.0), 3: (10.0, 10.0)})
        put(connection, DAY + days(1), {1: 12.5, 2: 18.0, 3: 9.5})
    columns = "dimension, category, films, mae, mae_no_change, coverage"
    assert all_of(engine, f"SELECT {columns} FROM forecast_group_accuracy ORDER BY 1, 2") == [
        ("language", "en", 1, 2.0, 8.0, 0.0),
        ("language", "fr", 1, 0.5, 2.5, 1.0),
        ("language", "unknown", 1, 0.5, 0.5, 1.0),
        ("stage", "after release", 1, 2.0, 8.0, 0.0),
        ("stage", "before release", 2, 0.5, 1.5, 1.0),
        ("votes", "1,000 or more", 1, 0.5, 0.5, 1.0),
        ("votes", "10 to 99", 1, 2.0, 8.0, 0.0),
        ("votes", "below 10", 1, 0.5, 2.5, 1.0),
    ]
