"""The chance that a film's popularity rises, from a conformal predictive distribution of its change.

The distribution of a change is the forecast change plus the residuals of the backtest (Vovk et al., 2017), and its
share above zero is the chance of a rise. The few weeks of a backtest are enough to measure how films move individually.
They are too short to measure how the films of a level move together, which decides whether most films rise next week.
The common movement is therefore removed from the residuals, measured over the whole history, and added again.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from horror_pipeline.modeling.forecasting.change_model import changes
from horror_pipeline.modeling.forecasting.history import FEWEST_FILMS, History
from horror_pipeline.modeling.forecasting.residuals import LEVELS, bins, individual_residuals, nearest, scale
from horror_pipeline.modeling.specs import Floats

GRID = 41
"""How many quantiles of the residuals are kept for each level."""

STEPS = [NormalDist().inv_cdf((step + 0.5) / 9) for step in range(9)]
"""Nine equally likely values of a standard normal distribution, which stands for the common movement."""

LEAST = 0.01
"""Chances are limited to this distance from 0 and 1: a few weeks of residuals do not show rarer events."""


@dataclass(frozen=True)
class Rise:
    """The distribution of changes around their forecast, by bin of `residuals.LEVELS`.

    Args:
        horizon_days: days ahead.
        alone: quantiles of the individual residuals at equal steps from 0 to 1, scaled, with a median of 0.
        together: standard deviation of the common movement of the bin's films.
    """

    horizon_days: int
    alone: tuple[tuple[float, ...], ...]
    together: tuple[float, ...]

    def chance(self, change: NDArray[Any], films: pd.DataFrame) -> Floats:
        """Compute the chance that each film's popularity is higher at the horizon than on the day of the forecast.

        Args:
            change: the forecast changes of the log.
            films: what `residuals.circumstances` returned for the day of the forecast.
        """
        place, own = bins(films["origin"].to_numpy()), scale(films, self.horizon_days)
        share, chance = np.linspace(0, 1, GRID), np.zeros(len(change))
        for level, (quantiles, together) in enumerate(zip(self.alone, self.together, strict=True)):
            here = place == level
            for step in STEPS:
                chance[here] += 1 - np.interp(-(change[here] + step * together) / own[here], quantiles, share)
        return np.clip(chance / len(STEPS), LEAST, 1 - LEAST)


def fit_rise(walked: pd.DataFrame, share: float, history: History, horizon_days: int) -> Rise | None:
    """Fit the distribution of changes around their forecast.

    Args:
        walked: what `backtest.walk` returned.
        share: the shrinkage factor in use; 0 if no change is forecast.
        history: trusted values, up to the day the forecaster is fitted on.
        horizon_days: the horizon.

    Returns:
        The distribution; None where no outcome is known.
    """
    scaled, place = individual_residuals(walked, share, horizon_days)
    if not len(scaled):
        return None
    alone = []
    for level in range(len(LEVELS)):
        near = nearest(scaled, place, level)
        alone.append(tuple(np.quantile(near - np.median(near), np.linspace(0, 1, GRID)).tolist()))
    return Rise(horizon_days, tuple(alone), _together(history, horizon_days))


def _together(history: History, horizon_days: int) -> tuple[float, ...]:
    """Compute the standard deviation, over the days of the history, of the median change of each level's films."""
    change, place = changes(history, horizon_days), bins(history.popularity)
    deviations = []
    for level in range(len(LEVELS)):
        inside = np.where(place == level, change, np.nan)
        inside = inside[:, (~np.isnan(inside)).sum(axis=0) >= FEWEST_FILMS]
        deviations.append(float(np.nanmedian(inside, axis=0).std()) if inside.shape[1] else 0.0)
    return tuple(deviations)
