from __future__ import annotations

from sqlalchemy import Engine

from horror_pipeline.warehouse import movies
from horror_pipeline_tests.warehouse.documents import (
    DAY,
    NOW,
    gone,
    read,
    sweep,
)


def test_documents_stream_with_their_newest_listing_row(engine: Engine) -> None:
    read(engine, 1, NOW - DAY)
    gone(engine, 2, NOW)
    sweep(engine, [1, 1, "x"])
    found = list(movies.stream_details(engine, 2020))
    assert [(one.tmdb_id, one.listed, one.listed_at) for one in found] == [(1, {"id": 1}, NOW), (2, None, None)]
    assert found[0].payload["id"] == 1
    assert found[1].payload is None
    assert found[1].gone_at == NOW
