"""Conformal 80 % intervals of predictions, calibrated on the newest films.

This is split conformal prediction (Papadopoulos et al., 2002; Lei et al., 2018). The half width is a quantile of the
absolute residuals of films that the model was not trained on, each divided by its scale. The residuals come from a walk
forward in time (`backtest`), so each film was released after the films its prediction was learned from. Only the newest
`WINDOW` residuals are used, because the typical error drifts: a calibration that stays the same for years covers far
too little. No interval is scored on films that it was calibrated on.

Errors depend on a film's age; those of popularity are largest around release. A film's half width is therefore a
quantile in which films of about its age count most (localized conformal prediction; Guan, 2023).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from horror_pipeline.modeling.specs import RATING_NOISE_FLOOR, RATING_NOISE_PER_VOTE, Floats, ModelSpec

LEVEL = 0.8
WINDOW = 300
"""How many of the newest residuals are used: fewer give a noisy quantile, more an outdated one."""

NEWEST = 50
"""The median of this many of the newest residuals shows the current level. Chances are centered on that median."""

FLOOR_QUANTILE = 0.02
"""The floor of popularity is this quantile. Few films are below the floor, so residuals use the excess over it."""

OFFSET_SHARE = 0.1
"""Share of the median excess that is added before taking the logarithm, because small values make ratios noisy."""

BANDWIDTH, AGE_OFFSET_DAYS = 0.3, 30.0
"""The weight of a film is exp(-distance / bandwidth), where distance is the absolute difference of log(age + offset). A
film of twice the age has a tenth of the weight."""

AGES = 40
"""Number of ages at which the half width is computed. Between these ages, it is interpolated."""

PARTS = 10
"""Number of parts that a block is cut into to evaluate intervals and chances. Each part has its own calibration,
because calibrations that are in use are never old either."""


@dataclass(frozen=True)
class Interval:
    """A calibrated interval. Half widths are in units of `residual_scale`; those of popularity are on a log scale.

    Args:
        ages: days since release at which half widths were computed, ascending.
        half_widths: the quantile of the scaled absolute residuals at each of these ages, for popularity on the log
            scale of `excess`.
        floor: popularity that few films are below.
        offset: added to the excess over the floor before taking the logarithm.
        films: number of films it was calibrated on.
        predictions: the predictions of these films, ascending.
        residuals: the scaled residuals of these films in the same order, for computing chances. All are shifted so that
            their median is that of the `NEWEST` newest films.
    """

    ages: tuple[float, ...]
    half_widths: tuple[float, ...]
    floor: float
    offset: float
    films: int
    predictions: tuple[float, ...] = ()
    residuals: tuple[float, ...] = ()

    def excess(self, popularity: Floats) -> Floats:
        """Return the excess of popularity over the floor, plus the offset. The sum is always above 0."""
        return np.asarray(np.maximum(popularity - self.floor, 0.0) + self.offset)

    def bounds(self, spec: ModelSpec, predicted: Floats, votes: Floats, age_days: Floats) -> tuple[Floats, Floats]:
        """Compute the lower and upper ends of intervals, clipped to the target's range.

        Args:
            spec: the model.
            predicted: predictions.
            votes: votes of each film; NaN or 0 where there are none.
            age_days: days since each film's release; 0 or NaN before release and for unknown dates.
        """
        reach = np.interp(np.nan_to_num(age_days), self.ages, self.half_widths) * residual_scale(spec, votes)
        if not spec.is_popularity:
            return spec.clip(predicted - reach), spec.clip(predicted + reach)
        excess, shift = self.excess(predicted), self.floor - self.offset
        factor = np.exp(np.minimum(reach, 20.0))  # finite, and large enough for every popularity
        lower = np.minimum(excess / factor + shift, predicted)  # a prediction may be below the floor
        return spec.clip(lower), spec.clip(excess * factor + shift)


def residual_scale(spec: ModelSpec, votes: Floats) -> Floats:
    """Return the relative scale of residuals.

    For ratings of released films, it is their standard deviation, which falls with votes. Otherwise it is 1.
    """
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
    interval = Interval((), (), float(floor), offset, len(actual))
    residual = (actual - predicted) / residual_scale(spec, votes)
    if spec.is_popularity:
        residual = np.log(interval.excess(actual)) - np.log(interval.excess(predicted))
    ages = AGE_OFFSET_DAYS * (np.geomspace(1.0, 1.0 + age_days.max() / AGE_OFFSET_DAYS, AGES) - 1.0)
    order = np.argsort(predicted, kind="stable")
    drift = np.median(residual[-NEWEST:]) - np.median(residual)
    return replace(
        interval,
        ages=tuple(ages.tolist()),
        half_widths=tuple(_half_widths(np.abs(residual), age_days, ages).tolist()),
        predictions=tuple(predicted[order].tolist()),
        residuals=tuple((residual + drift)[order].tolist()),
    )


def _half_widths(scores: Floats, age_days: Floats, ages: Floats) -> Floats:
    """Compute the quantile of the scores at each age. Films closer to that age have more weight.

    The film to be predicted is counted too, with a weight of 1 and a score that may be anything. With n equal weights,
    the quantile is therefore the ⌈(n + 1) · `LEVEL`⌉-th smallest score. Intervals are wider at ages of which few films
    are known.
    """
    order = np.argsort(scores, kind="stable")
    distance = np.abs(np.log(age_days[order] + AGE_OFFSET_DAYS) - np.log(ages + AGE_OFFSET_DAYS)[:, None])
    weights = np.exp(-distance / BANDWIDTH).cumsum(axis=1)
    rank = (weights < LEVEL * (weights[:, -1:] + 1.0)).sum(axis=1)
    return np.asarray(scores[order][np.minimum(rank, len(scores) - 1)])


def calibrate_newest(spec: ModelSpec, forward: pd.DataFrame, algorithm: str) -> Interval:
    """Calibrate a candidate on the newest films of its walk.

    Args:
        spec: the model.
        forward: the frame of a `backtest.Walk`.
        algorithm: the candidate.
    """
    return calibrate(spec, *_columns(scored_films(forward), algorithm))


def coverage(spec: ModelSpec, forward: pd.DataFrame, algorithm: str) -> dict[str, Any]:
    """Measure coverage and width of the intervals on every scored block, calibrated only on films released earlier.

    Args:
        spec: the model.
        forward: the frame of a `backtest.Walk`.
        algorithm: the candidate.

    Returns:
        `coverage` and `width` (means over blocks) and `origins` (both by block); empty if there are no earlier films.
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
    """Add `predicted`, `lower` and `upper` to the scored films, from intervals calibrated on earlier films alone."""
    walked = scored_films(forward)
    _, predicted, votes, age_days = _columns(walked, algorithm)
    lower, upper = np.full((2, len(walked)), np.nan)
    for part, interval in calibrated_parts(spec, walked, algorithm):
        lower[part], upper[part] = interval.bounds(spec, predicted[part], votes[part], age_days[part])
    return walked.assign(predicted=predicted, lower=lower, upper=upper)[~np.isnan(lower)]


