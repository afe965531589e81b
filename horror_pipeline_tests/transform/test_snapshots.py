from __future__ import annotations

import datetime as dt
from typing import Any

import pandas as pd
import pytest

from horror_pipeline.transform.snapshots import COLUMNS, snapshot_of_day

DAY = dt.date(2026, 11, 20)
LISTED = ["tmdb_id", "popularity", "vote_count", "vote_average"]


def rows(exported: dict[int, float], listed: list[tuple[Any, ...]] = [], stored: list[tuple[Any, ...]] = []) -> Any:  # noqa: B006
    frame = snapshot_of_day(
        DAY, exported, pd.DataFrame(listed, columns=LISTED), pd.DataFrame(stored, columns=[*LISTED, "source"])
    )
    assert list(frame.columns) == COLUMNS
    found = frame.astype(object).where(frame.notna(), None).set_index("tmdb_id")
    return found.to_dict("index")


def test_popularity_is_the_exports_and_votes_are_the_listings() -> None:
    found = rows({1: 2.5, 2: 1.0}, listed=[(1, 99.0, 10, 6.5)])
    assert found[1] | {"popularity_percentile": None} == {
        "snapshot_date": DAY,
        "popularity": 2.5,
        "popularity_percentile": None,
        "vote_count": 10,
        "vote_average": 6.5,
        "source": "export",
        "export_date": DAY,
    }
    assert (found[2]["vote_count"], found[2]["vote_average"]) == (None, None)


def test_a_film_the_export_leaves_out_has_the_listings_popularity() -> None:
    found = rows({1: 2.5}, listed=[(2, 3.5, 4, 5.0)])
    assert (found[2]["popularity"], found[2]["source"], found[2]["export_date"]) == (3.5, "listing", None)


def test_a_day_taken_again_keeps_the_votes_and_listed_films_it_had() -> None:
    stored = [(1, 2.0, 10, 6.5, "export"), (2, 3.5, 4, 5.0, "listing"), (3, 9.0, 1, 1.0, "export")]
    found = rows({1: 2.5}, stored=stored)
    assert (found[1]["popularity"], found[1]["vote_count"], found[1]["vote_average"]) == (2.5, 10, 6.5)
    assert (found[2]["popularity"], found[2]["vote_count"], found[2]["source"]) == (3.5, 4, "listing")
    assert 3 not in found  # what the export no longer says, and no listing ever said, goes


def test_a_newer_listing_of_the_day_replaces_the_votes_stored() -> None:
    found = rows({1: 2.5}, listed=[(1, 2.4, 12, 6.0)], stored=[(1, 2.5, 10, 6.5, "export")])
    assert (found[1]["vote_count"], found[1]["vote_average"]) == (12, 6.0)


def test_of_a_film_listed_twice_the_last_row_counts() -> None:
    assert rows({1: 2.5}, listed=[(1, 1.0, 10, 6.5), (1, 1.0, 11, 6.6)])[1]["vote_count"] == 11


@pytest.mark.parametrize(
    ("votes", "expected"),
    [
        ((0, 0.0), (0, None)),
        ((0, 7.5), (0, None)),
        ((-5, 5.0), (None, None)),
        ((2.5, 5.0), (None, None)),
        ((12, 11.0), (12, None)),
        ((12, -1.0), (12, None)),
        ((None, 5.0), (None, None)),
        ((12, None), (12, None)),
        ((float("inf"), 5.0), (None, None)),
    ],
)
def test_votes_that_make_no_sense_are_unknown(votes: tuple[Any, Any], expected: tuple[Any, Any]) -> None:
    found = rows({1: 2.5}, listed=[(1, 1.0, *votes)])
    assert (found[1]["vote_count"], found[1]["vote_average"]) == expected


@pytest.mark.parametrize("popularity", [None, -1.0, float("nan"), float("inf")])
def test_a_listed_film_without_a_possible_popularity_has_no_row(popularity: float | None) -> None:
    assert rows({}, listed=[(1, popularity, 10, 6.5)]) == {}


def test_an_empty_day_is_no_rows() -> None:
    assert rows({}) == {}


def test_the_percentile_is_the_share_at_most_as_popular() -> None:
    found = rows({1: 3.0, 2: 1.0, 3: 3.0, 4: 2.0})
    assert [row["popularity_percentile"] for row in found.values()] == [1.0, 0.25, 1.0, 0.5]


def test_rows_come_by_film() -> None:
    assert list(rows({3: 1.0, 1: 1.0}, listed=[(2, 1.0, 1, 1.0)])) == [1, 2, 3]
