"""Conformal 80 % intervals of forecasts, by horizon and level of popularity.

This is split conformal prediction (Vovk et al. 2005): the ends of an interval are quantiles of the residuals, on the
log scale, of models that were fitted before the outcomes were known. Quantiles are taken by level, because less popular
films move more in proportion, and separately for each side, because rises are larger than falls.

Residuals of different films are correlated, because on some days the popularity of all films moves together, and
returns within weeks. The few weeks of a backtest are too short to measure this common movement. It is therefore removed
from the residuals, measured over the whole history, and added to the intervals again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from horror_pipeline.modeling.forecasting.change_model import LOWEST_LEVEL, changes
from horror_pipeline.modeling.forecasting.features import FEATURES, MONTH, OFFSET, WEEK, log_level
from horror_pipeline.modeling.forecasting.history import FEWEST_FILMS, NOTABLE, History

COVERAGE = 0.8
LEVELS = (0.0, 0.5, 1.0, 3.0, 10.0, 30.0)
"""Lower ends of the bins of popularity; each bin has its own quantiles."""

FEWEST_RESIDUALS = 100
"""The fewest residuals of a bin; a bin with fewer also uses those of its neighbors."""

NEW_FILM_FACTOR = 1.5
"""The interval of a film without history is this many times as wide as that of a film known for a month."""

DOUBT_FACTOR = 2.0
"""The interval around a doubtful value, or at a horizon without known outcomes, is this many times as wide."""

DEFAULT_REACH, DEFAULT_STEP = 0.4, 0.06
"""Half width of an interval one day ahead, and the median film's daily change, as long as nothing was observed."""

RETURNING_SHARE = 0.4
"""Share of the median film's distance from its monthly median by which all films may return within a week. The share is
smaller at shorter horizons, and also at longer ones, when most of the return is over."""


