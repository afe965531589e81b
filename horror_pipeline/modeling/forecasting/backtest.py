"""The backtest of a horizon: forecasts for past days, made by models that were fitted before those days.

The newest weeks whose outcomes are known are forecast. The model of each week is fitted on its first day, to nothing
later. The errors, compared with those of no change, decide whether the horizon's model serves, how far its forecasts
are shrunk towards no change, and how wide the intervals are.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from horror_pipeline.modeling.forecasting.change_model import LOWEST_LEVEL, ChangeModel, changes
from horror_pipeline.modeling.forecasting.features import OFFSET, features
from horror_pipeline.modeling.forecasting.history import NOTABLE, History
from horror_pipeline.modeling.forecasting.residuals import circumstances

BLOCKS, BLOCK_DAYS = 2, 7
"""How many blocks of days are forecast, and how long a block is. Each has a model fitted on its first day."""

MOST_FILMS = 6_000
"""Films in the backtest; of a larger catalog, a sample is taken."""

PRIOR_SHRINKAGE = {1: 1.0, 3: 0.95, 7: 0.9, 14: 0.75, 30: 0.6}
"""Prior shrinkage factor by horizon: the further away the horizon, the less of a predicted change comes true."""

PRIOR_WEIGHT = 30.0
"""The effective sample size at which the backtest weighs as much as the prior. It is large, because the factor that was
best in the past two weeks says little about the coming weeks: over 16 recorded days, the prior alone was as good."""

SHRINKAGE_STEP = 0.05

FEWEST_DAYS = 6
"""Days of forecasts that are needed to decide whether a model serves."""

GATE_Z = 1.64
"""Standard errors above 0 that a model's gain must reach: one useless model in twenty reaches them by chance."""

ModelAt = Callable[[np.datetime64, int], ChangeModel | None]
"""Returns the model fitted on a day for a horizon in days; None where too little was known then."""


