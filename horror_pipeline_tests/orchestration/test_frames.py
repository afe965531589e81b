from __future__ import annotations

import datetime as dt

import pandas as pd
import pytest
from sqlalchemy import Engine

from horror_pipeline.orchestration.frames import read_frame
from horror_pipeline.warehouse.features import films_to_describe
from horror_pipeline.warehouse.other_movies import others_to_learn_from
from horror_pipeline_tests.warehouse.rows import NOW, fill, movie

pytestmark = pytest.mark.integration

DIRECTORS = ['O"Neill, {A}', "Ü\\b"]


def test_a_frame_holds_what_the_rows_say_and_unknown_is_missing(engine: Engine) -> None:
    told = {"original_title": 'He said "NA",\n twice', "directors": DIRECTORS, "collection_id": 5}
    fill(engine, "movies", movie(1, title="007", **told))
    untold = {"genres": [], "popularity": 0.1 + 0.2, "release_date": dt.date(1874, 5, 5)}
    fill(engine, "movies", movie(2**40, title="1408", **untold))
    fill(engine, "movies", movie(3, gone_at=NOW))
    with engine.connect() as connection:
        found = read_frame(connection, films_to_describe(None), small=["vote_average"])
    first, second = found.to_dict("records")
    assert [first[name] for name in ("tmdb_id", "title", "original_title")] == [1, "007", 'He said "NA",\n twice']
    assert (first["genres"], first["directors"], first["collection_id"]) == (("Horror",), tuple(DIRECTORS), 5.0)
    assert (second["tmdb_id"], second["genres"], second["directors"]) == (2**40, (), None)
    assert (second["popularity"], second["release_date"]) == (0.1 + 0.2, "1874-05-05")
    assert pd.isna(second["original_title"]) and pd.isna(second["runtime_minutes"])
    assert first["observed_at"] == NOW
    assert (str(found["vote_average"].dtype), str(found["vote_count"].dtype)) == ("float32", "float64")


def test_a_query_without_rows_is_an_empty_frame_with_its_columns(engine: Engine) -> None:
    with engine.connect() as connection:
        found = read_frame(connection, others_to_learn_from(NOW.date()))
    assert found.empty and {"tmdb_id", "genres", "vote_count"} <= set(found.columns)
