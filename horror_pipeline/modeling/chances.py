"""The chance that a film reaches a value, from a conformal predictive distribution, and how reliable such chances are.

The distribution of a film's value is its prediction plus scaled residuals (Vovk et al., 2017). Of the residuals that
its interval is calibrated on, those of the films with the most similar predictions are used. All of them are shifted by
the same amount to the level of the newest films, because that level drifts. The chance that a film reaches a value is
the share of its distribution at or above the value.

Intervals of new films are widened; chances are not, because the films with predictions similar to a new film's are
often new themselves.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from horror_pipeline.modeling.intervals import Interval, calibrated_parts, residual_scale, scored_films
from horror_pipeline.modeling.specs import Floats, ModelSpec

HIGH_RATING = 7.0
"""A mean vote that few horror films reach."""

TOP_SHARE = 0.01
"""Share of all films that count as the most popular."""

NEAREST = 100
"""How many films with the most similar predictions give the residuals, which vary more if predictions are high."""

DECILES = 10


def chance_of(spec: ModelSpec, interval: Interval, predicted: Floats, votes: Floats, value: float) -> Floats:
    """Compute the chance that each film's target is a value or higher.

    Args:
        spec: the model.
        interval: the model's calibrated interval, which holds the residuals.
        predicted: the predictions.
        votes: votes of each film; NaN or 0 where there are none.
        value: the value to reach.

    Returns:
        Chances above 0 and below 1, because the residuals do not show the rarest events.
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
    """Compute the chances of the films of a walk, each from the residuals of earlier films alone.

    The event is a rating of at least `HIGH_RATING`, or a popularity among the highest `TOP_SHARE` of the walk.

    Args:
        spec: the model.
        forward: the frame of a `backtest.Walk`.
        algorithm: the candidate.

    Returns:
        `chance` and `came` (1 if the event happened, otherwise 0) for every film of a scored block with earlier films.
    """
    walked = scored_films(forward)
    value = top_popularity(walked["actual"]) if spec.is_popularity else HIGH_RATING
    predicted, votes = walked[algorithm].to_numpy(), walked["votes"].to_numpy()
    chance = np.full(len(walked), np.nan)
    for part, interval in calibrated_parts(spec, walked, algorithm):
        chance[part] = chance_of(spec, interval, predicted[part], votes[part], value)
    stated = pd.DataFrame({"chance": chance, "came": (walked["actual"] >= value).to_numpy(dtype="float64")})
    return stated.dropna(ignore_index=True)


def top_popularity(popularity: pd.Series) -> float:
    """Return the popularity that only `TOP_SHARE` of the films reach or exceed; infinity if no popularity is known."""
    known = popularity.dropna()
    return float(known.quantile(1 - TOP_SHARE)) if len(known) else float("inf")


def reliability(chance: ArrayLike, came: ArrayLike) -> pd.DataFrame:
    """Compare chances with how often their events happened, by decile of the chance.

    Args:
        chance: the chances.
        came: 1 where the event happened, 0 where it did not.

    Returns:
        By decile: `chance` and `came` (means) and `films`. Films with equal chances are in the same decile.
    """
    table = pd.DataFrame({"chance": np.asarray(chance), "came": np.asarray(came)}, dtype="float64")
    if table.empty:
        return table.assign(films=0)
    groups = table.groupby(pd.qcut(table["chance"], DECILES, labels=False, duplicates="drop").fillna(0))
    return groups.mean().assign(films=groups.size())
