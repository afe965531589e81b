"""Groups of similar films, found by k-means on what is known before release, each with a profile in words.

k-means starts from the centers of k-means++ (Arthur and Vassilvitskii, 2007).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from sklearn.cluster import KMeans
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from horror_pipeline.modeling.specs import Inputs

CLUSTERS = 6
MIN_FILMS = 60
MAX_FITTED_FILMS = 20_000
MAX_NAMED_FLAGS = 3
"""Highest number of flags that a group is named after."""
NAMES = {
    "is_october": "October",
    "is_new_years_day": "New Year's Day",
    "is_tv_movie": "TV movie",
    "is_english": "English",
}
HIGH = {"season_sin": "spring", "season_cos": "winter"}
"""The season in which the sine or cosine of the day of the year is highest."""

MIN_EXCESS = 0.15
"""A group is named after a flag only if the flag's share in it exceeds that among all films by this much."""


@dataclass(frozen=True)
class Clustering:
    """Groups of films.

    Args:
        films: `tmdb_id`, `cluster`, `cluster_name`, `distance`.
        profiles: one row per group: `cluster`, `name`, `films`, and the mean of each feature.
    """

    films: pd.DataFrame
    profiles: pd.DataFrame


def cluster(inputs: Inputs, films: pd.DataFrame, seed: int = 0) -> Clustering | str:
    """Group films by genres, language, season and kind of title.

    Args:
        inputs: the columns to group by; they are standardized here.
        films: rows of `movie_features`.
        seed: seed of the initial centers.

    Returns:
        The groups, numbered by decreasing size; or the reason, in words, why there are none.
    """
    if len(films) < MIN_FILMS:
        return f"{len(films)} films are known; {MIN_FILMS} are needed to find groups"
    raw = films[[*inputs.numbers, *inputs.flags]].astype("float64")
    filled = raw.fillna(raw.median()).fillna(0.0)
    scaled = StandardScaler().fit_transform(filled)
    step = max(1, len(films) // MAX_FITTED_FILMS)
    with threadpool_limits(limits=1):
        fitted = KMeans(n_clusters=CLUSTERS, n_init=4, random_state=seed).fit(scaled[::step])
        labels, distance = fitted.predict(scaled), fitted.transform(scaled).min(axis=1)
    order = np.argsort(-np.bincount(labels, minlength=CLUSTERS), kind="stable")
    number = np.empty(CLUSTERS, dtype="int64")
    number[order] = np.arange(CLUSTERS)
    labels = number[labels]
    profiles = _profiles(filled, labels, inputs)
    grouped = pd.DataFrame({"tmdb_id": films["tmdb_id"].to_numpy(), "cluster": labels, "distance": distance})
    grouped["cluster_name"] = grouped["cluster"].map(profiles.set_index("cluster")["name"])
    return Clustering(grouped, profiles)


def _profiles(filled: pd.DataFrame, labels: np.ndarray, inputs: Inputs) -> pd.DataFrame:
    means = filled.groupby(labels).mean()
    overall, deviation = filled.mean(), filled.std().replace(0.0, 1.0)
    rows = []
    for label, mean in means.iterrows():
        excess = (mean - overall)[list(inputs.flags)].sort_values(ascending=False)
        flags = [str(name) for name, share in excess.items() if share >= MIN_EXCESS][:MAX_NAMED_FLAGS]
        high = ((mean - overall) / deviation)[list(inputs.numbers)].sort_values(ascending=False)
        words = [_words(flag) for flag in flags] or [
            HIGH.get(str(high.index[0]), f"higher {_words(str(high.index[0]))}")
        ]
        rows.append(
            {"cluster": label, "name": ", ".join(words), "films": int((labels == label).sum()), **mean.to_dict()}
        )
    return pd.DataFrame(rows)


def _words(name: str) -> str:
    return NAMES.get(name, name.removeprefix("is_").removeprefix("has_").replace("_", " "))
