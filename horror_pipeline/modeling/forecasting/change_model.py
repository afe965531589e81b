"""The model of one horizon, which predicts the change of the log of popularity.

A prediction is the mean of the predictions of several boosting models, the members. There are two kinds of members:

- One kind minimizes absolute errors, on which single bursts have little influence, and weights films by the square root
  of their popularity. One day ahead, this kind alone is best, because nothing follows a burst so soon.
- The other kind minimizes squared errors, which take the size of what usually follows a burst into account, and weights
  films by popularity, as errors of popularity itself do. From two weeks on, this kind alone is best.

Instead of fitting with weights, rows are sampled in proportion to their weights, which takes a third of the time.

Members see the mean change that followed a weekday instead of the weekday's number. The order of the numbers means
nothing, so trees would learn less from them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingRegressor

from horror_pipeline.modeling.forecasting.features import FEATURES, WEEK, features, log_level
from horror_pipeline.modeling.forecasting.history import History, Matrix

LOWEST_LEVEL = 0.5
"""Lowest popularity of the films that models are fitted to and applied to: below it TMDB's values are coarse and
noisy."""

FEWEST_ROWS, FEWEST_DAYS = 300, 5
"""Rows and days with a known outcome that a model needs."""

LARGEST_CHANGE = 2.0
"""Larger changes of the log are clipped to this: they are premieres and bursts, which history does not predict."""


@dataclass(frozen=True)
class Recipe:
    """How a member of a model is fitted.

    Args:
        loss: the name of the loss in scikit-learn.
        weight_power: rows are weighted by popularity to this power.
        rows: number of rows to draw for the fit. Beyond horizon 1, drawing more rows of the same days helps little:
            films move together, so the number of days is what limits the model.
        smallest_leaf: fewest rows in a leaf; lowered if few rows are drawn.
    """

    loss: str
    weight_power: float
    rows: int = 15_000
    smallest_leaf: int = 100


STEADY, LARGE = Recipe("absolute_error", 0.5), Recipe("squared_error", 1.0)
PAIR, PRECISE = (STEADY, LARGE), replace(STEADY, rows=30_000)
COARSE_PAIR = tuple(replace(recipe, rows=8_000, smallest_leaf=150) for recipe in PAIR)
RECIPES = {1: 4 * (PRECISE,), 3: PAIR, 7: 5 * COARSE_PAIR, 14: (LARGE, LARGE), 30: (LARGE, LARGE)}
"""The members of each horizon's model, chosen on recorded days of November and December 2025."""

WEEKDAY_COLUMN = FEATURES.index("weekday")

MOST_MEMBERS = 10
"""A member's seed is the model's seed times this, plus the member's position, so that no two are equal."""

TREES, LEARNING_RATE, LEAVES, BINS, FEATURE_SHARE = 50, 0.15, 12, 32, 0.4
"""Few bins and small trees are several times as fast to fit as scikit-learn's defaults, and no worse."""


@dataclass(frozen=True)
class ChangeModel:
    """A fitted model of one horizon.

    Args:
        horizon_days: the horizon.
        members: the fitted regressors, whose mean is the prediction.
        rows: number of distinct rows it was fitted to.
        weekday_changes: the mean change from each day of the week, Monday first.
    """

    horizon_days: int
    members: tuple[Any, ...]
    rows: int
    weekday_changes: NDArray[np.float64]

    def predict(self, rows: NDArray[np.float32]) -> NDArray[np.float64]:
        """Predict the change of the log of popularity for rows of `features`."""
        if not len(rows):
            return np.zeros(0)
        encoded = _encode_weekdays(rows, self.weekday_changes)
        return np.mean([member.predict(encoded) for member in self.members], axis=0)


def changes(history: History, horizon_days: int) -> NDArray[np.float32]:
    """Compute the change of the log of popularity from each day to the horizon: films x days, NaN where unknown."""
    level = log_level(history.popularity)
    change = np.full_like(level, np.nan)
    change[:, : max(level.shape[1] - horizon_days, 0)] = level[:, horizon_days:] - level[:, :-horizon_days]
    return change


