"""Groups of similar films, each with a profile in words.

What belongs here: k-means over what is known before release. What does not: predictions.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from sklearn.cluster import KMeans
from sklearn.preprocessing import StandardScaler

from horror_pipeline.modeling.preprocessing import Inputs
from horror_pipeline.modeling.threads import one_thread

CLUSTERS = 6
FEWEST_FILMS = 60
MOST_FILMS_FITTED = 20_000
NAMED_PARTS = 3
"""Features at most that a group is named after."""
NAMES = {
    "is_october": "October",
    "is_new_years_day": "New Year's Day",
    "is_tv_movie": "TV movie",
    "is_english": "English",
}
HIGH = {"season_sin": "spring", "season_cos": "winter"}
"""When a place in the year, as sine and cosine, is at its highest."""

MORE_THAN_USUAL = 0.15
"""How much commoner than among all films a flag must be to be worth naming."""


@dataclass(frozen=True)
class Clustering:
    """The groups.

    Args:
        films: `tmdb_id`, `cluster`, `cluster_name`, `distance`.
        profiles: one row per group: `cluster`, `name`, `films`, and the mean of each feature it was built on.
    """

    films: pd.DataFrame
    profiles: pd.DataFrame


def cluster(inputs: Inputs, films: pd.DataFrame, seed: int = 0) -> Clustering | str:
    """Group films by genres, language, season and kind of title.

    Args:
        inputs: the columns to look at: flags count as they are, numbers standardised.
        films: rows of `movie_features`.
        seed: of the first centres.

    Returns:
        The groups, numbered by falling size; or, in words, why there are none.
    """
    if len(films) < FEWEST_FILMS:
        return f"{len(films)} films are known; {FEWEST_FILMS} are needed to find groups"
    raw = films[[*inputs.numbers, *inputs.flags]].astype("float64")
    filled = raw.fillna(raw.median()).fillna(0.0)
    scaled = StandardScaler().fit_transform(filled)
    step = max(1, len(films) // MOST_FILMS_FITTED)
    with one_thread():
        fitted = KMeans(n_clusters=CLUSTERS, n_init=4, random_state=seed).fit(scaled[::step])
        labels, distance = fitted.predict(scaled), fitted.transform(scaled).min(axis=1)
    order = np.argsort(-np.bincount(labels, minlength=CLUSTERS), kind="stable")
    number = np.empty(CLUSTERS, dtype="int64")
    number[order] = np.arange(CLUSTERS)
    labels = number[labels]
    profiles = _profiles(filled, labels, inputs)
    found = pd.DataFrame({"tmdb_id": films["tmdb_id"].to_numpy(), "cluster": labels, "distance": distance})
    found["cluster_name"] = found["cluster"].map(profiles.set_index("cluster")["name"])
    return Clustering(found, profiles)


def _profiles(filled: pd.DataFrame, labels: np.ndarray, inputs: Inputs) -> pd.DataFrame:
    means = filled.groupby(labels).mean()
    usual, spread = filled.mean(), filled.std().replace(0.0, 1.0)
    rows = []
    for label, mean in means.iterrows():
        surplus = (mean - usual)[list(inputs.flags)].sort_values(ascending=False)
        flags = [str(name) for name, more in surplus.items() if more >= MORE_THAN_USUAL][:NAMED_PARTS]
        high = ((mean - usual) / spread)[list(inputs.numbers)].sort_values(ascending=False)
        words = [_words(flag) for flag in flags] or [
            HIGH.get(str(high.index[0]), f"higher {_words(str(high.index[0]))}")
        ]
        rows.append(
            {"cluster": label, "name": ", ".join(words), "films": int((labels == label).sum()), **mean.to_dict()}
        )
    return pd.DataFrame(rows)


def _words(name: str) -> str:
    return NAMES.get(name, name.removeprefix("is_").removeprefix("has_").replace("_", " "))
