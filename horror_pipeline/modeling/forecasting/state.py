"""A fitted forecaster as values that skops can store: dictionaries, numbers, text, arrays and boosting models."""

from __future__ import annotations

import datetime as dt
from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd

from horror_pipeline.modeling.forecasting.backtest import Verdict
from horror_pipeline.modeling.forecasting.change_model import ChangeModel
from horror_pipeline.modeling.forecasting.forecaster import FittedForecaster, HorizonForecaster
from horror_pipeline.modeling.forecasting.residuals import Reach
from horror_pipeline.modeling.forecasting.rise import Rise


def to_state(fitted: FittedForecaster) -> dict[str, Any]:
    """Convert a forecaster to plain values, which `from_state` reads."""
    return {
        "made_on": fitted.made_on.isoformat(),
        "seed": fitted.seed,
        "days_used": fitted.days_used,
        "first_day": fitted.first_day.isoformat(),
        "films": fitted.films,
        "horizons": [_horizon_state(horizon) for horizon in fitted.horizons.values()],
    }


def from_state(state: dict[str, Any]) -> FittedForecaster:
    """Build a forecaster from what `to_state` returned."""
    horizons = [_horizon(entry) for entry in state["horizons"]]
    return FittedForecaster(
        made_on=dt.date.fromisoformat(state["made_on"]),
        seed=state["seed"],
        days_used=state["days_used"],
        first_day=dt.date.fromisoformat(state["first_day"]),
        films=state["films"],
        horizons={horizon.horizon_days: horizon for horizon in horizons},
    )


def _horizon_state(horizon: HorizonForecaster) -> dict[str, Any]:
    figures, model = horizon.figures, horizon.model
    return {
        "horizon_days": horizon.horizon_days,
        "members": list(model.members) if model else [],
        "rows": model.rows if model else 0,
        "weekday_changes": model.weekday_changes.tolist() if model else [],
        "serves": horizon.serves,
        "reason": horizon.verdict.reason,
        "z": horizon.verdict.z,
        "share": horizon.share,
        "reach": asdict(horizon.reach),
        "coverage": horizon.coverage,
        "figures": {
            "day": [day.date().isoformat() for day in pd.DatetimeIndex(figures.index)],
            **{str(name): figures[name].to_numpy(dtype="float64") for name in figures},
        },
        "drift": horizon.drift,
        "rise": asdict(horizon.rise) if horizon.rise else None,
        "reliability": horizon.reliability,
    }


def _horizon(state: dict[str, Any]) -> HorizonForecaster:
    values = dict(state["figures"])
    figures = pd.DataFrame(
        {name: column for name, column in values.items() if name != "day"},
        index=pd.DatetimeIndex(values["day"], name="day").astype("datetime64[s]"),
    )
    model = None
    if state["members"]:
        weekday_changes = np.asarray(state["weekday_changes"])
        model = ChangeModel(state["horizon_days"], tuple(state["members"]), state["rows"], weekday_changes)
    return HorizonForecaster(
        horizon_days=state["horizon_days"],
        model=model,
        verdict=Verdict(state["serves"], state["reason"], state["z"]),
        share=state["share"],
        reach=Reach(**state["reach"]),
        coverage=state["coverage"],
        figures=figures.astype({"films": "int64"}),
        drift=state["drift"],
        rise=Rise(**state["rise"]) if state["rise"] else None,
        reliability=state["reliability"],
    )
