from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sqlalchemy import Engine, select, text

from horror_pipeline.errors import TmdbError
from horror_pipeline.warehouse import bulk
from horror_pipeline.warehouse.bulk import WriteCounts
from horror_pipeline.warehouse.tables import model_versions, movie_details, movies

NOON = dt.datetime(2026, 11, 22, 12, tzinfo=dt.UTC)


def film(tmdb_id: int, **values: Any) -> dict[str, Any]:
    row = {"tmdb_id": tmdb_id, "title": f"Film {tmdb_id}", "genres": ["Horror"], "is_adult": False, "popularity": 1.5}
    instants = {name: NOON for name in ("first_seen_at", "observed_at", "details_fetched_at")}
    return row | instants | values


def test_rows_are_counted_as_new_changed_and_unchanged(engine: Engine) -> None:
    with engine.begin() as connection:
        assert bulk.copy_upsert(connection, movies, [film(1), film(2)]) == WriteCounts(2, 0, 0)
        again = bulk.copy_upsert(connection, movies, [film(1), film(2, title="Other"), film(3)])
        assert again == WriteCounts(new=1, changed=1, unchanged=1)
        assert connection.execute(select(movies.c.title).order_by("tmdb_id")).scalars().all() == [
            "Film 1",
            "Other",
            "Film 3",
        ]


def test_of_one_key_given_twice_the_last_wins(engine: Engine) -> None:
    with engine.begin() as connection:
        counts = bulk.copy_upsert(connection, movies, [film(1, title="first"), film(2), film(1, title="last")])
        assert counts == WriteCounts(2, 0, 0)
        assert connection.execute(select(movies.c.title).where(movies.c.tmdb_id == 1)).scalar() == "last"


def test_rows_equal_in_the_compared_columns_are_not_rewritten(engine: Engine) -> None:
    later = NOON + dt.timedelta(hours=1)
    with engine.begin() as connection:
        bulk.copy_upsert(connection, movies, [film(1)])
        counts = bulk.copy_upsert(connection, movies, [film(1, observed_at=later)], compare=["title"])
        assert counts == WriteCounts(0, 0, 1)
        assert connection.execute(select(movies.c.observed_at)).scalar() == NOON


def test_columns_outside_update_are_only_set_on_new_rows(engine: Engine) -> None:
    later = NOON + dt.timedelta(hours=1)
    with engine.begin() as connection:
        bulk.copy_upsert(connection, movies, [film(1)])
        rows = [film(1, first_seen_at=later, title="New title")]
        assert bulk.copy_upsert(connection, movies, rows, update=["title"]) == WriteCounts(0, 1, 0)
        assert connection.execute(select(movies.c.title, movies.c.first_seen_at)).one() == ("New title", NOON)


def test_no_rows_are_no_work(engine: Engine) -> None:
    with engine.begin() as connection:
        assert bulk.copy_upsert(connection, movies, []) == WriteCounts(0, 0, 0)
        assert bulk.copy_rows(connection, movies, []) == 0
        assert bulk.copy_columns(connection, movies, {"tmdb_id": []}) == 0


def test_every_kind_of_value_survives_the_copy(engine: Engine) -> None:
    hostile = 'tab\t newline\n return\r backslash\\ \\N "quotes" {braces,} \U0001f47b'
    with engine.begin() as connection:
        rows = [film(1, title=hostile, keywords=[hostile, "NULL", "", "a,b"], release_date=dt.date(2026, 10, 31))]
        bulk.copy_upsert(connection, movies, rows)
        stored = connection.execute(select(movies)).mappings().one()
    assert stored["title"] == hostile
    assert stored["keywords"] == [hostile, "NULL", "", "a,b"]
    assert (stored["release_date"], stored["observed_at"], stored["is_adult"]) == (dt.date(2026, 10, 31), NOON, False)


