from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sqlalchemy import Boolean, Double, Text

from horror_pipeline.transform.features import (
    FEATURES,
    FROM_DETAILS,
    TARGETS,
    build_features,
    build_listed_features,
    feature_names,
)
from horror_pipeline.warehouse import tables
from horror_pipeline_tests.modeling.films import AS_OF, described

Builder = Callable[[pd.DataFrame], pd.DataFrame]
NAMES = [feature.name for feature in FEATURES]
ONLY_AFTER_RELEASE = [name for name in feature_names("after_release") if name not in feature_names("before_release")]


def build(films: pd.DataFrame) -> pd.DataFrame:
    return build_features(films, AS_OF)


def film(tmdb_id: int, release_date: str | None, **columns: object) -> dict[str, object]:
    return {
        "tmdb_id": tmdb_id,
        "title": "It",
        "original_title": "It",
        "original_language": "en",
        "release_date": None if release_date is None else dt.date.fromisoformat(release_date),
        "runtime_minutes": 90,
        "genres": ["Horror"],
        "directors": [],
        "collection_id": None,
        "popularity": 1.0,
        "vote_average": 5.0,
        "vote_count": 20,
        "prerelease_popularity": None,
        **columns,
    }


def features_of(*films: dict[str, object]) -> pd.DataFrame:
    return build(pd.DataFrame(list(films))).set_index("tmdb_id")


# -- leaks -------------------------------------------------------------------------------------------------------------


def changed_by(build: Builder, films: pd.DataFrame, **columns: Any) -> list[str]:
    """The features that differ for the films given when these columns are otherwise."""
    before, after = build(films).set_index("tmdb_id"), build(films.assign(**columns)).set_index("tmdb_id")
    after = after.loc[before.index]
    return [name for name in NAMES if not before[name].equals(after[name])]


def what_later_films_change(build: Builder, films: pd.DataFrame) -> list[str]:
    """The features of the earlier half that differ once the later half is known too."""
    ordered = films.sort_values("release_date").reset_index(drop=True)
    half = len(ordered) // 2
    while ordered["release_date"][half] == ordered["release_date"][half - 1]:
        half += 1
    alone = build(ordered[:half]).set_index("tmdb_id")
    together = build(ordered).set_index("tmdb_id").loc[alone.index]
    return [name for name in alone.columns if name in together and not alone[name].equals(together[name])]


def test_before_release_nothing_hangs_on_votes_rating_or_popularity() -> None:
    films = described(120)
    assert changed_by(build, films, popularity=99.0, vote_average=1.0) == []
    assert changed_by(build, films, vote_count=7.0) == ONLY_AFTER_RELEASE


def test_no_feature_hangs_on_the_id_or_on_the_order_of_rows() -> None:
    films = described(120)
    before = build(films)[[*NAMES, "release_date"]]
    renumbered = build(films.assign(tmdb_id=np.arange(len(films))))
    order = ["release_date", "title_length", "vote_count"]
    pd.testing.assert_frame_equal(
        before.sort_values(order, ignore_index=True)[NAMES], renumbered.sort_values(order, ignore_index=True)[NAMES]
    )
    pd.testing.assert_frame_equal(build(films), build(films.sample(frac=1, random_state=2)))


def test_no_feature_hangs_on_later_films() -> None:
    assert what_later_films_change(build, described(160)) == []


def test_a_feature_from_the_future_would_be_caught() -> None:
    def leaking(films: pd.DataFrame) -> pd.DataFrame:
        frame = build(films)
        by_id = films.set_index("tmdb_id").loc[frame["tmdb_id"]]
        by_director = by_id.groupby(by_id["directors"].str[0])["vote_average"].transform("mean")
        return frame.assign(director_earlier_films=by_director.to_numpy())

    films = described(160)
    assert what_later_films_change(leaking, films) == ["director_earlier_films"]
    assert changed_by(leaking, films, vote_average=1.0) == ["director_earlier_films"]


def test_no_feature_says_that_a_length_is_missing() -> None:
    films = described(60)
    assert changed_by(build, films, runtime_minutes=np.nan) == ["runtime_minutes"]


# -- meaning -----------------------------------------------------------------------------------------------------------


