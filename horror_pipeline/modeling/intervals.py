"""Conformal 80 % intervals of predictions, calibrated on the newest films.

This is split conformal prediction (Papadopoulos et al., 2002; Lei et al., 2018). The half width is a quantile of the
absolute residuals of films that the model was not trained on, each divided by its scale. The residuals come from a walk
forward in time (`backtest`), so each film was released after the films its prediction was learned from. Only the newest
`WINDOW` residuals are used, because the typical error drifts: a calibration that stays the same for years covers far
too little. No interval is scored on films that it was calibrated on.

Popularity is least certain around release, so films that are new are calibrated by themselves (Mondrian conformal
prediction; Vovk et al., 2005) where there are enough of them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from horror_pipeline.modeling.specs import RATING_NOISE_FLOOR, RATING_NOISE_PER_VOTE, Floats, ModelSpec

LEVEL = 0.8
WINDOW = 300
"""How many of the newest residuals are used: fewer give a noisy quantile, more an outdated one."""

FLOOR_QUANTILE = 0.02
"""The floor of popularity is this quantile. Few films are below it, so residuals are measured on the excess over it."""

OFFSET_SHARE = 0.1
"""Share of the median excess that is added before taking the logarithm, because small values make ratios noisy."""

NEW_DAYS = 180
"""A film counts as new before its release, and so many days after it."""

NEW_FACTOR = 2.3
"""How many times as large the residuals of new films are, where too few are known to measure it. On data of October
2025, the log-scale quantile was 2.5 for new films and 1.1 for older ones."""

FEWEST_NEW = 30
"""New films needed to measure that factor, and as many older ones."""


@dataclass(frozen=True)
class Interval:
    """A calibrated interval: a half width in units of `residual_scale`, for popularity on the log scale of `excess`.

    Args:
        half_width: quantile of the scaled absolute residuals.
        new_factor: how many times as wide the interval of a new film is.
        floor: popularity that few films are below.
        offset: added to the excess over the floor before taking the logarithm.
        films: number of films it was calibrated on.
        predictions: their predictions, ascending.
        residuals: their scaled residuals in the same order, from which chances are computed.
    """

    half_width: float
    new_factor: float
    floor: float
    offset: float
    films: int
    predictions: tuple[float, ...] = ()
    residuals: tuple[float, ...] = ()

    def excess(self, popularity: Floats) -> Floats:
        """Return the excess of popularity over the floor, plus the offset, which is always above 0."""
        return np.asarray(np.maximum(popularity - self.floor, 0.0) + self.offset)

    def widening(self, age_days: Floats) -> Floats:
        """Return the factor by which each film's interval is widened, by its days since release."""
        return np.where(age_days < NEW_DAYS, self.new_factor, 1.0)

    def bounds(self, spec: ModelSpec, predicted: Floats, votes: Floats, age_days: Floats) -> tuple[Floats, Floats]:
        """Compute lower and upper ends, within the target's range.

        Args:
            spec: the model.
            predicted: predictions.
            votes: votes of each film; NaN or 0 where there are none.
            age_days: days since each film's release; 0 before it, and where its date is unknown.
        """
        reach = self.half_width * residual_scale(spec, votes) * self.widening(age_days)
        if not spec.is_popularity:
            return spec.clip(predicted - reach), spec.clip(predicted + reach)
        excess, shift = self.excess(predicted), self.floor - self.offset
        factor = np.exp(np.minimum(reach, 20.0))  # finite, and large enough for every popularity
        lower = np.minimum(excess / factor + shift, predicted)  # a prediction may be below the floor
        return spec.clip(lower), spec.clip(excess * factor + shift)


def residual_scale(spec: ModelSpec, votes: Floats) -> Floats:
    """Return the relative scale of residuals: a rating's standard deviation, which falls with votes; otherwise 1."""
    if spec.is_popularity or spec.stage == "before_release":
        return np.ones(len(votes))
    known = np.maximum(np.nan_to_num(votes), 1.0)
    return np.sqrt(RATING_NOISE_PER_VOTE / known + RATING_NOISE_FLOOR)