def test_bytes_and_documents_survive_the_copy(engine: Engine) -> None:
    metrics = {"text": 'a"b\\c\nd', "nested": [{"n": 1.5}], "none": None}
    row = {
        "model_version": "v",
        "model_name": "m",
        "algorithm": "a",
        "trained_at": NOON,
        "training_rows": 1,
        "data_fingerprint": "f",
        "metrics": metrics,
        "baseline_metrics": {},
        "library_versions": {},
        "is_champion": True,
        "artifact": bytes(range(256)),
    }
    with engine.begin() as connection:
        bulk.copy_upsert(connection, model_versions, [row])
        stored = connection.execute(select(model_versions.c.metrics, model_versions.c.artifact)).one()
    assert stored.metrics == metrics
    assert bytes(stored.artifact) == bytes(range(256))


def test_what_postgres_cannot_hold_is_replaced_not_refused(engine: Engine) -> None:
    payload = {
        "nul\x00key": "nul\x00value",
        "lone": "\ud800",
        "escaped": "\\u0000",
        "both": "\\\x00",
        "nan": float("nan"),
    }
    row = {"tmdb_id": 1, "release_year": 2026, "payload": payload, "payload_hash": "a\x00b\udfff"}
    row |= {"missing_parts": ["x\x00"], "fetched_at": NOON, "changed_at": NOON}
    with engine.begin() as connection:
        bulk.copy_upsert(connection, movie_details, [row])
        stored = connection.execute(select(movie_details)).mappings().one()
    assert stored["payload"] == {
        "nul\ufffdkey": "nul\ufffdvalue",
        "lone": "\ufffd",
        "escaped": "\\u0000",
        "both": "\\\ufffd",
        "nan": None,
    }
    assert (stored["payload_hash"], stored["missing_parts"]) == ("a\ufffdb\ufffd", ["x\ufffd"])


@pytest.mark.parametrize("missing", [None, float("nan"), np.float64("nan"), pd.NA, pd.NaT])
def test_every_spelling_of_missing_is_null(engine: Engine, missing: object) -> None:
    with engine.begin() as connection:
        bulk.copy_upsert(connection, movies, [film(1, popularity=missing, runtime_minutes=missing, overview=missing)])
        stored = connection.execute(select(movies.c.popularity, movies.c.runtime_minutes, movies.c.overview)).one()
    assert stored == (None, None, None)


def test_frames_of_pandas_can_be_written(engine: Engine) -> None:
    frame = pd.DataFrame([film(1, runtime_minutes=90.0), film(2, runtime_minutes=None)])
    rows: Any = frame.to_dict("records")
    with engine.begin() as connection:
        bulk.copy_upsert(connection, movies, rows)
        stored = connection.execute(select(movies.c.runtime_minutes, movies.c.observed_at).order_by("tmdb_id")).all()
    assert stored == [(90, NOON), (None, NOON)]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"runtime_minutes": 90.5}, "not a whole number"),
        ({"observed_at": dt.datetime(2026, 1, 1)}, "no time zone"),  # noqa: DTZ001  # what is refused
        ({"no_such_column": 1}, "no column no_such_column"),
    ],
)
def test_a_value_that_does_not_fit_is_an_error_of_its_own(engine: Engine, values: dict[str, Any], message: str) -> None:
    with engine.begin() as connection, pytest.raises(ValueError, match=message):
        bulk.copy_upsert(connection, movies, [film(1, **values)])


def test_rows_without_the_key_are_refused(engine: Engine) -> None:
    with engine.begin() as connection, pytest.raises(ValueError, match="lack tmdb_id"):
        bulk.copy_upsert(connection, movies, [{"title": "x"}])


def test_an_error_while_reading_rows_arrives_as_itself_and_nothing_is_written(engine: Engine) -> None:
    def rows() -> Iterator[dict[str, Any]]:
        yield film(1)
        raise TmdbError("the source broke off")

    with pytest.raises(TmdbError, match="broke off"), engine.begin() as connection:
        bulk.copy_rows(connection, movies, rows())
    with engine.begin() as connection:
        assert connection.execute(text("SELECT count(*) FROM movies")).scalar() == 0


def test_rows_are_streamed_not_held(engine: Engine) -> None:
    read = 0

    def rows() -> Iterator[dict[str, Any]]:
        nonlocal read
        for number in range(5_000):
            read += 1
            yield film(number)

    with engine.begin() as connection:
        assert bulk.copy_rows(connection, movies, rows()) == 5_000
    assert read == 5_000
