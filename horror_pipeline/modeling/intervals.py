"""How far off a prediction may be: 80 % intervals, calibrated on the newest films.

This is split conformal prediction (Papadopoulos et al., 2002; Lei et al., 2018): the half width is a quantile of the
absolute residuals of films that the model was not trained on, and residuals of uneven scale are first divided by it.
The residuals come from a walk forward in time (`backtest`), so that every film they are of was released later than the
films its prediction was learned from. Only the newest `WINDOW` count, because the typical error drifts: a calibration
that stays the same for years covers far too little. Films that are scored are never films that calibrated.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from horror_pipeline.modeling.specs import RATING_NOISE_FLOOR, RATING_NOISE_PER_VOTE, Floats, ModelSpec

LEVEL = 0.8
WINDOW = 300
"""Newest forward residuals that count: fewer give a noisy quantile, more an outdated one."""

FLOOR_QUANTILE = 0.02
"""Popularity's floor: hardly a film with enough votes is below it, so only the excess over it can be far off."""

OFFSET_SHARE = 0.1
"""Added to the excess before its logarithm, as a share of its median: ratios of values near zero mean nothing."""


@dataclass(frozen=True)
class Interval:
    """A calibrated half width, in units of `residual_scale`; of popularity on the scale of `excess`.

    Args:
        half_width: quantile of the scaled absolute residuals.
        floor: popularity that hardly a film is below.
        offset: added to the excess over it before its logarithm.
        films: number of films it was calibrated on.
    """

    half_width: float
    floor: float
    offset: float
    films: int

    def excess(self, popularity: Floats) -> Floats:
        """Popularity's excess over the floor, always above 0."""
        return np.asarray(np.maximum(popularity - self.floor, 0.0) + self.offset)

    def bounds(self, spec: ModelSpec, predicted: Floats, votes: Floats) -> tuple[Floats, Floats]:
        """Lower and upper ends, within the target's range.

        Args:
            spec: the model.
            predicted: predictions.
            votes: votes of each film; NaN or 0 where there are none.
        """
        reach = self.half_width * residual_scale(spec, votes)
        if not spec.is_popularity:
            return spec.clip(predicted - reach), spec.clip(predicted + reach)
        excess, shift = self.excess(predicted), self.floor - self.offset
        # A factor of exp(20) covers every popularity: bounded, so that it stays a finite number.
        factor = np.exp(np.minimum(reach, 20.0))
        lower = np.minimum(excess / factor + shift, predicted)  # a prediction may be below the floor
        return spec.clip(lower), spec.clip(excess * factor + shift)


def residual_scale(spec: ModelSpec, votes: Floats) -> Floats:
    """The relative scale of residuals: the standard deviation of a rating, which falls with votes; otherwise 1."""
    if spec.is_popularity or spec.stage == "before_release":
        return np.ones(len(votes))
    known = np.maximum(np.nan_to_num(votes), 1.0)
    return np.sqrt(RATING_NOISE_PER_VOTE / known + RATING_NOISE_FLOOR)


def calibrate(spec: ModelSpec, actual: Floats, predicted: Floats, votes: Floats) -> Interval:
    """Find the half width that covers `LEVEL` of the newest films: the ⌈(n + 1) · `LEVEL`⌉-th smallest residual.

    Args:
        spec: the model.
        actual: observed values, the newest film last; the newest `WINDOW` are used.
        predicted: forward predictions of the same films.
        votes: their votes.
    """
    actual, predicted, votes = actual[-WINDOW:], predicted[-WINDOW:], votes[-WINDOW:]
    floor, median = np.quantile(actual, (FLOOR_QUANTILE, 0.5)) if spec.is_popularity else (0.0, 0.0)
    scale = Interval(0.0, float(floor), max(OFFSET_SHARE * float(median - floor), 1e-6), len(actual))
    residual = actual - predicted
    if spec.is_popularity:
        residual = np.log(scale.excess(actual)) - np.log(scale.excess(predicted))
    scores = np.sort(np.abs(residual) / residual_scale(spec, votes))
    rank = min(int(np.ceil((len(scores) + 1) * LEVEL)), len(scores))
    return replace(scale, half_width=float(scores[rank - 1]))


def calibrate_newest(spec: ModelSpec, forward: pd.DataFrame, algorithm: str) -> Interval:
    """Calibrate a candidate on the newest films of its walk.

    Args:
        spec: the model.
        forward: the frame of a `backtest.Walk`.
        algorithm: the candidate.
    """
    newest = forward[forward["is_scored"]].sort_values("position")
    return calibrate(spec, newest["actual"].to_numpy(), newest[algorithm].to_numpy(), newest["votes"].to_numpy())


def coverage(spec: ModelSpec, forward: pd.DataFrame, algorithm: str) -> dict[str, Any]:
    """Measure the intervals on every scored block, calibrated on the films of earlier blocks alone.

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
    held = walked.assign(
        coverage=walked["actual"].between(walked["lower"], walked["upper"]), width=walked["upper"] - walked["lower"]
    )
    table = held.groupby("block")[["coverage", "width"]].mean()
    return {
        "coverage": float(table["coverage"].mean()),
        "width": float(table["width"].mean()),
        "origins": {str(name): {k: float(v) for k, v in row.items()} for name, row in table.iterrows()},
    }


def with_bounds(spec: ModelSpec, forward: pd.DataFrame, algorithm: str) -> pd.DataFrame:
    """Add `predicted`, `lower` and `upper` to the scored films, from intervals calibrated on earlier blocks alone."""
    walked, found = forward[forward["is_scored"]].sort_values("position"), []
    for _, rows in walked[walked["is_scored_block"]].groupby("block"):
        before = walked[walked["position"] < rows["position"].min()]
        if before.empty:
            continue
        interval = calibrate_newest(spec, before, algorithm)
        predicted = rows[algorithm].to_numpy()
        lower, upper = interval.bounds(spec, predicted, rows["votes"].to_numpy())
        found.append(rows.assign(predicted=predicted, lower=lower, upper=upper))
    return pd.concat(found) if found else walked.head(0).assign(predicted=0.0, lower=0.0, upper=0.0)
