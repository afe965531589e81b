from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from sqlalchemy import Engine, text

from horror_pipeline.warehouse import movies, snapshots
from horror_pipeline.warehouse.stale_details import due_details
from horror_pipeline_tests.warehouse.documents import NOW, change, read
from horror_pipeline_tests.warehouse.history import add_films

TINY, LONG, WIDE = "0." + "0" * 16_000 + "1", "0." + "1" * 16_383, "9" * 5_000


def store_page(engine: Engine, results: str, table: str = "discover_pages") -> None:
    """Store a page as JSON text, as it may come from TMDB."""
    key = {
        "discover_pages": (
            "release_year, listing, sweep, slice_start_date, page",
            "2020, 'released', 1, '2020-01-01', 1",
        ),
        "movie_changes": ("change_date, page", "'2026-11-22', 1"),
    }
    names, values = key[table]
    statement = f"INSERT INTO raw.{table} ({names}, payload, fetched_at) VALUES ({values}, CAST(:page AS jsonb), :now)"
    with engine.begin() as connection:
        connection.execute(text(statement), {"page": f'{{"results": {results}}}', "now": NOW})


HOSTILE = [
    "null",
    "[null, 5, true, [], [[1]], {}]",
    '"text"',
    '[{"id": null}, {"id": "1"}, {"id": [1]}, {"id": {"id": 1}}, {"id": 0}, {"id": -1}, {"id": 1.5}, {"id": 1.0}]',
    f'[{{"id": {WIDE}}}, {{"id": 1e300}}, {{"id": {TINY}}}, {{"id": {LONG}}}, {{"id": 12345678901234567}}]',
]


@pytest.mark.parametrize("results", HOSTILE)
def test_rows_without_a_usable_id_are_not_listed(engine: Engine, results: str) -> None:
    read(engine, 1, NOW)
    with engine.begin() as connection:
        add_films(connection, [1])
    store_page(engine, results)
    store_page(engine, results, "movie_changes")
    with engine.connect() as connection:
        # Conditions on what the view casts are evaluated as well, in whatever order the planner likes.
        assert connection.execute(text("SELECT * FROM raw.listed_movies WHERE tmdb_id > 0")).all() == []
        assert connection.execute(text("SELECT * FROM raw.changed_movies WHERE tmdb_id > 0")).all() == []
        assert snapshots.listed_on(connection, NOW.date()) == []
        assert due_details(connection, [2020], NOW, retention_days=180) == []
    [stored] = movies.stream_details(engine, 2020)
    assert stored.listed is None


@pytest.mark.parametrize(
    ("number", "value"),
    [
        ("1.25", 1.25),
        ("0", 0.0),
        ("0.1234567890123456789", 0.12345678901234568),
        (TINY, 0.0),
        (LONG, pytest.approx(1 / 9)),
        (WIDE, None),
        (f"-{WIDE}", None),
        ("1e300", None),
        ("null", None),
        ('"5"', None),
        ("[5]", None),
    ],
    ids=lambda value: str(value)[:20],
)
def test_a_listed_number_is_a_number_or_unknown(engine: Engine, number: str, value: Any) -> None:
    with engine.begin() as connection:
        add_films(connection, [1])
    store_page(engine, f'[{{"id": 1, "popularity": {number}, "vote_count": {number}, "vote_average": {number}}}]')
    with engine.connect() as connection:
        [listed] = snapshots.listed_on(connection, NOW.date())
    assert [listed[name] for name in ("popularity", "vote_count", "vote_average")] == [value] * 3


def test_a_document_with_an_endless_integer_can_be_read(engine: Engine) -> None:
    with engine.begin() as connection:
        add_films(connection, [1])
    read(engine, 1, NOW)
    store_page(engine, f'[{{"id": 1, "popularity": {WIDE}}}]')
    [stored] = movies.stream_details(engine, 2020)
    assert stored.listed == {"id": 1, "popularity": float("inf")}


def test_a_change_is_found_by_its_film(engine: Engine) -> None:
    change(engine, dt.date(2026, 11, 20), [7, 8])
    with engine.connect() as connection:
        rows = connection.execute(text("SELECT tmdb_id, change_date FROM raw.changed_movies ORDER BY 1")).all()
    assert rows == [(7, dt.date(2026, 11, 20)), (8, dt.date(2026, 11, 20))]