def calibrate(spec: ModelSpec, actual: Floats, predicted: Floats, votes: Floats, age_days: Floats) -> Interval:
    """Calibrate an interval that covers `LEVEL` of the newest films.

    Args:
        spec: the model.
        actual: observed values, the newest film last; the newest `WINDOW` are used.
        predicted: predictions of the same films by models fitted to earlier ones.
        votes: their votes.
        age_days: their days since release.
    """
    actual, predicted, votes, age_days = (column[-WINDOW:] for column in (actual, predicted, votes, age_days))
    floor, median = np.quantile(actual, (FLOOR_QUANTILE, 0.5)) if spec.is_popularity else (0.0, 0.0)
    offset = max(OFFSET_SHARE * float(median - floor), 1e-6)
    interval = Interval(0.0, 1.0, float(floor), offset, len(actual))
    residual = (actual - predicted) / residual_scale(spec, votes)
    if spec.is_popularity:
        residual = np.log(interval.excess(actual)) - np.log(interval.excess(predicted))
        interval = replace(interval, new_factor=_new_factor(np.abs(residual), age_days < NEW_DAYS))
    order = np.argsort(predicted, kind="stable")
    return replace(
        interval,
        half_width=_conformal_quantile(np.abs(residual) / interval.widening(age_days)),
        predictions=tuple(predicted[order].tolist()),
        residuals=tuple(residual[order].tolist()),
    )


def _conformal_quantile(scores: Floats) -> float:
    """Return the ⌈(n + 1) · `LEVEL`⌉-th smallest of n scores."""
    rank = min(int(np.ceil((len(scores) + 1) * LEVEL)), len(scores))
    return float(np.sort(scores)[rank - 1])


def _new_factor(residual: Floats, is_new: NDArray[np.bool_]) -> float:
    """Compute how many times as large the absolute residuals of new films are as those of older ones, at least 1."""
    if min(is_new.sum(), (~is_new).sum()) < FEWEST_NEW:
        return NEW_FACTOR if (~is_new).any() else 1.0
    return max(1.0, _conformal_quantile(residual[is_new]) / max(_conformal_quantile(residual[~is_new]), 1e-9))


def calibrate_newest(spec: ModelSpec, forward: pd.DataFrame, algorithm: str) -> Interval:
    """Calibrate a candidate on the newest films of its walk.

    Args:
        spec: the model.
        forward: the frame of a `backtest.Walk`.
        algorithm: the candidate.
    """
    newest = forward[forward["is_scored"]].sort_values("position")
    columns = (newest[name].to_numpy() for name in ("actual", algorithm, "votes", "age_days"))
    return calibrate(spec, *columns)


def coverage(spec: ModelSpec, forward: pd.DataFrame, algorithm: str) -> dict[str, Any]:
    """Measure coverage and width of the intervals on every scored block, calibrated on earlier blocks alone.

    Args:
        spec: the model.
        forward: the frame of a `backtest.Walk`.
        algorithm: the candidate.

    Returns:
        `coverage` and `width` (means over blocks) and `origins` (both by block); empty without earlier films.
    """
    walked = with_bounds(spec, forward, algorithm)
    if walked.empty:
        return {}
    measured = walked.assign(
        coverage=walked["actual"].between(walked["lower"], walked["upper"]), width=walked["upper"] - walked["lower"]
    )
    table = measured.groupby("block")[["coverage", "width"]].mean()
    return {
        "coverage": float(table["coverage"].mean()),
        "width": float(table["width"].mean()),
        "origins": {str(name): {k: float(v) for k, v in row.items()} for name, row in table.iterrows()},
    }


def with_bounds(spec: ModelSpec, forward: pd.DataFrame, algorithm: str) -> pd.DataFrame:
    """Add `predicted`, `lower` and `upper` to the scored films, from intervals calibrated on earlier blocks alone."""
    walked, bounded = forward[forward["is_scored"]].sort_values("position"), []
    for _, rows in walked[walked["is_scored_block"]].groupby("block"):
        before = walked[walked["position"] < rows["position"].min()]
        if before.empty:
            continue
        interval = calibrate_newest(spec, before, algorithm)
        predicted = rows[algorithm].to_numpy()
        lower, upper = interval.bounds(spec, predicted, rows["votes"].to_numpy(), rows["age_days"].to_numpy())
        bounded.append(rows.assign(predicted=predicted, lower=lower, upper=upper))
    return pd.concat(bounded) if bounded else walked.head(0).assign(predicted=0.0, lower=0.0, upper=0.0)
