from __future__ import annotations

import datetime as dt

from sqlalchemy import Engine, func, select, text

from horror_pipeline.warehouse import partitions, snapshots
from horror_pipeline_tests.warehouse.history import put


def test_months_are_made_when_a_day_needs_them_and_once(engine: Engine) -> None:
    with engine.begin() as connection:
        days = [dt.date(2026, 12, 31), dt.date(2027, 1, 1), dt.date(2027, 1, 31)]
        assert snapshots.ensure_months(connection, days) == ["movie_snapshots_2026_12", "movie_snapshots_2027_01"]
        assert snapshots.ensure_months(connection, days) == []
        for day in days:
            put(connection, day, {1: 1.0})
        count = select(func.count()).select_from(text("movie_snapshots_2027_01"))
        assert connection.execute(count).scalar() == 2


def test_a_month_is_known_by_its_name() -> None:
    assert partitions.is_partition("movie_snapshots_2026_11")
    assert not partitions.is_partition("movie_snapshots")
