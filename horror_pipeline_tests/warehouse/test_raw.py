from __future__ import annotations

import datetime as dt
from collections import Counter

from sqlalchemy import Engine, text

from horror_pipeline.warehouse import raw
from horror_pipeline_tests.warehouse.documents import (
    DAY,
    NOW,
    change,
    document,
    due,
    gone,
    read,
    stored,
    sweep,
)


def test_what_a_batch_did_is_counted(engine: Engine) -> None:
    assert read(engine, 1, NOW - DAY) == Counter(new=1)
    assert read(engine, 1, NOW) == Counter(unchanged=1)
    assert stored(engine, "SELECT changed_at FROM raw.movie_details") == NOW - DAY
    assert stored(engine, "SELECT fetched_at FROM raw.movie_details") == NOW
    assert read(engine, 1, NOW, payload_hash="another") == Counter(changed=1)
    assert stored(engine, "SELECT changed_at FROM raw.movie_details") == NOW


def test_a_gone_film_keeps_its_document_and_the_moment_it_went(engine: Engine) -> None:
    read(engine, 1, NOW - 2 * DAY)
    assert gone(engine, 1, NOW - DAY) == Counter(gone=1)
    assert gone(engine, 1, NOW) == Counter(gone=1)
    assert stored(engine, "SELECT payload ->> 'id' FROM raw.movie_details") == "1"
    assert stored(engine, "SELECT gone_at FROM raw.movie_details") == NOW - DAY
    assert stored(engine, "SELECT changed_at FROM raw.movie_details") == NOW - DAY


def test_a_film_that_comes_back_is_gone_no_more(engine: Engine) -> None:
    gone(engine, 1, NOW - DAY)
    assert read(engine, 1, NOW) == Counter(changed=1)
    assert stored(engine, "SELECT gone_at FROM raw.movie_details") is None


def test_a_batch_may_hold_several_years(engine: Engine) -> None:
    rows = [document(year, year, NOW) for year in (2019, 2020)]
    with engine.begin() as connection:
        assert raw.write_details(connection, [*rows, document(2020, 5, NOW, payload=None)]) == {
            2019: Counter(new=1),
            2020: Counter(new=1, gone=1),
        }


def test_stored_parts_are_objects_that_are_there(engine: Engine) -> None:
    read(engine, 1, NOW, body={"credits": {"cast": []}, "keywords": None})
    with engine.connect() as connection:
        assert raw.stored_parts(connection, [1, 2], ["credits", "keywords"]) == {
            1: {"credits": {"cast": []}},
            2: {},
        }
        assert raw.stored_parts(connection, [], ["credits"]) == {}


def test_a_sweep_takes_the_place_of_the_one_before(engine: Engine) -> None:
    sweep(engine, [1, 2])
    sweep(engine, [3])
    assert due(engine) == {3: "new"}


def test_first_read_and_collected_days(engine: Engine) -> None:
    with engine.connect() as connection:
        assert raw.first_read_date(connection) is None
    read(engine, 1, dt.datetime(2026, 11, 20, 23, 30, tzinfo=dt.UTC))
    read(engine, 2, NOW)
    change(engine, dt.date(2026, 11, 20))
    with engine.connect() as connection:
        assert raw.first_read_date(connection) == dt.date(2026, 11, 20)
        assert raw.collected_change_days(connection) == {dt.date(2026, 11, 20)}


def test_a_record_that_is_fine_again_leaves_the_rejected(engine: Engine) -> None:
    def reject(year: int, *keys: str, at: dt.datetime = NOW) -> None:
        records = [{"record_key": key, "reason": "no title", "payload": {"id": 1}, "rejected_at": at} for key in keys]
        with engine.begin() as connection:
            raw.replace_rejected(connection, "raw.movie_details", year, records)

    def rejected() -> list[tuple[str, int]]:
        with engine.connect() as connection:
            query = "SELECT record_key, release_year FROM raw.rejected_records ORDER BY 1"
            return [(row[0], row[1]) for row in connection.execute(text(query))]

    reject(2020, "1", "2")
    reject(2021, "3")
    reject(2020, "2", at=NOW + DAY)
    assert rejected() == [("2", 2020), ("3", 2021)]
    assert stored(engine, "SELECT rejected_at FROM raw.rejected_records WHERE record_key = '2'") == NOW
    read(engine, 3, NOW)  # film 3 belongs to 2020 now, and is fine
    reject(2020, "2")
    assert rejected() == [("2", 2020)]
