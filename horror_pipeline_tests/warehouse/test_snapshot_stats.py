from __future__ import annotations

import pytest
from sqlalchemy import Engine

from horror_pipeline.warehouse import snapshot_stats
from horror_pipeline_tests.warehouse.history import DAY, NOON, ONE_DAY, add_films, put


def test_a_day_is_compared_with_the_stored_day_before(engine: Engine) -> None:
    with engine.begin() as connection:
        add_films(connection, range(30))
        add_films(connection, [30], gone_at=NOON)
        put(connection, DAY - 3 * ONE_DAY, {number: 1.0 for number in range(40)})
        put(connection, DAY, {number: 1.0 + 0.01 * number for number in range(27)} | {50: 0.0})
        figures = snapshot_stats.day_figures(connection, DAY)
    assert (figures.rows, figures.previous_day, figures.previous_rows) == (28, DAY - 3 * ONE_DAY, 40)
    assert figures.compared_films == 27
    assert figures.scale_ratio == pytest.approx(1.13)
    assert (figures.covered_films, figures.existing_films) == (27, 30)
    assert not figures.is_scale_broken


def test_the_first_day_is_compared_with_nothing(engine: Engine) -> None:
    with engine.begin() as connection:
        put(connection, DAY - 10 * ONE_DAY, {1: 1.0})  # too long ago
        put(connection, DAY, {1: 1.0})
        figures = snapshot_stats.day_figures(connection, DAY)
    assert (figures.previous_day, figures.previous_rows, figures.scale_ratio) == (None, 0, None)
    assert not figures.is_scale_broken


@pytest.mark.parametrize(("factor", "is_broken"), [(0.05, True), (20.0, True), (0.7, False), (1.5, False)])
def test_a_break_of_the_scale_is_seen_on_its_first_day_only(engine: Engine, factor: float, is_broken: bool) -> None:
    with engine.begin() as connection:
        add_films(connection, range(100))
        for offset in range(-4, 5):
            scale = factor if offset >= 0 else 1.0
            put(connection, DAY + offset * ONE_DAY, {number: scale * (1 + number) for number in range(100)})
        broken = [
            offset
            for offset in range(-3, 5)
            if snapshot_stats.day_figures(connection, DAY + offset * ONE_DAY).is_scale_broken
        ]
        assert broken == ([0] if is_broken else [])
        assert snapshot_stats.latest_scale_break(connection) == (DAY if is_broken else None)


def test_few_films_break_no_scale(engine: Engine) -> None:
    with engine.begin() as connection:
        add_films(connection, range(5))
        put(connection, DAY - ONE_DAY, {number: 1.0 for number in range(5)})
        put(connection, DAY, {number: 10.0 for number in range(5)})
        assert not snapshot_stats.day_figures(connection, DAY).is_scale_broken
        assert snapshot_stats.latest_scale_break(connection) is None


def test_rows_of_days_to_come_are_counted(engine: Engine) -> None:
    with engine.begin() as connection:
        put(connection, DAY, {1: 1.0, 2: 1.0})
        put(connection, DAY + ONE_DAY, {1: 1.0})
        assert snapshot_stats.future_rows(connection, today=DAY) == 1
        assert snapshot_stats.future_rows(connection, today=DAY + ONE_DAY) == 0