@dataclass(frozen=True)
class Reach:
    """How far below and above a forecast the outcome may be, on the log scale.

    Args:
        horizon_days: days ahead.
        lower: lower quantile of the scaled residuals (see `scale`) by bin of `LEVELS`, at most 0.
        upper: upper quantile of the same, at least 0.
        common: how far all films together may move (see `common_spread`).
        residuals: number of residuals the quantiles are taken from.
    """

    horizon_days: int
    lower: tuple[float, ...]
    upper: tuple[float, ...]
    common: float
    residuals: int

    def stretched(self, horizon_days: int) -> Reach:
        """Extrapolate to a longer horizon without known outcomes: grow by the square root of time, and double."""
        growth = DOUBT_FACTOR * float(np.sqrt(horizon_days / self.horizon_days))
        factor = growth * DEFAULT_STEP ** (volatility_exponent(self.horizon_days) - volatility_exponent(horizon_days))
        lower, upper = (tuple(end * factor for end in ends) for ends in (self.lower, self.upper))
        return Reach(horizon_days, lower, upper, self.common * growth, 0)

    def bounds(
        self, forecast: NDArray[Any], films: pd.DataFrame, factor: float = 1.0
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Compute the interval of each forecast; no end is below zero.

        Args:
            forecast: forecasts of popularity.
            films: what `circumstances` returned for the day the forecasts are made on.
            factor: widens all intervals alike.

        Returns:
            Lower and upper ends.
        """
        place = bins(films["origin"].to_numpy())
        own = factor * scale(films, self.horizon_days)
        share = RETURNING_SHARE * min(self.horizon_days / WEEK, WEEK / self.horizon_days)
        returning = share * films["displacement"].to_numpy()
        down = np.hypot(np.asarray(self.lower)[place] * own, factor * self.common) + np.maximum(returning, 0.0)
        up = np.hypot(np.asarray(self.upper)[place] * own, factor * self.common) + np.maximum(-returning, 0.0)
        center = log_level(forecast)
        lower, upper = np.exp(center - down) - OFFSET, np.exp(center + up) - OFFSET
        return np.clip(lower, 0.0, forecast), np.maximum(upper, forecast)


def circumstances(rows: NDArray[np.float32], origin: NDArray[Any], day: NDArray[Any]) -> pd.DataFrame:
    """Compute what the width of an interval depends on.

    Args:
        rows: rows of `features`.
        origin: popularity of each row's film on its day.
        day: the day of each row.

    Returns:
        `origin`; `days_known`; `step`, the median film's daily change within the week; and `displacement`, the median
        film's distance from its monthly median.
    """
    table = pd.DataFrame(
        {
            "origin": origin.astype("float64"),
            "days_known": rows[:, FEATURES.index("days_known")].astype("float64"),
            "step": rows[:, FEATURES.index("week_step")].astype("float64"),
            "displacement": rows[:, FEATURES.index("from_month_median")].astype("float64"),
        }
    )
    notable = table["origin"] >= LOWEST_LEVEL
    common = table[["step", "displacement"]].where(notable).groupby(day).transform("median")
    table["step"] = common["step"].fillna(DEFAULT_STEP).clip(lower=DEFAULT_STEP / 10)
    table["displacement"] = common["displacement"].fillna(0.0)
    return table


def individual_residuals(
    walked: pd.DataFrame, share: float, horizon_days: int
) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """Compute how far the outcomes of a backtest are from the forecasts, less the day's median, the common movement.

    Args:
        walked: what `backtest.walk` returned.
        share: the shrinkage factor in use; 0 if no change is forecast. Unless it is 0, rows without a prediction are
            left out.
        horizon_days: the horizon.

    Returns:
        The residuals of the log, divided by `scale`, and the bin of each.
    """
    rows = walked[walked["predicted"].notna()] if share > 0 else walked
    residual = rows["log_change"] - share * rows["predicted"].fillna(0.0)
    common = residual.where(rows["origin"] >= LOWEST_LEVEL).groupby(rows["day"]).transform("median").fillna(0.0)
    return (residual - common).to_numpy() / scale(rows, horizon_days), bins(rows["origin"].to_numpy())


def calibrate(walked: pd.DataFrame, share: float, horizon_days: int, common: float) -> Reach | None:
    """Calibrate intervals by the quantiles of the residuals of a backtest.

    Args:
        walked: what `backtest.walk` returned.
        share: the shrinkage factor in use; 0 if no change is forecast.
        horizon_days: the horizon.
        common: `common_spread` at the horizon.

    Returns:
        The reach; None where there are no residuals.
    """
    scaled, place = individual_residuals(walked, share, horizon_days)
    if not len(scaled):
        return None
    ends = [_quantiles(nearest(scaled, place, level)) for level in range(len(LEVELS))]
    return Reach(horizon_days, tuple(low for low, _ in ends), tuple(high for _, high in ends), common, len(scaled))


def common_spread(history: History, horizon_days: int) -> float:
    """Return how far the median film moves within the horizon: the distance that one move in five exceeds."""
    change = np.where(history.popularity >= NOTABLE, changes(history, horizon_days), np.nan)
    enough = (~np.isnan(change)).sum(axis=0) >= FEWEST_FILMS
    if not enough.any():
        return 0.0
    moves = np.nanmedian(change[:, enough], axis=0)
    return float(np.quantile(np.abs(moves - np.median(moves)), COVERAGE))


def default_reach(horizon_days: int) -> Reach:
    """Return the interval to fall back on when neither this horizon nor any shorter one has known outcomes."""
    half = DEFAULT_REACH * float(np.sqrt(horizon_days)) / DEFAULT_STEP ** volatility_exponent(horizon_days)
    return Reach(horizon_days, (-half,) * len(LEVELS), (half,) * len(LEVELS), 0.0, 0)


def bins(popularity: NDArray[Any]) -> NDArray[np.intp]:
    """Return the bin of `LEVELS` that each value is in."""
    return np.digitize(popularity, LEVELS[1:])


def volatility_exponent(horizon_days: int) -> float:
    """Return the power of daily changes that residuals grow with: near 1 for tomorrow, near 0 for a month ahead."""
    return 1.0 / (1.0 + horizon_days / WEEK)


def scale(films: pd.DataFrame, horizon_days: int) -> NDArray[np.float64]:
    """Return the scale of residuals, which grows with the last week's daily changes and the month's missing days."""
    missing = 1.0 - films["days_known"].clip(0, MONTH).to_numpy() / MONTH
    volatility = films["step"].to_numpy() ** volatility_exponent(horizon_days)
    return np.asarray(volatility * (1.0 + (NEW_FILM_FACTOR - 1.0) * missing), dtype="float64")


def nearest(values: NDArray[Any], place: NDArray[np.intp], level: int) -> NDArray[Any]:
    """Return the values of a bin, together with those of neighboring bins if the bin has too few."""
    for around in range(len(LEVELS)):
        chosen = values[np.abs(place - level) <= around]
        if len(chosen) >= FEWEST_RESIDUALS:
            return chosen
    return values


def _quantiles(values: NDArray[Any]) -> tuple[float, float]:
    """Return the quantiles that cut off a tenth on each side, with the correction for a finite sample."""
    ordered, count = np.sort(values), len(values)
    tail = (1.0 - COVERAGE) / 2.0
    rank = min(int(np.ceil((count + 1) * (1.0 - tail))), count)
    return min(float(ordered[count - rank]), 0.0), max(float(ordered[rank - 1]), 0.0)
