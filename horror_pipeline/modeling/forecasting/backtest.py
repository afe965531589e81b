"""The backtest of a horizon: forecasts made on past days by models that did not know the outcomes.

Forecasts are made on each day of the newest weeks whose outcomes are known. The model of each week is fitted on the
week's first day, to nothing later. The errors decide how wide the intervals are, how far forecasts are shrunk towards
no change, and whether the horizon's model is used: if it does not beat the baseline "no change", no change is forecast.
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
"""Number of blocks of days in the backtest, and days in a block. Each block has a model fitted on its first day."""

MOST_FILMS = 6_000
"""The most films in the backtest; a larger catalog is sampled."""

PRIOR_SHRINKAGE = {1: 1.0, 3: 0.95, 7: 0.9, 14: 0.75, 30: 0.6}
"""Prior shrinkage factor by horizon: the further away the horizon, the less of a predicted change comes true."""

PRIOR_WEIGHT = 30.0
"""The effective sample size at which the backtest weighs as much as the prior. It is large, because the factor that was
best in the past two weeks says little about the coming weeks. On 16 recorded days, the prior alone was as good."""

SHRINKAGE_STEP = 0.05

FEWEST_DAYS = 6
"""The fewest days with forecasts from which to decide whether a model is used."""

GATE_Z = 1.64
"""Standard errors by which a model's mean gain must exceed 0. One useless model in twenty exceeds them by chance."""

ModelAt = Callable[[np.datetime64, int], ChangeModel | None]
"""A function of a day and a horizon in days. It returns the model fitted on that day; None if too little was known."""


def walk(history: History, released: NDArray[np.datetime64], horizon_days: int, model_at: ModelAt) -> pd.DataFrame:
    """Make forecasts on each day of the newest weeks with known outcomes, by a model fitted on the week's first day.

    Args:
        history: trusted values, up to the day the forecaster is fitted on.
        released: release date of each film.
        horizon_days: the horizon.
        model_at: returns the model fitted on a day.

    Returns:
        A row per film and day: `film` and `day` (positions in the history), `origin` and `actual` (popularity on the
        day and at the horizon), `log_change` (observed), `predicted` (the log change before shrinkage; 0 for films
        below `LOWEST_LEVEL`, NaN where there was no model), and the other columns of `circumstances`.
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
    """Apply changes of log(popularity + `OFFSET`) to popularity; no result is below zero."""
    changed = np.maximum((origin + OFFSET) * np.exp(log_change) - OFFSET, 0.0)
    return np.where(log_change == 0, origin, changed)  # free of rounding errors where nothing changes


def scored(walked: pd.DataFrame) -> pd.DataFrame:
    """Select the rows of `walk` that are scored: notable films for which a model made a prediction."""
    return walked[(walked["origin"] >= NOTABLE) & walked["predicted"].notna()]


def shrinkage(walked: pd.DataFrame, horizon_days: int) -> float:
    """Estimate the shrinkage factor, which is the share of a predicted change that is forecast.

    The estimate is a weighted mean of the prior and of the factor with the smallest error in the backtest. Outcomes of
    days that are less than a horizon apart overlap, so they are correlated. The effective sample size is therefore the
    number of days divided by the horizon. The prior weighs as much as a sample of size `PRIOR_WEIGHT`.
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
    """The decision whether a horizon's model is used.

    Args:
        serves: whether the model is used; otherwise no change is forecast.
        reason: the reason, in words.
        z: the model's mean gain over no change, in standard errors; NaN where too few days were forecast.
    """

    serves: bool
    reason: str
    z: float


def judge(walked: pd.DataFrame, share: float, horizon_days: int) -> Verdict:
    """Decide whether a model is used: its forecasts must beat those of no change by more than chance.

    Two conditions must hold. The total error of the shrunk forecasts must be below that of no change, and forecasts of
    half the shrunk change must show a significant gain. Half is enough, because a useless model raises the error
    however little of its change is forecast. Half is better, because the few films whose change is overpredicted then
    add less variance to the test. Each gain is divided by the square root of the film's popularity, so that no single
    film decides.

    Args:
        walked: what `walk` returned.
        share: the shrinkage factor to apply if the model is used.
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
    """Compute the mean gain in standard errors that allow for correlated gains of the same film or the same day.

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
    """Compute the mean errors of each day of the backtest, with the predictions shrunk by the factor in use.

    Args:
        walked: what `walk` returned; only notable films are scored.
        share: the shrinkage factor in use; 0 if no change is forecast.
        drift: the median change of the log at this horizon; a second baseline forecasts it for every film.

    Returns:
        Indexed by `day`, the position of the day on which the forecasts were made: `films`, `mae`, `mae_no_change`,
        `mae_drift`, `log_mae` and `log_mae_no_change`.
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
    """Mark the films of the backtest: all films, or a sample by a hash of the id, which later days do not change."""
    hashed = history.tmdb_ids.astype("uint64") * np.uint64(0x9E3779B97F4A7C15)
    return np.argsort(np.argsort(hashed, kind="stable"), kind="stable") < MOST_FILMS
