"""Facts that several layers must agree on: stages, targets, model names, horizons, genre ids and TMDB's limits.

A constant that only one module uses is defined in that module instead.
"""

import heapq
import re
from collections.abc import Iterable
from typing import Literal

Stage = Literal["before_release", "after_release"]
"""Whether a film has been released. This decides which models predict it, and from which features."""

Target = Literal["popularity", "vote_average"]

MODEL_NAMES = ("popularity_before_release", "popularity_after_release", "rating_before_release", "rating_after_release")
"""The models of what is usual for a film. Each names an asset, and is the `model_name` in `model_versions`."""

FORECASTER_NAME = "popularity_forecaster"

FORECAST_HORIZONS_DAYS = (1, 3, 7, 14, 30)

FORECAST_WINDOW_DAYS = 120
"""Days of history that a forecaster learns from. Older days mislead it, because the way popularity moves changes."""

POPULARITY_DECIMALS = 4
"""Decimals of TMDB's popularity. Models hold history in single precision, whose further digits are rounding errors."""

MOVER_SPANS_DAYS = (1, 7, 30)
"""Over how many days changes of popularity are measured."""

BREAKOUT_PERCENTILE = 0.99
"""Share of similar films' earlier changes that a breakout exceeds. On a usual day, at most 1 % of films break out."""

SIMILAR_FILMS = 20
"""How many of the films nearest to a film are kept."""

_OUTLIER_FACTOR, _OUTLIER_RANK, _FEWEST_VALUES = 100.0, 10, 5

CREDIBILITY_SAMPLE = 2 * _OUTLIER_RANK - 1
"""How many of the largest values `highest_credible` uses; it ignores all others."""


def highest_credible(values: Iterable[float]) -> float:
    """Return the highest popularity or number of votes that is credible: 100 times the tenth highest value.

    A check reports each higher value, and no model learns from one. Of fewer than 19 values, the middle one is taken
    in place of the tenth highest; with fewer than 5, every value is credible.

    Args:
        values: the values of all films, none missing; the `CREDIBILITY_SAMPLE` largest are enough.
    """
    largest = heapq.nlargest(CREDIBILITY_SAMPLE, values)
    if len(largest) < _FEWEST_VALUES:
        return float("inf")
    rank = min(_OUTLIER_RANK, (len(largest) + 1) // 2)
    return _OUTLIER_FACTOR * max(float(largest[rank - 1]), 1.0)


MIN_VOTES_SCORED = 10
"""Fewer votes make a rating mostly noise: it has little weight in training and counts only in `any_votes` metrics."""

HORROR_GENRE_ID = 27
"""TMDB's id of the genre horror."""

GENRE_NAMES = {
    12: "Adventure",
    14: "Fantasy",
    16: "Animation",
    18: "Drama",
    HORROR_GENRE_ID: "Horror",
    28: "Action",
    35: "Comedy",
    36: "History",
    37: "Western",
    53: "Thriller",
    80: "Crime",
    99: "Documentary",
    878: "Science Fiction",
    9648: "Mystery",
    10402: "Music",
    10749: "Romance",
    10751: "Family",
    10752: "War",
    10770: "TV Movie",
}
"""TMDB's movie genres by id."""

LAST_PAGE = 500
"""TMDB serves pages 1 to 500 of a listing and refuses higher ones."""

EXPORTS_REACH_DAYS = 90
"""TMDB keeps its daily id exports for about three months."""

CHANGES_REACH_DAYS = 14
"""TMDB tells which records changed for at most fourteen days back."""

TMDB_POOL = "tmdb"
"""The Dagster pool of the assets that call TMDB, which lets only one run with such assets execute at a time."""

READER_ROLE = "horror_reader"
"""The Postgres role that may read the public tables and nothing else."""

SUPERVISOR_MARK = "HORROR_SUPERVISOR"
"""The environment variable that every process started by `horror up` carries."""

CredentialForm = Literal["v3", "v4"]
"""TMDB's two credentials: an API key, sent in the query, and a read access token, sent as a header."""

_V3_KEY = re.compile(r"[0-9a-fA-F]{32}")
_V4_TOKEN = re.compile(r"eyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")


def credential_form(credential: str) -> CredentialForm | None:
    """Tell a v3 API key from a v4 read access token by its form; None when it is neither."""
    if _V3_KEY.fullmatch(credential):
        return "v3"
    return "v4" if _V4_TOKEN.fullmatch(credential) else None