def test_history_counts_films_released_strictly_earlier() -> None:
    one, two = {"directors": ["Ann"]}, {"directors": ["Bob", "Ann"]}
    found = features_of(
        film(1, "2020-01-01", **one),
        film(2, "2021-01-01", **two),
        film(3, "2021-01-01", **one),
        film(4, "2022-01-01", **two, collection_id=7),
        film(5, "2023-01-01", directors=None, collection_id=7),
    )
    assert found["director_earlier_films"].to_dict() == {1: 0, 2: 1, 3: 1, 4: 3, 5: 0}
    assert found["director_years_since_last"].round(2).fillna(-1).to_dict() == {1: -1, 2: 1, 3: 1, 4: 1, 5: -1}
    assert found["collection_earlier_films"].to_dict() == {1: 0, 2: 0, 3: 0, 4: 0, 5: 1}


def test_films_that_are_only_announced_are_nobody_s_earlier_films() -> None:
    ann = {"directors": ["Ann"]}
    found = features_of(film(1, "2027-01-01", **ann), film(2, "2027-06-01", **ann), film(3, None, **ann))
    assert found["director_earlier_films"].to_list() == [0, 0, 0]


def test_a_film_without_a_date_knows_the_films_that_are_out() -> None:
    ann = {"directors": ["Ann"]}
    found = features_of(film(1, "2020-01-01", **ann), film(2, None, **ann))
    assert found.loc[2, ["stage", "director_earlier_films", "days_since_release"]].to_list() == ["before_release", 1, 0]
    assert found.loc[2, ["release_year", "is_october", "season_sin"]].isna().all()


def test_the_stage_changes_on_the_day_of_release() -> None:
    found = features_of(film(1, "2026-11-22"), film(2, "2026-11-23"))
    assert found["stage"].to_dict() == {1: "after_release", 2: "before_release"}
    assert found["days_since_release"].to_list() == [0, 0]


def test_unknown_is_missing_not_zero() -> None:
    found = features_of(film(1, "2020-01-01", runtime_minutes=0, vote_count=None, original_language=None))
    assert found.loc[1, ["runtime_minutes", "vote_count", "log_vote_count"]].isna().all()
    assert found.loc[1, "original_language"] is None


@pytest.mark.parametrize(
    ("title", "flag", "expected"),
    [
        ("Saw III", "is_sequel_title", 1),
        ("Friday the 13th Part 2", "is_sequel_title", 1),
        ("Hell House LLC: Chapter Two", "is_sequel_title", 1),
        ("I Know", "is_sequel_title", 0),
        ("Seven", "is_sequel_title", 0),
        ("Alien: Covenant", "has_subtitle", 1),
        ("Spider-Baby", "has_subtitle", 0),
        ("28 Days Later", "has_title_digit", 1),
        ("", "is_sequel_title", 0),
    ],
)
def test_titles_are_read(title: str, flag: str, expected: int) -> None:
    assert features_of(film(1, "2020-01-01", title=title)).loc[1, flag] == expected


def test_genres_become_flags_and_a_new_one_only_counts() -> None:
    found = features_of(film(1, "2020-01-01", genres=["Horror", "Drama", "Cozy"]), film(2, "2020-01-02", genres=None))
    assert found.loc[1, ["is_drama", "is_comedy", "genre_count"]].to_list() == [1, 0, 3]
    assert found.loc[2, ["is_drama", "genre_count"]].to_list() == [0, 0]


def test_no_films_make_no_rows() -> None:
    assert list(build(described(40).head(0)).columns[-2:]) == list(TARGETS)


# -- the table ---------------------------------------------------------------------------------------------------------


def test_the_table_has_a_column_per_feature_of_its_kind() -> None:
    kinds = {"number": Double, "flag": Boolean, "category": Text, "history": Double}
    columns = [(column.name, type(column.type)) for column in tables.movie_features.columns][4:-2]
    assert columns == [(feature.name, kinds[feature.kind]) for feature in FEATURES]
    assert [column.name for column in tables.movie_features.columns][-2:] == list(TARGETS)


def test_a_listed_film_has_every_feature_but_those_of_its_details() -> None:
    listed = pd.DataFrame([film(1, "2020-01-01", genres=["Drama"]), film(2, "2021-01-01", genres=["Horror"])])
    found = build_listed_features(listed.drop(columns=["runtime_minutes", "directors", "collection_id"]), AS_OF)
    whole = build_features(listed, AS_OF)
    assert found[[*FROM_DETAILS]].isna().all(axis=None)
    pd.testing.assert_frame_equal(found.drop(columns=[*FROM_DETAILS]), whole.drop(columns=[*FROM_DETAILS]))
    assert found["is_horror"].to_list() == [0, 1]
