"""Held against later days: forecasts of models fitted weeks ago, beside "nothing changes".

The newest weeks of a horizon whose outcome is known are forecast by models fitted on the first day of each, on nothing
later. What they are worth decides whether the horizon's model serves, how far its forecasts are shrunk towards no
change, and how wide the intervals are.
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
"""How many weeks are forecast, each by a model fitted on its first day."""

MOST_FILMS = 6_000
"""Films the backtest follows; more are sampled."""

USUAL_SHRINKAGE = {1: 1.0, 3: 0.95, 7: 0.85, 14: 0.75, 30: 0.6}
"""How far forecasts are shrunk where the backtest says nothing: further away, less of a change is to be foreseen."""

USUAL_WEIGHT = 4.0
"""Horizons' worth of backtest days that what is usual counts for."""

SHRINKAGE_STEP = 0.05

FEWEST_DAYS = 6
"""Days of forecasts a verdict needs."""

GATE_Z = 1.64
"""Standard errors by which a model's gain has to exceed nothing: one chance in twenty for a model without merit."""

ModelAt = Callable[[np.datetime64, int], ChangeModel | None]
"""The model of a horizon, in days, as it would have been fitted on a day."""


def walk(history: History, released: NDArray[np.datetime64], horizon_days: int, model_at: ModelAt) -> pd.DataFrame:
    """Forecast the newest weeks whose outcome is known, each by a model of its first day.

    Args:
        history: trusted, up to the day of the forecast.
        released: release date of each film.
        horizon_days: how far to look.
        model_at: fits the models.

    Returns:
        `film`, `day` (positions in the history), `origin`, `actual`, `log_change` (as it was), `predicted` (the log
        change unshrunk; 0 below the level the models speak of; NaN where there was no model), and `circumstances`.
    """
    known = ~np.isnan(changes(history, horizon_days))
    known[~_followed(history)] = False
    last, weeks = len(history.days) - 1, -(-horizon_days // BLOCK_DAYS)
    blocks = []
    for block in range(BLOCKS):
        first = last - BLOCK_DAYS * (weeks + block)
        days = np.arange(max(first, 0), max(first + BLOCK_DAYS, 0))
        film, place = np.nonzero(known[:, days])
        if not len(film):
            continue
        model = model_at(history.days[first], horizon_days) if first >= 0 else None
        blocks.append(_forecast_block(history, released, film, days[place], (horizon_days, model)))
    return pd.concat(blocks, ignore_index=True) if blocks else _NOTHING


def _forecast_block(
    history: History,
    released: NDArray[np.datetime64],
    film: NDArray[np.intp],
    day: NDArray[np.intp],
    fitted: tuple[int, ChangeModel | None],
) -> pd.DataFrame:
    horizon_days, model = fitted
    origin = history.popularity[film, day].astype("float64")
    actual = history.popularity[film, day + horizon_days].astype("float64")
    rows = features(history, released, film, day)
    predicted = np.zeros(len(film)) if model else np.full(len(film), np.nan)
    if model:
        spoken = origin >= LOWEST_LEVEL
        predicted[spoken] = model.predict(rows[spoken])
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


_COLUMNS = ("film", "day", "origin", "actual", "log_change", "predicted", "days_known", "step", "displacement")
_NOTHING = pd.DataFrame({name: pd.Series(dtype="float64") for name in _COLUMNS})


def shift(origin: NDArray[np.float64], log_change: NDArray[np.float64]) -> NDArray[np.float64]:
    """Popularity after a change of its log; never below zero."""
    changed = np.maximum((origin + OFFSET) * np.exp(log_change) - OFFSET, 0.0)
    return np.where(log_change == 0, origin, changed)  # no change is the value itself, not its rounding


def scored(walked: pd.DataFrame) -> pd.DataFrame:
    """The rows of a walk that count: notable films that a model spoke of."""
    return walked[(walked["origin"] >= NOTABLE) & walked["predicted"].notna()]


def shrinkage(walked: pd.DataFrame, horizon_days: int) -> float:
    """The share of the predicted change that is forecast: between the usual and the best of the backtest.

    Days nearer than the horizon tell the same story, so the backtest counts by the horizons that fit into it, and what
    is usual counts as much as `USUAL_WEIGHT` of them.
    """
    usual, rows = USUAL_SHRINKAGE[horizon_days], scored(walked)
    if rows.empty:
        return usual
    origin, actual, predicted = (rows[name].to_numpy() for name in ("origin", "actual", "predicted"))
    shares = np.arange(0.0, 1.0 + SHRINKAGE_STEP / 2, SHRINKAGE_STEP)
    errors = [np.abs(actual - shift(origin, share * predicted)).mean() for share in shares]
    stories = float(rows["day"].nunique()) / horizon_days
    trust = stories / (stories + USUAL_WEIGHT)
    return round(float(usual + trust * (shares[int(np.argmin(errors))] - usual)), 3)


@dataclass(frozen=True)
class Verdict:
    """Whether a horizon's model serves.

    Args:
        serves: whether it does; otherwise no change is forecast.
        reason: why, in words.
        z: its gain over no change, in standard errors; NaN where nothing was forecast.
    """

    serves: bool
    reason: str
    z: float


def judge(walked: pd.DataFrame, share: float, horizon_days: int) -> Verdict:
    """Let a model serve only if it is better than no change by more than chance.

    The gain is tested halfway to what would be served: a model without merit makes errors larger at any distance from
    no change, and close to it the test is not drowned by the few films it overshoots. What would be served must have
    the smaller error, too. Gains count by the root of the level, so that no single film decides.

    Args:
        walked: what `walk` returned.
        share: the shrinkage that would serve.
        horizon_days: of the model.
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
    """The mean gain in standard errors, where gains of one film and gains of one day are not independent.

    Two-way clustering (Cameron, Gelbach and Miller 2011): the variances by film and by day add up, less that of single
    rows. Days nearer than the horizon overlap; their covariances count with Bartlett weights (Newey and West 1987).
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
    """What the backtest found, per day the forecasts were made on.

    Args:
        walked: what `walk` returned; only notable films count.
        share: the shrinkage that serves; 0 where no change serves.
        drift: the change of the log that is usual at this horizon, for comparison.

    Returns:
        By `day`: `films`, `mae`, `mae_no_change`, `mae_drift`, `log_mae`, `log_mae_no_change`, all of what would be
        served.
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
    """The films the backtest follows: all, or a sample that does not depend on later days."""
    hashed = history.tmdb_ids.astype("uint64") * np.uint64(0x9E3779B97F4A7C15)
    return np.argsort(np.argsort(hashed, kind="stable"), kind="stable") < MOST_FILMS
