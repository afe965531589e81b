from __future__ import annotations

import datetime as dt
from typing import Any

from sqlalchemy import Engine, insert, text

from horror_pipeline.warehouse import tables
from horror_pipeline.warehouse.partitions import ensure_months

NOW = dt.datetime(2026, 11, 22, 12, tzinfo=dt.UTC)


TODAY = NOW.date()


DAY = dt.timedelta(days=1)


def movie(tmdb_id: int, **columns: Any) -> dict[str, Any]:
    return {
        "tmdb_id": tmdb_id,
        "title": f"Film {tmdb_id}",
        "release_date": dt.date(2020, 1, 1),
        "genres": ["Horror"],
        "is_adult": False,
        "popularity": 5.0,
        "vote_average": 6.0,
        "vote_count": 100,
        "first_seen_at": NOW,
        "observed_at": NOW,
        "details_fetched_at": NOW,
        "gone_at": None,
        **columns,
    }


def prediction(at: dt.datetime, tmdb_id: int = 1, **columns: Any) -> dict[str, Any]:
    return {
        "predicted_at": at,
        "tmdb_id": tmdb_id,
        "stage": "after_release",
        "predicted_popularity": 4.0,
        "popularity_lower": 2.0,
        "popularity_upper": 6.0,
        "predicted_vote_average": 6.0,
        "vote_average_lower": 5.0,
        "vote_average_upper": 7.0,
        "actual_popularity": 5.0,
        "actual_vote_average": 6.5,
        "actual_vote_count": 100,
        "popularity_model_version": "p",
        "vote_average_model_version": "r",
        **columns,
    }


def snapshot(day: dt.date, tmdb_id: int = 1, **columns: Any) -> dict[str, Any]:
    return {
        "tmdb_id": tmdb_id,
        "snapshot_date": day,
        "popularity": 5.0,
        "popularity_percentile": 0.5,
        "vote_count": 120,
        "vote_average": 7.5,
        "source": "listing",
        "export_date": None,
        **columns,
    }


def fill(engine: Engine, table: str, *rows: dict[str, Any]) -> None:
    with engine.begin() as connection:
        if column := tables.BY_MONTH.get(tables.TABLES[table]):
            ensure_months(connection, tables.TABLES[table], [row[column] for row in rows])
        connection.execute(insert(tables.TABLES[table]), list(rows))


def all_of(engine: Engine, query: str) -> list[tuple[Any, ...]]:
    with engine.connect() as connection:
        return [tuple(row) for row in connection.execute(text(query))]
