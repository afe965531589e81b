"""How far off a prediction may be: 80 % intervals, calibrated on the newest films.

This is split conformal prediction (Papadopoulos et al., 2002; Lei et al., 2018): the half width is a quantile of the
absolute residuals of films that the model was not trained on, and residuals of uneven scale are first divided by it.
The residuals come from a walk forward in time (`backtest`), so that every film they are of was released later than the
films its prediction was learned from. Only the newest `WINDOW` count, because the typical error drifts: a calibration
that stays the same for years covers far too little. Films that are scored are never films that calibrated.

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
"""Newest forward residuals that count: fewer give a noisy quantile, more an outdated one."""

FLOOR_QUANTILE = 0.02
"""Popularity's floor: hardly a film with enough votes is below it, so only the excess over it can be far off."""

OFFSET_SHARE = 0.1
"""Added to the excess before its logarithm, as a share of its median: ratios of values near zero mean nothing."""

NEW_DAYS = 180
"""Days after release for which a film counts as new, as it does before."""

NEW_FACTOR = 2.3
"""How many times as far off the popularity of new films is, where too few are known to measure it: on the recording of
October 2025, 2.5 on the scale of the logarithm, and 1.1 for older films."""

FEWEST_NEW = 30
"""New films that are needed to measure it."""


@dataclass(frozen=True)
class Interval:
    """A calibrated half width, in units of `residual_scale`; of popularity on the scale of `excess`.

    Args:
        half_width: quantile of the scaled absolute residuals.
        new_factor: how many times as wide the interval of a new film is.
        floor: popularity that hardly a film is below.
        offset: added to the excess over it before its logarithm.
        films: number of films it was calibrated on.
        predictions: their predictions, ascending.
        residuals: their scaled residuals in that order, of which chances are made.
    """

    half_width: float
    new_factor: float
    floor: float
    offset: float
    films: int
    predictions: tuple[float, ...] = ()
    residuals: tuple[float, ...] = ()

    def excess(self, popularity: Floats) -> Floats:
        """Popularity's excess over the floor, always above 0."""
        return np.asarray(np.maximum(popularity - self.floor, 0.0) + self.offset)

    def widening(self, age_days: Floats) -> Floats:
        """How many times as wide each film's interval is, by its days since release."""
        return np.where(age_days < NEW_DAYS, self.new_factor, 1.0)

    def bounds(self, spec: ModelSpec, predicted: Floats, votes: Floats, age_days: Floats) -> tuple[Floats, Floats]:
        """Lower and upper ends, within the target's range.

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


def calibrate(spec: ModelSpec, actual: Floats, predicted: Floats, votes: Floats, age_days: Floats) -> Interval:
    """Find the half width that covers `LEVEL` of the newest films.

    Args:
        spec: the model.
        actual: observed values, the newest film last; the newest `WINDOW` are used.
        predicted: forward predictions of the same films.
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
    """The ⌈(n + 1) · `LEVEL`⌉-th smallest of n scores."""
    rank = min(int(np.ceil((len(scores) + 1) * LEVEL)), len(scores))
    return float(np.sort(scores)[rank - 1])


def _new_factor(residual: Floats, new: NDArray[np.bool_]) -> float:
    """How many times as far off the new films are, from absolute residuals; never closer than older films."""
    if min(new.sum(), (~new).sum()) < FEWEST_NEW:
        return NEW_FACTOR if (~new).any() else 1.0
    return max(1.0, _conformal_quantile(residual[new]) / max(_conformal_quantile(residual[~new]), 1e-9))


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
        lower, upper = interval.bounds(spec, predicted, rows["votes"].to_numpy(), rows["age_days"].to_numpy())
        found.append(rows.assign(predicted=predicted, lower=lower, upper=upper))
    return pd.concat(found) if found else walked.head(0).assign(predicted=0.0, lower=0.0, upper=0.0)
