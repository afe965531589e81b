"""How far off forecasts are: conformal 80 % intervals by horizon and level.

Split conformal prediction (Vovk et al. 2005): the ends of an interval are quantiles of residuals of models fitted
before them, on the log scale. They are taken by level, because small films move more in proportion, and for each side
on its own, because rises are larger than falls. Films do not err independently: on some days all of TMDB moves, and
comes back within weeks. A few weeks of residuals cannot show how far, so what all films do alike is taken out of the
residuals and put back from the whole history.
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
"""Lower ends of the bins of popularity in which residuals are taken together."""

FEWEST_RESIDUALS = 100
"""Residuals a bin needs; one with fewer takes those of its neighbors as well."""

NEW_FILM_FACTOR = 1.5
"""An interval of a film without history is this much wider than one of a film known for a month."""

DOUBT_FACTOR = 2.0
"""An interval around a value that is in doubt, or at a horizon never observed, is this much wider."""

USUAL_REACH, USUAL_STEP = 0.4, 0.06
"""Half width after a day, and a film's usual step from day to day, where nothing has been observed yet."""

RETURNING_SHARE = 0.4
"""How much of a move of all films away from their month is held possible to come back within a week."""


@dataclass(frozen=True)
class Reach:
    """How far below and above a forecast the outcome may be, on the log scale.

    Args:
        horizon_days: days ahead.
        lower: at most 0, by bin of `LEVELS`, for a film known for a month and a common step of 1.
        upper: at least 0, likewise.
        common: how far all films together may move.
        residuals: how many residuals it is taken from.
    """

    horizon_days: int
    lower: tuple[float, ...]
    upper: tuple[float, ...]
    common: float
    residuals: int

    def stretched(self, horizon_days: int) -> Reach:
        """The same for a longer horizon, of which no outcome is known: grown with the root of time, and doubled."""
        grown = DOUBT_FACTOR * float(np.sqrt(horizon_days / self.horizon_days))
        factor = grown * USUAL_STEP ** (unrest_exponent(self.horizon_days) - unrest_exponent(horizon_days))
        lower, upper = (tuple(end * factor for end in ends) for ends in (self.lower, self.upper))
        return Reach(horizon_days, lower, upper, self.common * grown, 0)

    def bounds(
        self, forecast: NDArray[Any], films: pd.DataFrame, factor: float = 1.0
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The interval of each forecast, never below zero.

        Args:
            forecast: forecasts of popularity.
            films: what `circumstances` returned for the day they are made on.
            factor: widens all intervals alike.
        """
        place = bins(films["origin"].to_numpy())
        own = factor * scale(films, self.horizon_days)
        returning = RETURNING_SHARE * min(self.horizon_days / WEEK, 1.0) * films["displacement"].to_numpy()
        down = np.hypot(np.asarray(self.lower)[place] * own, factor * self.common) + np.maximum(returning, 0.0)
        up = np.hypot(np.asarray(self.upper)[place] * own, factor * self.common) + np.maximum(-returning, 0.0)
        center = log_level(forecast)
        lower, upper = np.exp(center - down) - OFFSET, np.exp(center + up) - OFFSET
        return np.clip(lower, 0.0, forecast), np.maximum(upper, forecast)


def circumstances(rows: NDArray[np.float32], origin: NDArray[Any], day: NDArray[Any]) -> pd.DataFrame:
    """What the width of an interval depends on.

    Args:
        rows: rows of `features`.
        origin: popularity of each film that day.
        day: the day of each row.

    Returns:
        `origin`; `days_known`; `step`, the median film's daily change within the week; and `displacement`, how far
        the median film is from its month.
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
    table["step"] = common["step"].fillna(USUAL_STEP).clip(lower=USUAL_STEP / 10)
    table["displacement"] = common["displacement"].fillna(0.0)
    return table


def calibrate(
    residual: NDArray[Any], films: pd.DataFrame, day: NDArray[Any], spread: tuple[int, float]
) -> Reach | None:
    """Take the quantiles of forward residuals.

    Args:
        residual: log of the outcome less log of the forecast.
        films: `circumstances` of the days the forecasts were made on.
        day: the day of each row.
        spread: the horizon in days, and how far all films together move within it.

    Returns:
        The reach; None where there are no residuals.
    """
    if not len(residual):
        return None
    horizon_days, common = spread
    notable = pd.Series(np.where(films["origin"] >= LOWEST_LEVEL, residual, np.nan))
    alone = residual - notable.groupby(day).transform("median").fillna(0.0).to_numpy()
    scaled, place = alone / scale(films, horizon_days), bins(films["origin"].to_numpy())
    ends = [_quantiles(nearest(scaled, place, level)) for level in range(len(LEVELS))]
    return Reach(horizon_days, tuple(low for low, _ in ends), tuple(high for _, high in ends), common, len(residual))


def common_spread(history: History, horizon_days: int) -> float:
    """How far the median film moved within the horizon, from any day: what was exceeded on one day in five."""
    change = np.where(history.popularity >= NOTABLE, changes(history, horizon_days), np.nan)
    enough = (~np.isnan(change)).sum(axis=0) >= FEWEST_FILMS
    if not enough.any():
        return 0.0
    moves = np.nanmedian(change[:, enough], axis=0)
    return float(np.quantile(np.abs(moves - np.median(moves)), COVERAGE))


def usual_reach(horizon_days: int) -> Reach:
    """What is assumed where nothing has been observed."""
    half = USUAL_REACH * float(np.sqrt(horizon_days)) / USUAL_STEP ** unrest_exponent(horizon_days)
    return Reach(horizon_days, (-half,) * len(LEVELS), (half,) * len(LEVELS), 0.0, 0)


def bins(popularity: NDArray[Any]) -> NDArray[np.intp]:
    """The bin of `LEVELS` each value is in."""
    return np.clip(np.searchsorted(np.asarray(LEVELS), popularity, side="right") - 1, 0, len(LEVELS) - 1)


def unrest_exponent(horizon_days: int) -> float:
    """How far the width follows the steps of the last week: nearly in proportion tomorrow, hardly in a month."""
    return 1.0 / (1.0 + horizon_days / WEEK)


def scale(films: pd.DataFrame, horizon_days: int) -> NDArray[np.float64]:
    """How much wider intervals are when steps are larger, and for films that were missing in the last month."""
    missing = 1.0 - films["days_known"].clip(0, MONTH).to_numpy() / MONTH
    unrest = films["step"].to_numpy() ** unrest_exponent(horizon_days)
    return np.asarray(unrest * (1.0 + (NEW_FILM_FACTOR - 1.0) * missing), dtype="float64")


def nearest(values: NDArray[Any], place: NDArray[np.intp], level: int) -> NDArray[Any]:
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
