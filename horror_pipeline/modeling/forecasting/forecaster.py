"""The forecaster: for every horizon a model, its backtest and its intervals, fitted to what was known on a day."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from functools import cache

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from horror_pipeline.domain import FORECAST_HORIZONS_DAYS
from horror_pipeline.modeling.chances import reliability
from horror_pipeline.modeling.forecasting import backtest, residuals
from horror_pipeline.modeling.forecasting.change_model import ChangeModel, changes, fit_change_model
from horror_pipeline.modeling.forecasting.features import WEEK, dates_of
from horror_pipeline.modeling.forecasting.history import NOTABLE, History
from horror_pipeline.modeling.forecasting.residuals import Reach
from horror_pipeline.modeling.forecasting.rise import Rise, fit_rise


@dataclass(frozen=True)
class HorizonForecaster:
    """The forecaster of one horizon.

    Args:
        horizon_days: days ahead.
        model: the fitted model; None if no change is forecast instead.
        verdict: whether the model is used, and why.
        share: the shrinkage factor: the share of the model's predicted change that is forecast, 0 to 1.
        reach: the interval around the forecasts.
        coverage: share of the newest week's outcomes inside intervals calibrated on earlier weeks; NaN where untested.
        figures: mean errors of the backtest, indexed by date; see `backtest.figures`.
        drift: the median change of the log at this horizon.
        rise: the distribution from which chances of a rise are computed; None if no outcome is known, and in a track
            record.
        reliability: by decile, the stated chance of a rise within a week, and how often popularity rose in the newest
            week; see `chances.reliability`. Empty at other horizons, and in a track record.
    """

    horizon_days: int
    model: ChangeModel | None
    verdict: backtest.Verdict
    share: float
    reach: Reach
    coverage: float
    figures: pd.DataFrame
    drift: float
    rise: Rise | None
    reliability: list[list[float]]

    @property
    def serves(self) -> bool:
        """Whether the model is used; otherwise no change is forecast."""
        return self.verdict.serves

    def metrics(self) -> dict[str, float]:
        """Summarize the backtest: mean errors over all its days, and those of the baselines no change and drift."""
        table = self.figures
        weight = table["films"].to_numpy() / max(float(table["films"].sum()), 1.0)
        mean = {name: float(table[name].to_numpy() @ weight) for name in table.columns if name != "films"}
        base, log_base = mean["mae_no_change"], mean["log_mae_no_change"]
        return {
            "films": float(table["films"].sum()),
            "days": float(len(table)),
            **mean,
            "skill": 1.0 - mean["mae"] / base if base > 0 else 0.0,
            "log_mae_ratio": mean["log_mae"] / log_base if log_base > 0 else 1.0,
            "coverage": self.coverage,
            "z": self.verdict.z,
        }


@dataclass(frozen=True)
class FittedForecaster:
    """A forecaster of all horizons, fitted to what was known on a day.

    Args:
        made_on: the day.
        seed: seed of everything random.
        days_used: number of observed days it was fitted to.
        first_day: the first day of its history, which starts again when TMDB changes the scale of popularity.
        films: number of films in its history.
        horizons: the forecaster of each horizon, by days ahead.
    """

    made_on: dt.date
    seed: int
    days_used: int
    first_day: dt.date
    films: int
    horizons: dict[int, HorizonForecaster]


class Models:
    """A cache of models by day and horizon. Each model is fitted when it is first requested.

    Args:
        history: the observations; the model of a day does not use later ones.
        release_dates: the release date by `tmdb_id`; missing where unknown.
        seed: seed of everything random.
    """

    def __init__(self, history: History, release_dates: pd.Series, seed: int) -> None:
        self.history, self.release_dates, self.seed = history, release_dates, seed
        self.fitted_on = cache(self._fit)

    def _fit(self, day: np.datetime64, horizon_days: int) -> ChangeModel | None:
        """Fit the model of a horizon to what was known on a day; None if that is too little."""
        known = self.history.until(day.astype(dt.date)).trusted()
        return fit_change_model(known, dates_of(known, self.release_dates), horizon_days, self.seed)


def fit_forecaster(history: History, release_dates: pd.Series, made_on: dt.date, seed: int = 0) -> FittedForecaster:
    """Fit the forecaster of every horizon to what was known on a day, with a backtest on the weeks before.

    Args:
        history: the observations; days after `made_on` are not used.
        release_dates: the release date by `tmdb_id`; missing where unknown.
        made_on: the day.
        seed: seed of everything random.
    """
    return fit_with(Models(history, release_dates, seed), made_on, states_chances=True)


def fit_with(models: Models, made_on: dt.date, *, states_chances: bool = False) -> FittedForecaster:
    """Fit the forecaster of every horizon to what was known on a day, with models from a cache.

    Args:
        models: the models of a history.
        made_on: the day.
        states_chances: whether to also fit what chances of a rise are computed from. A track record does not need it.
    """
    known = models.history.until(made_on).trusted()
    released = dates_of(known, models.release_dates)
    horizons: dict[int, HorizonForecaster] = {}
    with threadpool_limits(limits=1):
        for days in FORECAST_HORIZONS_DAYS:
            horizons[days] = _fit_horizon(known, released, days, models, horizons, states_chances)
    return FittedForecaster(
        made_on=made_on,
        seed=models.seed,
        days_used=int((~np.isnan(known.popularity)).any(axis=0).sum()),
        first_day=known.days[0].astype(dt.date),
        films=int((~np.isnan(known.popularity)).any(axis=1).sum()),
        horizons=horizons,
    )


def _fit_horizon(
    known: History,
    released: NDArray[np.datetime64],
    horizon_days: int,
    models: Models,
    shorter: dict[int, HorizonForecaster],
    states_chances: bool,
) -> HorizonForecaster:
    walked = backtest.walk(known, released, horizon_days, models.fitted_on)
    share = backtest.shrinkage(walked, horizon_days)
    verdict = backtest.judge(walked, share, horizon_days)
    model = models.fitted_on(known.days[-1], horizon_days) if verdict.serves else None
    share = share if model else 0.0
    change = changes(known, horizon_days)[known.popularity >= NOTABLE]
    change = change[~np.isnan(change)]
    drift = float(np.median(change)) if len(change) else 0.0
    common = residuals.common_spread(known, horizon_days)
    table = backtest.figures(walked, share, drift)
    table.index = pd.DatetimeIndex(known.days[table.index.to_numpy(dtype="int64")], name="day")
    return HorizonForecaster(
        horizon_days=horizon_days,
        model=model,
        verdict=verdict,
        share=share,
        reach=residuals.calibrate(walked, share, horizon_days, common) or _guess(horizon_days, shorter),
        coverage=_coverage(walked, share, horizon_days, common),
        figures=table,
        drift=drift,
        rise=fit_rise(walked, share, known, horizon_days) if states_chances else None,
        reliability=_reliability(walked, share, known) if states_chances and horizon_days == WEEK else [],
    )


def _newest_week(walked: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Split a backtest into the earlier weeks, and the notable films of the newest week."""
    is_newest = walked["day"] > walked["day"].max() - backtest.BLOCK_DAYS
    return walked[~is_newest], walked[is_newest & (walked["origin"] >= NOTABLE)]


