"""The chance that a film's popularity will have risen: a conformal predictive distribution of its change.

The distribution of a change is that of the forecast plus the residuals that the interval is taken from (Vovk et al.,
2017), and its share above zero is the chance of a rise. Residuals of a few weeks show what films do each for itself.
What films of a level do together is taken out of them and put back from the whole history: a few weeks show too little
of it, and whether most films rise next week hangs on it.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from horror_pipeline.modeling.forecasting.change_model import LOWEST_LEVEL, changes
from horror_pipeline.modeling.forecasting.history import FEWEST_FILMS, History
from horror_pipeline.modeling.forecasting.residuals import LEVELS, bins, nearest, scale
from horror_pipeline.modeling.specs import Floats

GRID = 41
"""Quantiles of the residuals that are kept for each level."""

STEPS = [NormalDist().inv_cdf((step + 0.5) / 9) for step in range(9)]
"""The distribution of what films of a level do together, in steps of equal chance."""

LEAST = 0.01
"""No chance is stated nearer to 0 or 1: so rare an event is not seen in a few weeks of residuals."""


@dataclass(frozen=True)
class Rise:
    """How far changes scatter around their forecast, by bin of `residuals.LEVELS`.

    Args:
        horizon_days: days ahead.
        alone: quantiles of the residuals at equal steps from 0 to 1, scaled, with a median of 0.
        together: standard deviation of what the films of a level do together.
    """

    horizon_days: int
    alone: tuple[tuple[float, ...], ...]
    together: tuple[float, ...]

    def chance(self, change: NDArray[Any], films: pd.DataFrame) -> Floats:
        """Compute the chance that each film's popularity is higher at the horizon than on the day of the forecast.

        Args:
            change: the forecast changes of the log.
            films: what `residuals.circumstances` returned for the day they are made on.
        """
        place, own = bins(films["origin"].to_numpy()), scale(films, self.horizon_days)
        share, chance = np.linspace(0, 1, GRID), np.zeros(len(change))
        for level, (quantiles, together) in enumerate(zip(self.alone, self.together, strict=True)):
            here = place == level
            for step in STEPS:
                chance[here] += 1 - np.interp(-(change[here] + step * together) / own[here], quantiles, share)
        return np.clip(chance / len(STEPS), LEAST, 1 - LEAST)


def fit_rise(walked: pd.DataFrame, share: float, history: History, horizon_days: int) -> Rise | None:
    """Measure how far changes scatter.

    Args:
        walked: what `backtest.walk` returned.
        share: the shrinkage that serves; 0 where no change serves.
        history: trusted, up to the day of the forecast.
        horizon_days: the horizon.

    Returns:
        The scatter; None where no outcome is known.
    """
    rows = (walked[walked["predicted"].notna()] if share > 0 else walked).reset_index(drop=True)
    if rows.empty:
        return None
    residual = rows["log_change"] - share * rows["predicted"].fillna(0.0)
    common = residual.where(rows["origin"] >= LOWEST_LEVEL).groupby(rows["day"]).transform("median").fillna(0.0)
    scaled, place = (residual - common).to_numpy() / scale(rows, horizon_days), bins(rows["origin"].to_numpy())
    alone = []
    for level in range(len(LEVELS)):
        near = nearest(scaled, place, level)
        alone.append(tuple(np.quantile(near - np.median(near), np.linspace(0, 1, GRID)).tolist()))
    return Rise(horizon_days, tuple(alone), _together(history, horizon_days))


def _together(history: History, horizon_days: int) -> tuple[float, ...]:
    """The standard deviation of the median change of each level's films, over the days of the history."""
    change, place = changes(history, horizon_days), bins(history.popularity)
    found = []
    for level in range(len(LEVELS)):
        inside = np.where(place == level, change, np.nan)
        inside = inside[:, (~np.isnan(inside)).sum(axis=0) >= FEWEST_FILMS]
        found.append(float(np.nanmedian(inside, axis=0).std()) if inside.shape[1] else 0.0)
    return tuple(found)
