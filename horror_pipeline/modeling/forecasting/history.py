"""The history of popularity as a matrix of films and days, and which of its values can be trusted.

Values that are missing or not credible are NaN. `History.until` returns what was known on a day, without later days.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from horror_pipeline.domain import FORECAST_WINDOW_DAYS, highest_credible

Matrix = NDArray[np.float32]

NOTABLE = 1.0
"""Popularity from which a film is notable: below it TMDB's values are coarse and often equal."""

FEWEST_FILMS = 5
"""Notable films that are needed to judge a day as a whole."""

COPY_SHARE = 0.98
"""A day is a copy of an earlier day if at least this share of the notable films has exactly the same value."""

BREAK_FACTOR = 3.0
"""The scale has changed if the median film moves by more than this factor, up or down, by the next observed day."""


@dataclass(frozen=True)
class History:
    """Popularity by film and day.

    Args:
        days: consecutive days, as datetime64[D].
        tmdb_ids: the films, ascending.
        popularity: films x days; NaN where there is no value.
    """

    days: NDArray[np.datetime64]
    tmdb_ids: NDArray[np.int64]
    popularity: Matrix

    @classmethod
    def from_frame(cls, snapshots: pd.DataFrame) -> History:
        """Arrange snapshots as a matrix.

        Args:
            snapshots: `tmdb_id`, `snapshot_date` and `popularity`, as in `movie_snapshots`; one row per film and day,
                in any order.
        """
        days = np.asarray(pd.to_datetime(snapshots["snapshot_date"]), dtype="datetime64[D]")
        ids, film = np.unique(snapshots["tmdb_id"].to_numpy(dtype="int64"), return_inverse=True)
        if not len(ids):
            return cls(np.empty(0, "datetime64[D]"), ids, np.empty((0, 0), "float32"))
        axis = np.arange(days.min(), days.max() + 1)
        popularity = np.full((len(ids), len(axis)), np.nan, dtype="float32")
        popularity[film, (days - axis[0]).astype("int64")] = snapshots["popularity"].to_numpy(dtype="float32")
        return cls(axis, ids, popularity)

    def until(self, day: dt.date) -> History:
        """Return what was known on a day: the days up to it, and the films seen by then.

        The result ends on `day`, even if nothing was observed on it, and has at most `FORECAST_WINDOW_DAYS` days.
        """
        last = np.datetime64(day, "D")
        first = max(self.days[0], last - (FORECAST_WINDOW_DAYS - 1)) if len(self.days) else last
        axis = np.arange(first, last + 1)
        kept = (self.days >= first) & (self.days <= last)
        popularity = np.full((len(self.tmdb_ids), len(axis)), np.nan, dtype="float32")
        popularity[:, (self.days[kept] - first).astype("int64")] = self.popularity[:, kept]
        seen = ~np.isnan(popularity).all(axis=1)
        popularity = popularity[seen]
        observed = np.flatnonzero(~np.isnan(popularity).all(axis=0))
        start = int(observed[0]) if len(observed) else len(axis) - 1
        return History(axis[start:], self.tmdb_ids[seen], np.ascontiguousarray(popularity[:, start:]))

    def trusted(self) -> History:
        """Remove the values that cannot be trusted.

        Days before the newest change of scale are cut off. Values of copied days become NaN, and so do values that are
        not positive or not credible.
        """
        popularity = np.where(np.isfinite(self.popularity) & (self.popularity > 0), self.popularity, np.nan)
        popularity = popularity.astype("float32")
        popularity[:, copied_days(popularity)] = np.nan
        start = newest_scale(popularity)
        popularity = popularity[:, start:]
        popularity[popularity > _highest_credible(popularity)] = np.nan
        return History(self.days[start:], self.tmdb_ids, popularity)


def copied_days(popularity: Matrix) -> NDArray[np.intp]:
    """Find the days that repeat an earlier day, because TMDB published an export twice.

    Only notable films are compared: the coarse values of the others are often equal on different days.
    """
    notable = popularity[np.nanmax(popularity, axis=1, initial=0.0) >= NOTABLE]
    copied = []
    for day in range(1, popularity.shape[1]):
        today, earlier = notable[:, day : day + 1], notable[:, :day]
        compared = np.sum((today >= NOTABLE) & ~np.isnan(earlier), axis=0)
        equal = np.sum((today >= NOTABLE) & (today == earlier), axis=0)
        if np.any((compared >= FEWEST_FILMS) & (equal >= COPY_SHARE * compared)):
            copied.append(day)
    return np.asarray(copied, dtype="intp")


def newest_scale(popularity: Matrix) -> int:
    """Find the first day after the newest change of scale (see `BREAK_FACTOR`); 0 where there was none."""
    observed = np.flatnonzero(~np.isnan(popularity).all(axis=0))
    for before, after in zip(observed[-2::-1], observed[:0:-1], strict=True):
        left, right = popularity[:, before], popularity[:, after]
        both = ~np.isnan(left) & ~np.isnan(right) & (np.fmax(left, right) >= NOTABLE)
        if both.sum() < FEWEST_FILMS:
            continue
        if abs(np.median(np.log(right[both] / left[both]))) > np.log(BREAK_FACTOR):
            return int(after)
    return 0


def _highest_credible(popularity: Matrix) -> float:
    """Return the highest credible value, from the films' medians, so that values of a single day do not raise it."""
    if not popularity.size:
        return float("inf")
    ordered = np.sort(popularity, axis=1)  # NaN last
    count = (~np.isnan(ordered)).sum(axis=1)
    medians = ordered[np.arange(len(ordered)), np.maximum(count - 1, 0) // 2]
    return highest_credible(medians[count > 0].tolist())
