"""Films like a film."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from horror_pipeline.domain import SIMILAR_FILMS
from horror_pipeline.modeling.similar_movies import similar_movies

PLOTS = (
    "A haunted house keeps the family that moves into it",
    "The family of a haunted house cannot leave it",
    "A shark follows surfers along a lonely coast",
    "Surfers meet a shark near the coast",
    "An alien virus turns soldiers against each other",
    "Soldiers hunt an alien in the snow",
)


def films(count: int = len(PLOTS), **columns: Any) -> pd.DataFrame:
    """Films of which nothing but the genre of all is known, save the columns given."""
    unknown = dict.fromkeys(("overview", "keywords", "directors", "cast_names", "collection_id"))
    frame = pd.DataFrame({"tmdb_id": range(10, 10 + count), "genres": [["Horror"]] * count}).assign(**unknown)
    return frame.assign(**columns)


def nearest(found: pd.DataFrame) -> dict[int, int]:
    first = found[found["rank"] == 1]
    return dict(zip(first["tmdb_id"], first["similar_tmdb_id"], strict=True))


PAIRS = {10: 11, 11: 10, 12: 13, 13: 12, 14: 15, 15: 14}


@pytest.mark.parametrize(
    "columns",
    [
        {"overview": list(PLOTS)},
        {"keywords": [["ghost"], ["ghost"], ["shark"], ["shark"], ["alien"], ["alien"]]},
        {"directors": [["Ann"], ["Ann"], ["Bo"], ["Bo"], ["Cy"], ["Cy"]]},
        {"cast_names": [["Ann", "X"], ["Ann", "Y"], ["Bo"], ["Bo"], ["Z", "Cy"], ["Cy"]]},
        {"collection_id": [1, 1, 2, 2, 3.0, 3]},
        {"genres": [["Horror", name] for name in ("Drama", "Drama", "Comedy", "Comedy", "War", "War")]},
    ],
    ids=lambda columns: next(iter(columns)),
)
def test_films_are_near_by_each_of_what_they_are_compared_by(columns: dict[str, Any]) -> None:
    assert nearest(similar_movies(films(**columns))) == PAIRS


def test_what_no_two_films_share_and_what_all_share_makes_no_film_similar() -> None:
    assert similar_movies(films()).empty
    assert similar_movies(films(directors=[[name] for name in "abcdef"])).empty
    assert similar_movies(films(0)).empty
    assert similar_movies(films(1, overview=["A ghost"])).empty


def test_films_that_agree_in_everything_score_1_and_more_in_common_is_nearer() -> None:
    plots = [PLOTS[0], PLOTS[0], PLOTS[0], *PLOTS[2:5]]
    directors = [["Ann"], ["Ann"], ["Bo"], ["Bo"], ["Cy"], ["Cy"]]
    found = similar_movies(
        films(overview=plots, directors=directors, cast_names=directors, collection_id=[1, 1, 2, 2, 3, 3])
    )
    of_first = found[found["tmdb_id"] == 10].set_index("similar_tmdb_id")["score"]
    assert of_first[11] == pytest.approx(1.0)
    assert of_first[12] == pytest.approx(0.5)


def test_many_films_have_twenty_neighbors_each_in_order_the_same_every_time() -> None:
    random, count = np.random.default_rng(0), 700
    words = [f"word{number}" for number in range(400)]
    plots = [" ".join(random.choice(words, 30)) for _ in range(count)]
    many = films(count, overview=plots, directors=[[f"Director {number % 90}"] for number in range(count)])
    found = similar_movies(many)
    assert len(found) == count * SIMILAR_FILMS
    assert found.groupby("tmdb_id")["score"].apply(lambda scores: scores.is_monotonic_decreasing).all()
    assert (found["tmdb_id"] != found["similar_tmdb_id"]).all()
    assert not found.duplicated(["tmdb_id", "similar_tmdb_id"]).any()
    assert found["score"].between(0, 1).all()
    pd.testing.assert_frame_equal(found, similar_movies(many))
