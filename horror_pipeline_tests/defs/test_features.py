from __future__ import annotations

import datetime as dt
from typing import Any

import dagster as dg
import pytest
from sqlalchemy import Engine, text

from horror_pipeline.defs.features import movie_features
from horror_pipeline.warehouse import bulk, snapshots
from horror_pipeline.warehouse.tables import movies

BREAK = dt.date(2026, 11, 21)
NOON = dt.datetime(2026, 11, 22, 12, tzinfo=dt.UTC)


def add_history(engine: Engine, scale_after: float) -> None:
    """Thirty films, one of them last observed before BREAK, and two days of history around it."""
    film: dict[str, Any] = {
        "title": "Film",
        "genres": ["Horror"],
        "is_adult": False,
        "popularity": 2.0,
        "vote_count": 10,
    }
    film |= {"release_date": dt.date(2020, 1, 2), "first_seen_at": NOON, "details_fetched_at": NOON}
    with engine.begin() as connection:
        rows = [
            film | {"tmdb_id": tmdb_id, "observed_at": NOON - dt.timedelta(days=tmdb_id == 1) * 2}
            for tmdb_id in range(30)
        ]
        bulk.copy_rows(connection, movies, rows)
        for day, scale in ((BREAK - dt.timedelta(days=1), 1.0), (BREAK, scale_after)):
            snapshots.ensure_months(connection, [day])
            rest: dict[str, Any] = {"snapshot_date": [day] * 30, "export_date": [day] * 30, "source": ["export"] * 30}
            values = {"tmdb_id": range(30), "popularity": [scale * (1.0 + n) for n in range(30)]}
            snapshots.replace_day(connection, day, rest | values | {"popularity_percentile": [1.0] * 30})


@pytest.mark.parametrize(("scale_after", "unknown"), [(0.05, [1]), (1.0, [])])
def test_popularity_of_an_earlier_scale_is_not_learnt_from(
    engine: Engine, scale_after: float, unknown: list[int]
) -> None:
    add_history(engine, scale_after)
    resources = {"warehouse": engine, "clock": lambda: NOON}
    with dg.DagsterInstance.ephemeral() as instance:
        dg.materialize([movie_features], instance=instance, resources=resources)
    with engine.connect() as connection:
        query = text("SELECT tmdb_id FROM movie_features WHERE popularity IS NULL")
        assert connection.execute(query).scalars().all() == unknown


def test_ages_count_to_the_moment_the_films_were_observed(engine: Engine) -> None:
    add_history(engine, 1.0)
    with dg.DagsterInstance.ephemeral() as instance:
        dg.materialize([movie_features], instance=instance, resources={"warehouse": engine, "clock": lambda: NOON})
    with engine.connect() as connection:
        query = text("SELECT DISTINCT as_of, days_since_release, stage FROM movie_features")
        assert [tuple(row) for row in connection.execute(query)] == [
            (NOON, float((NOON.date() - dt.date(2020, 1, 2)).days), "after_release")
        ]
