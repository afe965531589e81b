"""How far off forecasts are: conformal 80 % intervals by horizon and level.

Split conformal prediction (Vovk et al. 2005): the interval's ends are quantiles of residuals of models fitted before
them. Residuals are of the log of popularity. They are taken by level, because small films move more in proportion, and
for each side on its own, because rises are larger than falls.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from horror_pipeline.modeling.forecasting.features import MONTH, OFFSET, log_level

COVERAGE = 0.8
LEVELS = (0.0, 0.5, 1.0, 3.0, 10.0, 30.0)
"""Lower ends of the bins of popularity in which residuals are taken together."""

FEWEST_RESIDUALS = 100
"""Residuals a bin needs; one with fewer takes those of its neighbors as well."""

NEW_FILM_FACTOR = 1.5
"""An interval of a film without history is this much wider than one of a film known for a month."""

DOUBT_FACTOR = 2.0
"""An interval around a value that is in doubt, or at a horizon never observed, is this much wider."""

USUAL_REACH = 0.4
"""Half width of the log after a day where nothing has been observed yet; it grows with the root of the horizon."""


@dataclass(frozen=True)
class Reach:
    """How far below and above a forecast the outcome may be, on the log scale, by bin of `LEVELS`.

    Args:
        lower: at most 0, by bin.
        upper: at least 0, by bin.
        residuals: how many residuals it is taken from.
    """

    lower: tuple[float, ...]
    upper: tuple[float, ...]
    residuals: int

    def widened(self, factor: float) -> Reach:
        """The same, wider by a factor."""
        return Reach(tuple(v * factor for v in self.lower), tuple(v * factor for v in self.upper), self.residuals)

    def bounds(
        self, forecast: NDArray[Any], origin: NDArray[Any], days_known: NDArray[Any], factor: float = 1.0
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The interval of each forecast, never below zero.

        Args:
            forecast: forecasts of popularity.
            origin: popularity on the day they are made on.
            days_known: days of the last month on which each film was observed.
            factor: widens all intervals alike.
        """
        place = bins(origin)
        wider = factor * newness(days_known)
        center = log_level(forecast)
        lower = np.exp(center + np.asarray(self.lower)[place] * wider) - OFFSET
        upper = np.exp(center + np.asarray(self.upper)[place] * wider) - OFFSET
        return np.clip(lower, 0.0, forecast), np.maximum(upper, forecast)


def bins(popularity: NDArray[Any]) -> NDArray[np.intp]:
    """The bin of `LEVELS` each value is in."""
    return np.clip(np.searchsorted(np.asarray(LEVELS), popularity, side="right") - 1, 0, len(LEVELS) - 1)


def newness(days_known: NDArray[Any]) -> NDArray[np.float64]:
    """How much wider an interval is for a film observed on so many days of the last month: 1 if on all."""
    missing = 1.0 - np.clip(days_known, 0, MONTH) / MONTH
    return 1.0 + (NEW_FILM_FACTOR - 1.0) * missing


def calibrate(residual: NDArray[Any], origin: NDArray[Any], days_known: NDArray[Any]) -> Reach | None:
    """Take the quantiles of forward residuals.

    Args:
        residual: log of the outcome less log of the forecast.
        origin: popularity on the day the forecast was made on.
        days_known: days of the month before on which the film was observed.

    Returns:
        The reach by bin; None where there are no residuals.
    """
    if not len(residual):
        return None
    scaled, place = residual / newness(days_known), bins(origin)
    ends = [_quantiles(_nearest(scaled, place, level)) for level in range(len(LEVELS))]
    return Reach(tuple(low for low, _ in ends), tuple(high for _, high in ends), len(residual))


def usual_reach(horizon_days: int) -> Reach:
    """What is assumed where nothing has been observed."""
    half = USUAL_REACH * float(np.sqrt(horizon_days))
    return Reach((-half,) * len(LEVELS), (half,) * len(LEVELS), 0)


def _nearest(values: NDArray[Any], place: NDArray[np.intp], level: int) -> NDArray[Any]:
    """The values of a bin, with those of its neighbors where it has too few."""
    for around in range(len(LEVELS)):
        chosen = values[np.abs(place - level) <= around]
        if len(chosen) >= FEWEST_RESIDUALS:
            return chosen
    return values


def _quantiles(values: NDArray[Any]) -> tuple[float, float]:
    """The two ends that leave a tenth out on each side, with the correction for a finite sample."""
    ordered, count = np.sort(values), len(values)
    out = (1.0 - COVERAGE) / 2.0
    rank = min(int(np.ceil((count + 1) * (1.0 - out))), count)
    return min(float(ordered[count - rank]), 0.0), max(float(ordered[rank - 1]), 0.0)
