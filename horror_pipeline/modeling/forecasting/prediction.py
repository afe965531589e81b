"""Forecasts of a day by a fitted forecaster, and of past days by forecasters fitted to what was known at the time."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from horror_pipeline.modeling.forecasting import backtest, residuals
from horror_pipeline.modeling.forecasting.change_model import LOWEST_LEVEL
from horror_pipeline.modeling.forecasting.features import FEATURES, dates_of, features
from horror_pipeline.modeling.forecasting.forecaster import FittedForecaster, HorizonForecaster, Models, fit_with
from horror_pipeline.modeling.forecasting.history import History


@dataclass(frozen=True)
class Forecasts:
    """The forecasts made on one day.

    Args:
        rows: `tmdb_id`, `horizon_days`, `target_date`, `origin_popularity`, `forecast_popularity`, `popularity_lower`,
            `popularity_upper`, `rise_probability`.
        skipped: the reason why a film has no forecast, by `tmdb_id`.
        described: rows of `features` by `tmdb_id`, for the films that the models were applied to.
    """

    rows: pd.DataFrame
    skipped: pd.Series
    described: pd.DataFrame


def forecast(fitted: FittedForecaster, history: History, release_dates: pd.Series, made_on: dt.date) -> Forecasts:
    """Forecast the popularity of every film observed on a day, without using anything later than that day.

    Args:
        fitted: the forecaster.
        history: the observations; later days are not used.
        release_dates: the release date by `tmdb_id`; missing where unknown.
        made_on: the day.

    Raises:
        ValueError: the forecaster was fitted after the day.
    """
    if fitted.made_on > made_on:
        raise ValueError(f"a forecaster fitted on {fitted.made_on} has seen days after {made_on}")
    seen = history.until(made_on)
    known = seen.trusted()
    origin, is_doubtful, skipped = _origins(seen, known, made_on)
    film = np.flatnonzero(~np.isnan(origin))
    described = features(known, dates_of(known, release_dates), film, np.full(len(film), len(known.days) - 1))
    films = residuals.circumstances(described, origin[film], np.zeros(len(film)))
    with threadpool_limits(limits=1):
        parts = [
            _forecast_horizon(horizon, seen.tmdb_ids[film], films, described, is_doubtful)
            for horizon in fitted.horizons.values()
        ]
    rows = pd.concat(parts, ignore_index=True).sort_values(["tmdb_id", "horizon_days"], ignore_index=True)
    target = pd.Timestamp(made_on) + pd.to_timedelta(rows["horizon_days"], unit="D")
    rows.insert(2, "target_date", target.dt.date)
    is_modeled = (origin[film] >= LOWEST_LEVEL) & (not is_doubtful)
    modeled = pd.DataFrame(described[is_modeled], index=seen.tmdb_ids[film][is_modeled], columns=list(FEATURES))
    return Forecasts(rows, skipped, modeled)


def _origins(seen: History, known: History, made_on: dt.date) -> tuple[NDArray[np.float64], bool, pd.Series]:
    """Return each film's popularity on the day, whether the whole day is doubtful, and why films have no popularity.

    A day is doubtful if none of its values can be trusted. Forecasts then start from the untrusted values.
    """
    raw = seen.popularity[:, -1].astype("float64")
    origin = known.popularity[:, -1].astype("float64")
    is_value = np.isfinite(raw) & (raw > 0)
    is_doubtful = bool(is_value.any() and np.isnan(origin).all())
    if is_doubtful:
        origin = np.where(is_value, raw, np.nan)
    reason = np.where(
        np.isnan(raw),
        f"no snapshot on {made_on}",
        np.where(is_value, "its popularity is far outside what films have", "its popularity is not above zero"),
    )
    missing = np.isnan(origin)
    return origin, is_doubtful, pd.Series(reason[missing], index=seen.tmdb_ids[missing], name="reason", dtype="object")


def _forecast_horizon(
    horizon: HorizonForecaster,
    tmdb_ids: NDArray[np.int64],
    films: pd.DataFrame,
    described: NDArray[np.float32],
    is_doubtful: bool,
) -> pd.DataFrame:
    origin = films["origin"].to_numpy()
    change = np.zeros(len(origin))
    is_modeled = origin >= LOWEST_LEVEL
    if horizon.model is not None and not is_doubtful:
        change[is_modeled] = horizon.share * horizon.model.predict(described[is_modeled])
    center = backtest.shift(origin, change)
    lower, upper = horizon.reach.bounds(center, films, residuals.DOUBT_FACTOR if is_doubtful else 1.0)
    return pd.DataFrame(
        {
            "tmdb_id": tmdb_ids,
            "horizon_days": horizon.horizon_days,
            "origin_popularity": origin,
            "forecast_popularity": center,
            "popularity_lower": lower,
            "popularity_upper": upper,
            "rise_probability": np.nan if is_doubtful or not horizon.rise else horizon.rise.chance(change, films),
        }
    )


def track_record(
    history: History, release_dates: pd.Series, days: Sequence[dt.date], seed: int = 0
) -> Iterator[tuple[dt.date, FittedForecaster, Forecasts]]:
    """Make the forecasts that would have been made on past days, by forecasters fitted to what was known then.

    Each calendar week has one forecaster, fitted on its Monday, so that the forecasts of a day do not depend on which
    other days are in `days`.

    Args:
        history: the observations, from `FORECAST_WINDOW_DAYS` before the first of `days`, as far as there are any.
        release_dates: the release date by `tmdb_id`; missing where unknown.
        days: the days to forecast on, in order.
        seed: seed of everything random.

    Yields:
        Each day, with the forecaster of its week and the forecasts made on it.
    """
    models = Models(history, release_dates, seed)
    fitted: FittedForecaster | None = None
    for day in days:
        monday = day - dt.timedelta(days=day.weekday())
        if fitted is None or fitted.made_on != monday:
            fitted = fit_with(models, monday)
        yield day, fitted, forecast(fitted, history, release_dates, day)
