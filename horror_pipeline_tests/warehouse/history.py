from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from typing import Any

from sqlalchemy import Connection

from horror_pipeline.warehouse import bulk, snapshots
from horror_pipeline.warehouse.bulk import WriteCounts
from horror_pipeline.warehouse.tables import movie_snapshots, movies

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


def put(connection: Connection, day: dt.date, popularity: dict[int, float]) -> WriteCounts:
    snapshots.ensure_months(connection, [day])
    snapshots.lock_day(connection, day)
    rows = day_rows(day, popularity)
    columns = {name: [row[name] for row in rows] for name in movie_snapshots.columns.keys()}  # noqa: SIM118
    return snapshots.replace_day(connection, day, columns)