def fit_change_model(
    history: History, released: NDArray[np.datetime64], horizon_days: int, seed: int
) -> ChangeModel | None:
    """Fit a model to all changes over the horizon whose outcomes are in the history.

    Args:
        history: trusted values, up to the day the model is fitted on.
        released: release date of each film.
        horizon_days: the horizon.
        seed: seed of the sampling of rows and of the boosting models.

    Returns:
        The model; None if too few changes are known.
    """
    change = changes(history, horizon_days)
    film, day = np.nonzero(~np.isnan(change) & (history.popularity >= LOWEST_LEVEL))
    if len(film) < FEWEST_ROWS or len(np.unique(day)) < FEWEST_DAYS:
        return None
    recipes = [(recipe, seed * MOST_MEMBERS + place) for place, recipe in enumerate(RECIPES[horizon_days])]
    copies = [_drawn(history, film, day, *recipe) for recipe in recipes]
    taken_by_all = np.sum(copies, axis=0)
    used = np.flatnonzero(taken_by_all)
    film, day = film[used], day[used]
    known, target = features(history, released, film, day), np.clip(change[film, day], -LARGEST_CHANGE, LARGEST_CHANGE)
    weekday_changes = _mean_by_weekday(known, target, taken_by_all[used])
    known = _encode_weekdays(known, weekday_changes)
    known[:, np.isnan(known).all(axis=0)] = 0.0  # scikit-learn cannot bin a column without known values
    members = []
    for (recipe, number), taken in zip(recipes, copies, strict=True):
        row = np.repeat(np.arange(len(used)), taken[used])
        members.append(_boosting(recipe, len(row), number).fit(known[row], target[row]))
    return ChangeModel(horizon_days, tuple(members), len(used), weekday_changes)


def _mean_by_weekday(rows: Matrix, change: NDArray[Any], weight: NDArray[np.int64]) -> NDArray[np.float64]:
    """Compute the weighted mean change from each weekday; 0 for a weekday without rows."""
    weekday = rows[:, WEEKDAY_COLUMN].astype("int64")
    total, count = (np.bincount(weekday, values, minlength=WEEK) for values in (weight * change, weight))
    return np.divide(total, count, out=np.zeros(WEEK), where=count > 0)


def _encode_weekdays(rows: Matrix, weekday_changes: NDArray[np.float64]) -> Matrix:
    encoded = rows.copy()
    encoded[:, WEEKDAY_COLUMN] = weekday_changes[rows[:, WEEKDAY_COLUMN].astype("int64")]
    return encoded


def _drawn(history: History, film: NDArray[Any], day: NDArray[Any], recipe: Recipe, number: int) -> NDArray[np.int32]:
    """Draw the number of copies of each row: proportional to the row's weight, rounded up or down at random.

    The random number of a row is a hash of its film, its date and `number`. It does not depend on other rows.
    """
    weight = history.popularity[film, day].astype("float64") ** recipe.weight_power
    share = weight * (min(recipe.rows, len(film)) / weight.sum())
    date = history.days[day].astype("int64").astype("uint64")
    return np.floor(share + _uniform(history.tmdb_ids[film].astype("uint64"), date, number)).astype("int32")


def _uniform(film: NDArray[np.uint64], date: NDArray[np.uint64], seed: int) -> NDArray[np.float64]:
    """Hash each film and date to a number in [0, 1), by the finalizer of MurmurHash3."""
    mixed = film * np.uint64(0x9E3779B97F4A7C15) + date * np.uint64(0xC2B2AE3D27D4EB4F) + np.uint64(seed)
    for factor in (0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53):
        mixed = (mixed ^ (mixed >> np.uint64(33))) * np.uint64(factor)
    mixed ^= mixed >> np.uint64(33)
    return (mixed >> np.uint64(11)).astype("float64") / 2.0**53


def _boosting(recipe: Recipe, rows: int, seed: int) -> HistGradientBoostingRegressor:
    return HistGradientBoostingRegressor(
        loss=recipe.loss,
        max_iter=TREES,
        learning_rate=LEARNING_RATE,
        max_leaf_nodes=LEAVES,
        min_samples_leaf=max(20, min(recipe.smallest_leaf, rows // 50)),
        max_bins=BINS,
        max_features=FEATURE_SHARE,
        early_stopping=False,
        random_state=seed,
    )
