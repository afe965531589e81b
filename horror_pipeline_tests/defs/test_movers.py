"""The asset of movers over an invented history."""

from __future__ import annotations

import datetime as dt
from typing import Any

import dagster as dg
from sqlalchemy import Engine, text

from horror_pipeline.defs.movers import movie_movers
from horror_pipeline.warehouse import movers
from horror_pipeline_tests.defs.test_forecasts import store_history
from horror_pipeline_tests.defs.trainings import Learning
from horror_pipeline_tests.modeling.films import AS_OF
from horror_pipeline_tests.modeling.series import reverting
from horror_pipeline_tests.web.rows import add_film

DAYS = 20
FIRST = dt.date(2026, 6, 1)
LAST = FIRST + dt.timedelta(days=DAYS - 1)
COUNTS = "SELECT snapshot_date, count(*) FROM movie_movers GROUP BY 1 ORDER BY 1"


def test_days_are_replaced_and_days_left_out_are_made_up_for(engine: Engine) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        runs = Learning(engine, instance)
        store_history(runs, reverting(120, DAYS), FIRST)
        runs.run(movie_movers, days=(str(LAST), str(LAST)))
        made = runs.rows(COUNTS)
        assert [row[0] for row in made] == [LAST - dt.timedelta(days=back) for back in range(7, -1, -1)]
        assert runs.value(f"SELECT count(DISTINCT span_days) FROM movie_movers WHERE snapshot_date = '{LAST}'") == 2
        before = runs.rows("SELECT * FROM movie_movers ORDER BY 1, 2, 3")
        runs.run(movie_movers, days=(str(LAST), str(LAST)))
        assert runs.rows("SELECT * FROM movie_movers ORDER BY 1, 2, 3") == before


def test_a_day_that_was_missing_changes_the_days_after_it(engine: Engine) -> None:
    popularity, everything = reverting(120, DAYS), "SELECT * FROM movie_movers ORDER BY 1, 2, 3"
    missing = LAST - dt.timedelta(days=1)
    with dg.DagsterInstance.ephemeral() as instance:
        runs = Learning(engine, instance)
        store_history(runs, popularity[:, :-2], FIRST)
        store_history(runs, popularity[:, -1:], LAST)
        runs.run(movie_movers, days=(str(LAST), str(LAST)))
        store_history(runs, popularity[:, -2:-1], missing)
        runs.run(movie_movers, days=(str(missing), str(missing)))
        mended = runs.rows(everything)
        runs.run(movie_movers, days=(str(LAST), str(LAST)))
        assert runs.rows(everything) == mended


def test_a_list_holds_the_newest_day_of_films_that_exist_in_its_order(engine: Engine) -> None:
    for tmdb_id in (1, 2, 3, 4):
        add_film(engine, tmdb_id, gone_at=AS_OF if tmdb_id == 4 else None)
    now = {1: 8.0, 2: 3.0, 3: 1.0, 4: 9.0}
    columns: dict[str, list[Any]] = {
        "tmdb_id": list(now),
        "span_days": [7] * 4,
        "popularity": list(now.values()),
        "popularity_before": [2.0] * 4,
        "popularity_usual": [2.1] * 4,
        "popularity_rank": [2, 3, 4, 1],
        "popularity_rank_before": [3, 1, 2, 4],
        "change_percentile": [0.97, 0.995, 0.1, 0.999],
        "is_own_record": [True, None, False, True],
        "breakout_score": [0.96, 0.995, None, 0.99],
        "is_breakout": [False, True, False, True],
    }
    with engine.begin() as connection:
        movers.replace_movers(connection, LAST - dt.timedelta(days=1), columns)
        assert movers.replace_movers(connection, LAST, columns) == 4
        assert movers.replace_movers(connection, LAST, {name: [] for name in columns}) == 0
        assert connection.execute(text(COUNTS)).all() == [(LAST - dt.timedelta(days=1), 4)]
        movers.replace_movers(connection, LAST, columns)
    with engine.connect() as connection:
        lists = {order: movers.top_movers(connection, 7, order, 10) for order in movers.ORDERS}
    assert {order: [row["tmdb_id"] for row in rows] for order, rows in lists.items()} == {
        "breakouts": [2, 1],
        "rising": [1, 2],
        "falling": [3],
    }
    assert (lists["rising"][0]["change_factor"], lists["rising"][0]["rank_change"]) == (4.0, 1)
