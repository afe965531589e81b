from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, func, insert, select, text

from horror_pipeline.errors import WarehouseError
from horror_pipeline.warehouse import data_source, locks, partitions, retention, snapshots, tables
from horror_pipeline.warehouse.tables import movie_snapshots
from horror_pipeline_tests.warehouse.history import DAY, add_films, put

OLD, NEW = dt.datetime(2026, 6, 9, tzinfo=dt.UTC), dt.datetime(2026, 6, 10, tzinfo=dt.UTC)
LIMIT = NEW.date()
KEPT = {
    "data_source",
    "finished_runs",
    "forecast_group_scores",
    "forecast_scores",
    "model_versions",
    "request_counts",
    "training_state",
}
"""Tables without data of TMDB: they record its source, the work done, and how good models and forecasts were."""


def fill(connection: Connection) -> None:
    """A row just too old and one just young enough in every table."""
    for number, at in ((1, OLD), (2, NEW)):
        add_films(connection, [number], at=at)
        put(connection, at.date(), {number: 1.0})
        for table in tables.BY_MONTH:
            partitions.ensure_months(connection, table, [at.date()])
        for table in tables.TABLES.values():
            if table.name not in ("movies", "movie_snapshots", "data_source"):
                connection.execute(insert(table).values(row_for(table, number, at)))
    put(connection, dt.date(2026, 4, 30), {1: 1.0, 2: 1.0})
    data_source.claim_source(connection, False, "https://api.themoviedb.org/3", OLD)


def row_for(table: Any, number: int, at: dt.datetime) -> dict[str, Any]:
    """Something of the right type in every column that must have a value."""
    values: dict[type, Callable[[], Any]] = {
        int: lambda: number,
        float: lambda: 1.0,
        bool: lambda: False,
        str: lambda: f"value {number}",
        dt.datetime: lambda: at,
        dt.date: lambda: at.date(),
        object: lambda: {},  # jsonb
        list: lambda: ["x"],
    }
    columns = [column for column in table.columns if not column.nullable or column.primary_key]
    return {column.name: values[column.type.python_type]() for column in columns}


def test_what_is_older_than_the_limit_goes_and_the_rest_stays(engine: Engine) -> None:
    with engine.begin() as connection:
        fill(connection)
        deleted = retention.purge(connection, LIMIT)
        left = {
            name: connection.execute(select(func.count()).select_from(table)).scalar()
            for name, table in tables.TABLES.items()
        }
        assert snapshots.snapshot_days(connection) == {LIMIT}
    aging = set(tables.TABLES) - KEPT
    assert set(deleted) == aging
    assert deleted == {name: 3 if name == "movie_snapshots" else 1 for name in aging}
    assert left == {name: 2 if name in KEPT - {"data_source"} else 1 for name in tables.TABLES}


def test_months_that_are_over_are_dropped_as_tables(engine: Engine) -> None:
    with engine.begin() as connection:
        put(connection, dt.date(2026, 5, 31), {1: 1.0})
        put(connection, dt.date(2026, 6, 1), {1: 1.0})
        assert retention.purge(connection, dt.date(2026, 6, 1))["movie_snapshots"] == 1
        tables_left = text("SELECT relname FROM pg_class WHERE relname LIKE 'movie_snapshots_2026%' AND relkind = 'r'")
        assert connection.execute(tables_left).scalars().all() == ["movie_snapshots_2026_06"]


def test_a_film_goes_when_its_details_are_too_old_even_if_it_is_still_listed(engine: Engine) -> None:
    with engine.begin() as connection:
        add_films(connection, [1], at=OLD, observed_at=NEW)
        add_films(connection, [2], at=NEW)
        assert retention.purge(connection, LIMIT)["movies"] == 1
        assert snapshots.known_ids(connection) == {2}


def test_purging_all_leaves_nothing_and_lets_the_source_change(engine: Engine) -> None:
    with engine.begin() as connection:
        fill(connection)
        deleted = retention.purge_all(connection)
        assert deleted == {name: 2 for name in tables.TABLES} | {"data_source": 1, "movie_snapshots": 4}
        for table in tables.TABLES.values():
            assert connection.execute(select(func.count()).select_from(table)).scalar() == 0
        data_source.claim_source(connection, True, "http://127.0.0.1:1/3", NEW)
        put(connection, DAY, {1: 1.0})


def test_while_a_run_is_under_way_not_everything_is_purged(engine: Engine) -> None:
    with engine.begin() as connection:
        add_films(connection, [1])
    with (
        locks.kept_data(engine),
        locks.kept_data(engine),
        engine.begin() as connection,
        pytest.raises(WarehouseError, match=r"a run is under way .* let it end, or"),
    ):
        retention.purge_all(connection)
    with engine.begin() as connection:
        assert retention.purge_all(connection)["movies"] == 1


def test_purging_gives_up_when_a_table_is_in_use(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "LOCK_SECONDS", 1)
    with engine.begin() as connection:
        put(connection, dt.date(2026, 4, 30), {1: 1.0})
    with engine.begin() as reader:
        reader.execute(select(movie_snapshots))
        with (
            pytest.raises(WarehouseError, match="in use for 1 seconds, and nothing"),
            engine.begin() as writer,
        ):
            retention.purge(writer, LIMIT)
    with engine.begin() as connection:
        assert snapshots.snapshot_days(connection) == {dt.date(2026, 4, 30)}
