"""The assets of learning over catalogues as nobody would wish them: a reason or sensible numbers, never a crash."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from typing import Any

import dagster as dg
import numpy as np
import pandas as pd
import pytest
from sqlalchemy import Engine

from horror_pipeline.modeling.specs import MODELS
from horror_pipeline_tests.defs.trainings import LEARNT, TRAINING, Learning
from horror_pipeline_tests.modeling.films import AS_OF, movies

Change = Callable[[pd.DataFrame], pd.DataFrame]
POPULARITY = ("popularity_before_release", "popularity_after_release")
RATING = ("rating_before_release", "rating_after_release")


@pytest.fixture
def runs(engine: Engine, few_trees: None) -> Iterator[Learning]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield Learning(engine, instance)


def catalogue(released: int, upcoming: int = 6) -> pd.DataFrame:
    """Invented films, as `movies` takes them; everything unknown is None."""
    films = movies(released, upcoming=upcoming).astype("object")
    return films.where(films.notna(), None)


def assert_all_numbers_are_numbers(runs: Learning, told: dict[str, dict[str, Any]]) -> None:
    for table in LEARNT:
        for row in runs.rows(f"SELECT * FROM {table}"):
            _assert_finite(row, table)
    _assert_finite(told, "metadata")


def _assert_finite(value: object, where: str) -> None:
    if isinstance(value, float):
        assert np.isfinite(value), where
    elif isinstance(value, dict):
        for name, item in value.items():
            assert item is not None, f"{where}: {name}"  # how a NaN is stored in jsonb
            _assert_finite(item, f"{where}: {name}")
    elif isinstance(value, list | tuple):
        for item in value:
            _assert_finite(item, where)


def odd_films(films: pd.DataFrame) -> pd.DataFrame:
    """One film of each kind that can come along."""
    odd, newest = films.copy(), films.index[-1]
    genres = {9: ["Horror"], newest: ["Horror", "Musical of Tomorrow"]}
    odd["genres"] = [genres.get(place, names) for place, names in films["genres"].items()]
    odd.loc[3, "release_date"] = None
    odd.loc[4, "vote_count"] = 1_000_000
    odd.loc[5, "popularity"] = None
    odd.loc[6, ["vote_average", "vote_count"]] = [None, None]
    odd.loc[7, "original_language"] = None
    odd.loc[8, "popularity"] = 0.0
    odd.loc[newest, "original_language"] = "tlh"
    odd.loc[newest, "title"] = ""
    return odd


def without(*columns: str) -> Change:
    return lambda films: films.assign(**dict.fromkeys(columns))


def all_alike(films: pd.DataFrame) -> pd.DataFrame:
    return films.assign(
        runtime_minutes=None,
        directors=pd.Series([[]] * len(films)),
        genres=pd.Series([["Horror"]] * len(films)),
        title="It",
        original_language="en",
    )


LEARNT_FROM: dict[str, Change] = {
    "odd films": odd_films,
    "nothing known but dates and votes": all_alike,
    "no lengths": without("runtime_minutes", "collection_id"),
}


@pytest.mark.parametrize("change", LEARNT_FROM.values(), ids=LEARNT_FROM)
def test_whatever_films_lack_every_one_is_predicted(runs: Learning, change: Change) -> None:
    films = change(catalogue(90))
    runs.store(films)
    told = runs.run()
    assert told["popularity_after_release"]["outcome"] == "promoted"
    released = runs.value("SELECT count(*) FROM model_predictions WHERE predicted_popularity IS NOT NULL")
    assert released >= 89
    assert_all_numbers_are_numbers(runs, told)


NOTHING_TO_LEARN: dict[str, tuple[int, Change, dict[str, str]]] = {
    "one film too few": (59, lambda films: films, dict.fromkeys(MODELS, "59 released films")),
    "upcoming films only": (
        0,
        lambda films: films,
        dict.fromkeys(MODELS, "0 released films"),
    ),
    "one popularity": (
        61,
        lambda films: films.assign(popularity=2.5),
        dict.fromkeys(POPULARITY, "the same popularity"),
    ),
    "no popularity": (61, without("popularity"), dict.fromkeys(POPULARITY, "0 released films")),
    "no date": (61, without("release_date"), dict.fromkeys(MODELS, "0 released films")),
    "one day": (
        61,
        lambda films: films.assign(release_date=AS_OF.date() - dt.timedelta(days=9)),
        dict.fromkeys(MODELS, "fewer than ten days"),
    ),
}


@pytest.mark.parametrize(("released", "change", "reasons"), NOTHING_TO_LEARN.values(), ids=NOTHING_TO_LEARN)
def test_where_there_is_nothing_to_learn_the_run_says_why(
    runs: Learning, released: int, change: Change, reasons: dict[str, str]
) -> None:
    runs.store(change(catalogue(released, upcoming=70 if released == 0 else 6)))
    told = runs.run()
    for name, reason in reasons.items():
        assert told[name]["outcome"] == "skipped"
        assert reason in told[name]["reason"]
    assert_all_numbers_are_numbers(runs, told)


def test_sixty_one_films_are_enough(runs: Learning) -> None:
    runs.store(catalogue(61))
    told = runs.run()
    assert {told[name]["outcome"] for name in POPULARITY} <= {"promoted", "skipped"}
    assert all("needed" not in told[name]["reason"] for name in MODELS)
    assert_all_numbers_are_numbers(runs, told)


def test_a_batch_holds_only_what_champions_predict(runs: Learning) -> None:
    """Ratings that are all alike leave popularity to be predicted."""
    runs.store(catalogue(90).assign(vote_average=6.0))
    told = runs.run()
    for name in RATING:
        assert told[name]["outcome"] == "skipped"
        assert "the same vote_average" in told[name]["reason"]
    assert runs.rows(
        "SELECT DISTINCT predicted_vote_average IS NULL, predicted_popularity IS NULL FROM model_predictions "
        "WHERE stage = 'after_release'"
    ) == [(True, False)]
    assert_all_numbers_are_numbers(runs, told)


def test_a_popularity_far_outside_the_catalogue_changes_no_other_film_s_prediction(runs: Learning) -> None:
    films = catalogue(90)
    films["directors"] = [[]] * len(films)
    films["collection_id"] = None
    spoiled = int(films["tmdb_id"].iloc[40])
    predicted = """
        SELECT tmdb_id, predicted_popularity, popularity_lower, popularity_upper, predicted_vote_average,
               vote_average_lower, vote_average_upper FROM latest_predictions WHERE tmdb_id <> {} ORDER BY 1
    """
    runs.store(films[films["tmdb_id"] != spoiled])
    runs.run(*TRAINING[:-3])
    before = runs.rows(predicted.format(spoiled))
    with runs.engine.begin() as connection:
        for table in ("movies", "movie_features", "training_state", "model_versions", "model_predictions"):
            connection.exec_driver_sql(f"DELETE FROM {table}")
    films.loc[films["tmdb_id"] == spoiled, "popularity"] = 1e8
    runs.store(films)
    runs.run()
    assert len(before) == 95
    assert before[0][1] is not None
    assert runs.rows(predicted.format(spoiled)) == before
    assert runs.value(f"SELECT popularity FROM movies WHERE tmdb_id = {spoiled}") == 1e8
    assert runs.value(f"SELECT predicted_popularity FROM latest_predictions WHERE tmdb_id = {spoiled}") < 1e4
