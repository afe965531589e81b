from __future__ import annotations

import datetime as dt

import pytest
from sqlalchemy import Engine, select

from horror_pipeline.errors import WarehouseError
from horror_pipeline.warehouse import data_source as data_source_table
from horror_pipeline.warehouse.tables import data_source

NOON = dt.datetime(2026, 11, 22, 12, tzinfo=dt.UTC)


def test_demo_and_tmdb_data_never_mix(engine: Engine) -> None:
    with engine.begin() as connection:
        data_source_table.claim_source(connection, True, "http://127.0.0.1:1/3", NOON)
        data_source_table.claim_source(connection, True, "http://127.0.0.1:2/3", NOON)
        with pytest.raises(WarehouseError, match="horror purge --all"):
            data_source_table.claim_source(connection, False, "https://api.themoviedb.org/3", NOON)
        assert connection.execute(select(data_source.c.api_url)).scalars().all() == ["http://127.0.0.1:1/3"]


def test_the_votes_a_gap_needs_follow_the_settings(engine: Engine) -> None:
    with engine.begin() as connection:
        data_source_table.claim_source(connection, True, "http://127.0.0.1:1/3", NOON)
        assert connection.execute(select(data_source.c.gap_min_votes)).scalar() == 50
        data_source_table.claim_source(connection, True, "http://127.0.0.1:1/3", NOON, gap_min_votes=7)
        assert connection.execute(select(data_source.c.gap_min_votes)).scalar() == 7
