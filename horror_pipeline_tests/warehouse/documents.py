from __future__ import annotations

import datetime as dt
import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Engine, text

from horror_pipeline.warehouse import raw
from horror_pipeline.warehouse.stale_details import due_details

NOW = dt.datetime(2026, 11, 22, 12, tzinfo=dt.UTC)


DAY = dt.timedelta(days=1)


TODAY = NOW.date()


def read(engine: Engine, tmdb_id: int, at: dt.datetime, **extra: Any) -> Counter[str]:
    """Store a details document of the year 2020."""
    body = {"id": tmdb_id, "release_date": extra.pop("release_date", "2020-05-05"), **extra.pop("body", {})}
    with engine.begin() as connection:
        return raw.write_details(connection, [document(2020, tmdb_id, at, payload=json.dumps(body), **extra)])[2020]


def document(release_year: int, tmdb_id: int, at: dt.datetime, **values: Any) -> dict[str, Any]:
    return {
        "release_year": release_year,
        "tmdb_id": tmdb_id,
        "fetched_at": at,
        "payload": "{}",
        "payload_hash": f"digest {tmdb_id}",
        "missing_parts": [],
        **values,
    }


def gone(engine: Engine, tmdb_id: int, at: dt.datetime) -> Counter[str]:
    """Store that TMDB has no such film any more."""
    with engine.begin() as connection:
        return raw.write_details(connection, [document(2020, tmdb_id, at, payload=None, payload_hash=None)])[2020]


def sweep(engine: Engine, ids: Sequence[Any], year: int = 2020, at: dt.datetime = NOW) -> None:
    page = json.dumps({"results": [{"id": one} for one in ids]})
    row = {"listing": "released", "sweep": 1, "page": 1, "payload": page}
    row |= {"slice_start_date": dt.date(year, 1, 1), "slice_end_date": dt.date(year, 12, 31)}
    with engine.begin() as connection:
        raw.replace_sweep(connection, year, [row], [one for one in ids if isinstance(one, int)], at)


def change(engine: Engine, day: dt.date, ids: Sequence[int] = ()) -> None:
    page = json.dumps({"results": [{"id": one, "adult": None} for one in ids]})
    with engine.begin() as connection:
        raw.replace_changes(connection, day, [(1, page)], NOW)


def due(engine: Engine, now: dt.datetime = NOW, years: Sequence[int] = (2020,)) -> dict[int, str]:
    with engine.connect() as connection:
        found = due_details(connection, years, now, retention_days=180)
    assert len({one.tmdb_id for one in found}) == len(found)
    return {one.tmdb_id: one.reason for one in found}


def collect_every_day(engine: Engine, since: dt.datetime, now: dt.datetime = NOW) -> None:
    """As the daily job does: changes of every closed day, none of them of our films."""
    for number in range((now.date() - since.date()).days):
        change(engine, since.date() + number * DAY)


def stored(engine: Engine, what: str) -> Any:
    with engine.connect() as connection:
        return connection.execute(text(what)).scalar()
