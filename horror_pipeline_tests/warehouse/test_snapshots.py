from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, func, insert, select, text

from horror_pipeline.errors import WarehouseError
from horror_pipeline.warehouse import bulk, data_source, retention, snapshot_stats, snapshots, tables
from horror_pipeline.warehouse.snapshots import DayCounts
from horror_pipeline.warehouse.tables import discover_pages, movie_snapshots, movies

DAY = dt.date(2026, 11, 20)
NOON = dt.datetime(2026, 11, 20, 12, tzinfo=dt.UTC)
ONE_DAY = dt.timedelta(days=1)


def add_films(connection: Connection, ids: Iterable[int], at: dt.datetime = NOON, **values: Any) -> None:
    instants = {name: at for name in ("first_seen_at", "observed_at", "details_fetched_at")}
    film = {"title": "Film", "genres": ["Horror"], "is_adult": False} | instants | values
    bulk.copy_upsert(connection, movies, [film | {"tmdb_id": tmdb_id} for tmdb_id in ids])


def day_rows(day: dt.date, popularity: dict[int, float]) -> list[dict[str, Any]]:
    rest = {"popularity_percentile": 1.0, "vote_count": None, "vote_average": None, "source": "export"}
    return [
        {"tmdb_id": tmdb_id, "snapshot_date": day, "popularity": value, "export_date": day} | rest
        for tmdb_id, value in popularity.items()
    ]


def put(connection: Connection, day: dt.date, popularity: dict[int, float]) -> DayCounts:
    snapshots.ensure_months(connection, [day])
    snapshots.lock_day(connection, day)
    rows = day_rows(day, popularity)
    columns = {name: [row[name] for row in rows] for name in movie_snapshots.columns.keys()}  # noqa: SIM118
    return snapshots.replace_day(connection, day, columns)


# -- months and days ---------------------------------------------------------------------------------------------------


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
    assert snapshots.is_partition("movie_snapshots_2026_11")
    assert not snapshots.is_partition("movie_snapshots")


def test_the_database_itself_refuses_a_film_twice_a_day(engine: Engine) -> None:
    with engine.begin() as connection:
        put(connection, DAY, {1: 1.0})
        with pytest.raises(Exception, match="duplicate key"), connection.begin_nested():
            bulk.copy_rows(connection, movie_snapshots, day_rows(DAY, {1: 2.0}))


def test_a_day_is_replaced_as_a_whole(engine: Engine) -> None:
    with engine.begin() as connection:
        assert put(connection, DAY, {1: 1.0, 2: 2.0, 3: 3.0}) == DayCounts(rows=3, new=3, changed=0, removed=0)
        put(connection, DAY + ONE_DAY, {1: 9.0})
        assert put(connection, DAY, {2: 2.0, 3: 3.5, 4: 4.0}) == DayCounts(rows=3, new=1, changed=1, removed=1)
        query = select(movie_snapshots.c.tmdb_id, movie_snapshots.c.popularity).where(
            movie_snapshots.c.snapshot_date == DAY
        )
        assert sorted(connection.execute(query).all()) == [(2, 2.0), (3, 3.5), (4, 4.0)]
        assert snapshots.snapshot_days(connection) == {DAY, DAY + ONE_DAY}


def test_a_day_taken_again_rewrites_nothing(engine: Engine) -> None:
    with engine.begin() as connection:
        put(connection, DAY, {1: 1.0, 2: 2.0})
    where = text("SELECT tmdb_id, ctid::text, xmin::text FROM movie_snapshots ORDER BY 1")
    with engine.connect() as connection:
        before = connection.execute(where).all()
    with engine.begin() as connection:
        assert put(connection, DAY, {1: 1.0, 2: 2.0}) == DayCounts(rows=2, new=0, changed=0, removed=0)
    with engine.connect() as connection:
        assert connection.execute(where).all() == before


def test_a_day_may_become_empty(engine: Engine) -> None:
    with engine.begin() as connection:
        put(connection, DAY, {1: 1.0})
        assert put(connection, DAY, {}).removed == 1
        assert snapshots.snapshot_days(connection) == set()


def test_known_films_are_those_of_movies(engine: Engine) -> None:
    with engine.begin() as connection:
        assert snapshots.known_ids(connection) == set()
        add_films(connection, [1, 5])
        assert snapshots.known_ids(connection) == {1, 5}


