"""Explanations of forecasts: which groups of features contribute most to a film's forecast change, in words."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from horror_pipeline.domain import POPULARITY_DECIMALS
from horror_pipeline.modeling.explanation import Film, explain, in_words, out_for
from horror_pipeline.modeling.forecasting.change_model import ChangeModel
from horror_pipeline.modeling.forecasting.features import FEATURES, LONGEST_WAIT, OFFSET, OLDEST, WEEK, log_level
from horror_pipeline.modeling.forecasting.forecaster import FittedForecaster, HorizonForecaster
from horror_pipeline.modeling.forecasting.prediction import Forecasts
from horror_pipeline.modeling.specs import Floats

BACKGROUND_FILMS = 1

WEEKDAY = "weekday"
"""The feature without a group: it is the same for all films of a day, so its effect is part of the base."""


def explain_forecasts(fitted: FittedForecaster, made: Forecasts) -> pd.DataFrame:
    """Explain each film's forecast at each horizon by what sets it apart from the mean forecast of all films.

    Args:
        fitted: the forecaster.
        made: its forecasts.

    Returns:
        `tmdb_id`, `horizon_days`, `base` and `parts`, a list of (label, effect). Base and effects add up to the
        forecast change of log(popularity + `OFFSET`), with popularity rounded as it is stored. Forecasts of no change
        are not explained.
    """
    explained = []
    with threadpool_limits(limits=1):
        for horizon in fitted.horizons.values():
            if horizon.model is not None and len(made.described):
                explained.append(_explain(horizon, horizon.model, made))
    none = pd.DataFrame(columns=["tmdb_id", "horizon_days", "base", "parts"])
    return pd.concat(explained or [none], ignore_index=True)


def _explain(horizon: HorizonForecaster, model: ChangeModel, made: Forecasts) -> pd.DataFrame:
    described = made.described

    def value(rows: NDArray[np.float32]) -> Floats:
        return horizon.share * model.predict(rows)

    rows = described.to_numpy()
    base, parts = explain(value, rows, list(GROUPS.values()), BACKGROUND_FILMS)
    of_horizon = made.rows[made.rows["horizon_days"] == horizon.horizon_days].set_index("tmdb_id").loc[described.index]
    origin, forecast = (
        log_level(of_horizon[name].round(POPULARITY_DECIMALS)) for name in ("origin_popularity", "forecast_popularity")
    )
    named = in_words(base, parts, (forecast - origin).to_numpy(), described, list(WORDS.values()))
    frame = pd.DataFrame({"tmdb_id": described.index, "base": base, "parts": named})
    return frame.assign(horizon_days=horizon.horizon_days)


def _group_of(name: str) -> str:
    """Return the group of a feature."""
    if name in ("level", "days_from_release"):
        return name
    if name in ("month_step", "week_step"):
        return "volatility"
    kind, _, days = name.partition("_")
    is_recent = name == "from_week_mean" or (kind in ("change", "step") and int(days) <= WEEK)
    return "week" if is_recent else "month"


def _level(film: Film) -> str:
    return f"at a popularity of {np.exp(film['level']) - OFFSET:.3g}"


def _days_from_release(film: Film) -> str:
    days = film["days_from_release"]
    if np.isnan(days):
        return "no release date yet"
    if days <= LONGEST_WAIT:
        return "out in more than a year"
    if days < 0:
        return f"out in {-days:.0f} {'day' if days == -1 else 'days'}"
    if days == 0:
        return "out today"
    return "out for more than ten years" if days >= OLDEST else out_for(days)


def _volatility(film: Film) -> str:
    step = film["month_step"]
    return "its daily changes" if np.isnan(step) else f"moved by {100 * np.expm1(step):.0f} % a day this month"


def _week(film: Film) -> str:
    return _changed(film["change_7"], "in the last week")


def _month(film: Film) -> str:
    return _changed(film["from_month_mean"], "against its month")


def _changed(change: float, words: str) -> str:
    if np.isnan(change):
        return f"nothing known {words}"
    percent = f"{100 * np.expm1(change):+.0f} %".replace("-", "−")
    return f"{'no change' if percent in ('+0 %', '−0 %') else percent} {words}"


WORDS: dict[str, Callable[[Film], str]] = {
    "level": _level,
    "week": _week,
    "month": _month,
    "volatility": _volatility,
    "days_from_release": _days_from_release,
}
"""Functions that put a film's values into words, by group of features."""

GROUPS: dict[str, list[int]] = {
    group: [place for place, name in enumerate(FEATURES) if name != WEEKDAY and _group_of(name) == group]
    for group in WORDS
}
"""The columns of `features` in each group."""