def walk(history: History, released: NDArray[np.datetime64], horizon_days: int, model_at: ModelAt) -> pd.DataFrame:
    """Forecast the newest weeks whose outcomes are known, each by a model fitted on its first day.

    Args:
        history: trusted values, up to the day the forecaster is fitted on.
        released: release date of each film.
        horizon_days: the horizon.
        model_at: fits the models.

    Returns:
        A row per film and day: `film` and `day` (positions in the history), `origin` and `actual` (popularity on the
        day and at the horizon), `log_change` (observed), `predicted` (the log change before shrinkage; 0 for films
        below `LOWEST_LEVEL`, NaN where there was no model), and the columns of `circumstances`.
    """
    known = ~np.isnan(changes(history, horizon_days))
    known[~_followed(history)] = False
    last, weeks = len(history.days) - 1, -(-horizon_days // BLOCK_DAYS)
    blocks = []
    for block in range(BLOCKS):
        first = last - BLOCK_DAYS * (weeks + block)
        days = np.arange(max(first, 0), max(first + BLOCK_DAYS, 0))
        film, place = np.nonzero(known[:, days])
        model = model_at(history.days[first], horizon_days) if first >= 0 and len(film) else None
        blocks.append(_forecast_block(history, released, film, days[place], horizon_days, model))
    return pd.concat(blocks, ignore_index=True)


def _forecast_block(
    history: History,
    released: NDArray[np.datetime64],
    film: NDArray[np.intp],
    day: NDArray[np.intp],
    horizon_days: int,
    model: ChangeModel | None,
) -> pd.DataFrame:
    origin = history.popularity[film, day].astype("float64")
    actual = history.popularity[film, day + horizon_days].astype("float64")
    rows = features(history, released, film, day)
    predicted = np.full(len(film), 0.0 if model else np.nan)
    if model:
        is_modeled = origin >= LOWEST_LEVEL
        predicted[is_modeled] = model.predict(rows[is_modeled])
    return pd.DataFrame(
        {
            "film": film,
            "day": day,
            "origin": origin,
            "actual": actual,
            "log_change": np.log(actual + OFFSET) - np.log(origin + OFFSET),
            "predicted": predicted,
        }
    ).join(circumstances(rows, origin, day).drop(columns="origin"))


def shift(origin: NDArray[np.float64], log_change: NDArray[np.float64]) -> NDArray[np.float64]:
    """Apply a change of the log to popularity; the result is never below zero."""
    changed = np.maximum((origin + OFFSET) * np.exp(log_change) - OFFSET, 0.0)
    return np.where(log_change == 0, origin, changed)  # free of rounding errors where nothing changes


def scored(walked: pd.DataFrame) -> pd.DataFrame:
    """Select the rows of a walk that are scored: notable films for which a model made a prediction."""
    return walked[(walked["origin"] >= NOTABLE) & walked["predicted"].notna()]


def shrinkage(walked: pd.DataFrame, horizon_days: int) -> float:
    """Estimate the shrinkage factor, which is the share of a predicted change that is forecast.

    The estimate is a weighted mean of the prior and of the factor with the smallest error in the backtest. Outcomes of
    days that are less than a horizon apart overlap, so they are correlated. The effective sample size is therefore the
    number of days divided by the horizon, and the prior weighs as much as `PRIOR_WEIGHT` of it.
    """
    prior, rows = PRIOR_SHRINKAGE[horizon_days], scored(walked)
    if rows.empty:
        return prior
    origin, actual, predicted = (rows[name].to_numpy() for name in ("origin", "actual", "predicted"))
    shares = np.arange(0.0, 1.0 + SHRINKAGE_STEP / 2, SHRINKAGE_STEP)
    errors = [np.abs(actual - shift(origin, share * predicted)).mean() for share in shares]
    sample_size = float(rows["day"].nunique()) / horizon_days
    weight = sample_size / (sample_size + PRIOR_WEIGHT)
    return round(float(prior + weight * (shares[int(np.argmin(errors))] - prior)), 3)


@dataclass(frozen=True)
class Verdict:
    """Whether a horizon's model serves.

    Args:
        serves: whether it does; otherwise no change is forecast.
        reason: the reason, in words.
        z: the model's gain over no change in standard errors; NaN where too few days were forecast.
    """

    serves: bool
    reason: str
    z: float


def judge(walked: pd.DataFrame, share: float, horizon_days: int) -> Verdict:
    """Decide whether a model serves: its forecasts must be better than no change by more than chance.

    The total error of the shrunk forecasts must be below that of no change. In addition, forecasts of half that change
    must show a significant gain. A useless model raises the error however little of its change is forecast, and with
    half of it, the few films whose change is overpredicted add less variance to the test. Each gain is divided by the
    square root of the film's popularity, so that no single film decides.

    Args:
        walked: what `walk` returned.
        share: the shrinkage factor that would serve.
        horizon_days: the horizon.
    """
    rows = scored(walked)
    days = rows["day"].nunique()
    if days < FEWEST_DAYS:
        return Verdict(False, "there are too few past days to test a model on", float("nan"))
    origin, actual, predicted = (rows[name].to_numpy() for name in ("origin", "actual", "predicted"))
    unchanged = np.abs(actual - origin)
    served, halfway = (np.abs(actual - shift(origin, part * share * predicted)) for part in (1.0, 0.5))
    ratio = served.sum() / unchanged.sum() if unchanged.sum() > 0 else 1.0
    gain = (unchanged - halfway) / np.sqrt(origin)
    z = clustered_z(gain, rows["film"].to_numpy(), rows["day"].to_numpy(), horizon_days)
    figures = f"its error is {ratio:.2f} of no change's on {days} past days, z {z:.1f}"
    if ratio < 1.0 and z > GATE_Z:
        return Verdict(True, f"better than no change: {figures}", z)
    return Verdict(False, f"not better than no change by more than chance: {figures}", z)


def clustered_z(gain: NDArray[np.float64], film: NDArray[np.intp], day: NDArray[np.intp], horizon_days: int) -> float:
    """Compute the mean gain in standard errors, given that gains of one film, and gains of one day, are correlated.

    The standard errors are clustered by film and day (Cameron, Gelbach and Miller 2011): the variance is that by film
    plus that by day, less that of single rows. Outcomes of days that are less than a horizon apart overlap, so the
    covariances of such days are added with Bartlett weights (Newey and West 1987).
    """
    if len(gain) < 2:
        return float("nan")
    centered = gain - gain.mean()
    by_film = pd.Series(centered).groupby(film).sum().to_numpy()
    by_day = np.bincount(day - day.min(), weights=centered)
    variance = float(np.square(by_film).sum() + np.square(by_day).sum() - np.square(centered).sum())
    for lag in range(1, min(horizon_days, len(by_day) // 2)):
        weight = 1.0 - lag / (min(horizon_days, len(by_day) // 2))
        variance += 2.0 * weight * max(float(by_day[lag:] @ by_day[:-lag]), 0.0)
    variance = max(variance, float(np.square(centered).sum()))
    return float(gain.sum() / np.sqrt(variance)) if variance > 0 else 0.0


def figures(walked: pd.DataFrame, share: float, drift: float) -> pd.DataFrame:
    """Compute the errors of each day of the backtest, as they would have been with the shrinkage that serves.

    Args:
        walked: what `walk` returned; only notable films are scored.
        share: the shrinkage factor that serves; 0 where no change serves.
        drift: the median change of the log at this horizon, as a second baseline.

    Returns:
        Indexed by `day`, on which the forecasts were made: `films`, `mae`, `mae_no_change`, `mae_drift`, `log_mae` and
        `log_mae_no_change`.
    """
    rows = walked[walked["origin"] >= NOTABLE]
    origin, actual, change = (rows[name].to_numpy() for name in ("origin", "actual", "log_change"))
    predicted = share * rows["predicted"].fillna(0.0).to_numpy()
    table = pd.DataFrame(
        {
            "day": rows["day"].to_numpy(),
            "films": 1,
            "mae": np.abs(actual - shift(origin, predicted)),
            "mae_no_change": np.abs(actual - origin),
            "mae_drift": np.abs(actual - shift(origin, np.full(len(rows), drift))),
            "log_mae": np.abs(change - predicted),
            "log_mae_no_change": np.abs(change),
        }
    ).groupby("day")
    return table.mean().assign(films=table["films"].sum())


def _followed(history: History) -> NDArray[np.bool_]:
    """Select the films of the backtest: all, or a sample that does not depend on later days."""
    hashed = history.tmdb_ids.astype("uint64") * np.uint64(0x9E3779B97F4A7C15)
    return np.argsort(np.argsort(hashed, kind="stable"), kind="stable") < MOST_FILMS