def _reliability(walked: pd.DataFrame, share: float, known: History) -> list[list[float]]:
    """Compare the chances of a rise in the newest week, computed from the weeks before it, with what happened."""
    earlier, rows = _newest_week(walked)
    rise = fit_rise(earlier, share, known, WEEK)
    if rise is None or rows.empty:
        return []
    chance = rise.chance(share * rows["predicted"].fillna(0.0).to_numpy(), rows)
    return reliability(chance, rows["log_change"] > 0).to_numpy(dtype="float64").tolist()


def _coverage(walked: pd.DataFrame, share: float, horizon_days: int, common: float) -> float:
    """Measure how often intervals calibrated on the earlier weeks cover the outcomes of the newest week."""
    earlier, rows = _newest_week(walked)
    reach = residuals.calibrate(earlier, share, horizon_days, common)
    if reach is None or rows.empty:
        return float("nan")
    center = backtest.shift(rows["origin"].to_numpy(), share * rows["predicted"].fillna(0.0).to_numpy())
    lower, upper = reach.bounds(center, rows)
    actual = rows["actual"].to_numpy()
    return float(((actual >= lower) & (actual <= upper)).mean())


def _guess(horizon_days: int, shorter: dict[int, HorizonForecaster]) -> Reach:
    """Extrapolate the interval of a horizon without known outcomes from the nearest shorter horizon with outcomes."""
    observed = [days for days in shorter if shorter[days].reach.residuals]
    if not observed:
        return residuals.default_reach(horizon_days)
    return shorter[max(observed)].reach.stretched(horizon_days)