def scored_films(forward: pd.DataFrame) -> pd.DataFrame:
    """Select the films of a walk that have enough votes to be scored, in order of release."""
    return forward[forward["is_scored"]].sort_values("position")


def calibrated_parts(
    spec: ModelSpec, walked: pd.DataFrame, algorithm: str
) -> Iterator[tuple[NDArray[np.intp], Interval]]:
    """Cut the scored blocks into parts, and yield each with an interval calibrated on the films released before it.

    Args:
        spec: the model.
        walked: what `scored_films` returned.
        algorithm: the candidate.

    Yields:
        The positions of a part's films in `walked`, and the interval. Parts without earlier films are left out.
    """
    columns, released = _columns(walked, algorithm), walked["release_date"].to_numpy()
    blocks = walked["block"].where(walked["is_scored_block"])
    for name in blocks.dropna().unique():
        for part in np.array_split(np.flatnonzero(blocks == name), PARTS):
            earlier = np.searchsorted(released, released[part[0]]) if len(part) else 0
            if earlier:
                yield part, calibrate(spec, *(column[:earlier] for column in columns))


def _columns(walked: pd.DataFrame, algorithm: str) -> list[Floats]:
    """Return what `calibrate` takes: observed values, predictions, votes and ages."""
    return [walked[name].to_numpy() for name in ("actual", algorithm, "votes", "age_days")]
