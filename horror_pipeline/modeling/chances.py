"""The chance that a film reaches a value: a conformal predictive distribution, and how it held on later films.

The distribution of a film's value is that of its prediction plus forward residuals that the interval is taken from, on
their scale (Vovk et al., 2017): those of films with a like prediction. Its share at or above the value is the chance.
Intervals of new films are widened; chances are not, because new films have other new ones among those like them.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from horror_pipeline.modeling.intervals import Interval, calibrate_newest, residual_scale
from horror_pipeline.modeling.specs import Floats, ModelSpec

HIGH_RATING = 7.0
"""A mean vote that few horror films reach."""

TOP_SHARE = 0.01
"""The share of all films that the most popular are."""

NEAREST = 100
"""Films with the most similar predictions, of whose residuals a chance is made: films far above others scatter more."""

DECILES = 10


def chance_of(spec: ModelSpec, interval: Interval, predicted: Floats, votes: Floats, value: float) -> Floats:
    """Compute the chance that each film's target is a value or higher.

    Args:
        spec: the model.
        interval: calibrated, with its residuals.
        predicted: the predictions.
        votes: votes of each film; NaN or 0 where there are none.
        value: what is to be reached.

    Returns:
        Chances between 0 and 1, neither included: something rarer than the residuals show may happen.
    """
    if spec.is_popularity:
        distance = np.log(interval.excess(np.array([value]))) - np.log(interval.excess(predicted))
    else:
        distance = value - predicted
    near = min(NEAREST, len(interval.residuals))
    left, right = (np.searchsorted(interval.predictions, predicted, side=side) for side in ("left", "right"))
    first = (left + right - near) // 2
    window = np.clip(first, 0, len(interval.residuals) - near)[:, None] + np.arange(near)
    reached = np.asarray(interval.residuals)[window] >= (distance / residual_scale(spec, votes))[:, None]
    return np.asarray((reached.sum(axis=1) + 0.5) / (near + 1))


def of_walk(spec: ModelSpec, forward: pd.DataFrame, algorithm: str) -> pd.DataFrame:
    """Hold chances against what later films reached, each from the residuals of the films before its block.

    A rating is to be `HIGH_RATING`; a popularity is to be among the `TOP_SHARE` of the films of the walk.

    Args:
        spec: the model.
        forward: the frame of a `backtest.Walk`.
        algorithm: the candidate.

    Returns:
        `chance` and `came` of every film of a scored block that has films before it.
    """
    walked = forward[forward["is_scored"]].sort_values("position")
    value = top_popularity(walked["actual"]) if spec.is_popularity else HIGH_RATING
    found = [pd.DataFrame({"chance": [], "came": []})]
    for _, rows in walked[walked["is_scored_block"]].groupby("block"):
        before = walked[walked["position"] < rows["position"].min()]
        if len(before):
            interval = calibrate_newest(spec, before, algorithm)
            chance = chance_of(spec, interval, rows[algorithm].to_numpy(), rows["votes"].to_numpy(), value)
            found.append(pd.DataFrame({"chance": chance, "came": (rows["actual"] >= value).to_numpy(dtype="float64")}))
    return pd.concat(found[1:] or found, ignore_index=True)


def top_popularity(popularity: pd.Series) -> float:
    """The popularity that only the `TOP_SHARE` most popular films reach; infinite where none is known."""
    known = popularity.dropna()
    return float(known.quantile(1 - TOP_SHARE)) if len(known) else float("inf")


def reliability(chance: ArrayLike, came: ArrayLike) -> pd.DataFrame:
    """Compare chances with what came, by decile of the chance.

    Args:
        chance: the chances.
        came: 1 where the event came, 0 where it did not.

    Returns:
        By decile: `chance` and `came` (means) and `films`. Films of one chance are in one decile.
    """
    table = pd.DataFrame({"chance": np.asarray(chance), "came": np.asarray(came)}, dtype="float64")
    if table.empty:
        return table.assign(films=0)
    groups = table.groupby(pd.qcut(table["chance"], DECILES, labels=False, duplicates="drop").fillna(0))
    return groups.mean().assign(films=groups.size())