# -- listings ----------------------------------------------------------------------------------------------------------


def add_page(connection: Connection, results: Any, at: dt.datetime, page: int = 1) -> None:
    row = {"release_year": 2026, "listing": "released", "sweep": 1, "slice_start_date": DAY, "page": page}
    connection.execute(insert(discover_pages).values(**row, payload={"results": results}, fetched_at=at))


def test_a_days_listing_is_what_was_read_on_that_utc_day_of_known_films(engine: Engine) -> None:
    film = {"popularity": 1.5, "vote_count": 10, "vote_average": 6.25}
    with engine.begin() as connection:
        add_films(connection, [1, 2, 3])
        add_page(connection, [film | {"id": 1}, film | {"id": 99}], dt.datetime(2026, 11, 20, tzinfo=dt.UTC))
        add_page(connection, [film | {"id": 2}], dt.datetime(2026, 11, 20, 23, 59, tzinfo=dt.UTC), page=2)
        add_page(connection, [film | {"id": 3}], dt.datetime(2026, 11, 21, tzinfo=dt.UTC), page=3)
        listed = snapshots.listed_on(connection, DAY)
    assert [row["tmdb_id"] for row in listed] == [1, 2]
    assert listed[0] == {"tmdb_id": 1} | film


@pytest.mark.parametrize(
    "results",
    [
        None,
        "no list",
        [],
        [None, 5, "text", []],
        [{"id": "1"}, {"id": None}, {"id": 1.5}, {"id": 1e300}, {}],
    ],
)
def test_a_listing_of_another_shape_is_no_films(engine: Engine, results: Any) -> None:
    with engine.begin() as connection:
        add_films(connection, [1])
        add_page(connection, results, NOON)
        assert snapshots.listed_on(connection, DAY) == []


def test_a_listing_without_numbers_has_none(engine: Engine) -> None:
    with engine.begin() as connection:
        add_films(connection, [1])
        add_page(connection, [{"id": 1, "popularity": "many", "vote_count": None, "vote_average": 10**30}], NOON)
        assert snapshots.listed_on(connection, DAY) == [
            {"tmdb_id": 1, "popularity": None, "vote_count": None, "vote_average": None}
        ]


# -- figures -----------------------------------------------------------------------------------------------------------


def test_a_day_is_compared_with_the_stored_day_before(engine: Engine) -> None:
    with engine.begin() as connection:
        add_films(connection, range(30))
        add_films(connection, [30], gone_at=NOON)
        put(connection, DAY - 3 * ONE_DAY, {number: 1.0 for number in range(40)})
        put(connection, DAY, {number: 1.0 + 0.01 * number for number in range(27)} | {50: 0.0})
        figures = snapshot_stats.day_figures(connection, DAY)
    assert (figures.rows, figures.previous_day, figures.previous_rows) == (28, DAY - 3 * ONE_DAY, 40)
    assert (figures.compared_films, figures.scale_ratio) == (27, pytest.approx(1.13))
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


# -- how long data is kept ---------------------------------------------------------------------------------------------

OLD, NEW = dt.datetime(2026, 6, 9, tzinfo=dt.UTC), dt.datetime(2026, 6, 10, tzinfo=dt.UTC)
LIMIT = NEW.date()


def fill(connection: Connection) -> None:
    """A row just too old and one just young enough in every table."""
    for number, at in ((1, OLD), (2, NEW)):
        add_films(connection, [number], at=at)
        put(connection, at.date(), {number: 1.0})
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
    aging = set(tables.TABLES) - retention.KEPT
    assert set(deleted) == aging
    assert deleted == {name: 3 if name == "movie_snapshots" else 1 for name in aging}
    assert left == {name: 2 if name in retention.KEPT - {"data_source"} else 1 for name in tables.TABLES}


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


def test_purging_gives_up_when_a_table_is_in_use(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshots, "LOCK_SECONDS", 1)
    with engine.begin() as connection:
        put(connection, dt.date(2026, 4, 30), {1: 1.0})
    with engine.begin() as reader:
        reader.execute(select(movie_snapshots))
        with pytest.raises(WarehouseError, match="in use for 1 seconds; nothing was deleted"), engine.begin() as writer:
            retention.purge(writer, LIMIT)
    with engine.begin() as connection:
        assert snapshots.snapshot_days(connection) == {dt.date(2026, 4, 30)}
