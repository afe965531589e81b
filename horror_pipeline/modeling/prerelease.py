"""What a film's popularity before its release says of its popularity once it is out."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin, clone
from sklearn.linear_model import Ridge

from horror_pipeline.modeling.specs import Floats

MIN_KNOWN_FILMS = 30
"""Films whose popularity before release is known that are needed to learn from it."""

GAIN_Z = 1.64
"""Standard errors by which it must lower the errors on later films: without merit it does so one time in twenty."""

SMALLEST = 0.1
"""Added before taking logarithms, because ratios of small values mean nothing."""


class PrereleaseEffect(RegressorMixin, BaseEstimator):
    """Scales an estimator's predictions of popularity by the popularity that a film had before its release.

    History begins when a warehouse does, so popularity before release is known for the newest films and for those to
    come. Trees would hardly find so few among all films. The effect is a power of that popularity, fitted to the
    estimator's residuals on those films: one step of backfitting (Hastie and Tibshirani, 1990). It is centered on them,
    so that nothing is learned from its being known, and a film without it gets no effect.

    The effect serves only if, learned from the older half of those films, it lowers the errors on the newer half: a
    walk over all films cannot judge it until the history is as long as a block.

    Args:
        estimator: predicts without it.
        column: the preprocessed column that holds it, NaN where unknown.
        age: the column of days since release.
    """

    def __init__(self, estimator: Any, column: int, age: int) -> None:
        """Keep the settings."""
        self.estimator, self.column, self.age = estimator, column, age

    def fit(self, X: Floats, y: Floats, sample_weight: Floats | None = None) -> PrereleaseEffect:
        """Fit the estimator, then the effect."""
        self.estimator_ = clone(self.estimator).fit(X, y, sample_weight=sample_weight)
        self.lowest_ = self.highest_ = self.center_ = self.slope_ = 0.0
        level = self._level(X)
        known = np.flatnonzero(~np.isnan(level))
        if len(known) < MIN_KNOWN_FILMS:
            return self
        known = known[np.argsort(-X[known, self.age], kind="stable")]
        level, predicted = level[known], self.estimator_.predict(X[known])
        residual = np.log(y[known] + SMALLEST) - np.log(np.maximum(predicted, 0) + SMALLEST)
        if _lowers_later_errors(level, residual):
            self.lowest_, self.highest_, self.center_ = float(level.min()), float(level.max()), float(level.mean())
            self.slope_ = _slope(level, residual)
        return self

    def predict(self, X: Floats) -> Floats:
        """Predict, scaled where popularity before release is known."""
        predicted = np.asarray(self.estimator_.predict(X), dtype="float64")
        effect = self.slope_ * (np.clip(self._level(X), self.lowest_, self.highest_) - self.center_)
        scaled = (np.maximum(predicted, 0) + SMALLEST) * np.exp(effect) - SMALLEST
        return np.where(np.isnan(effect), predicted, scaled)

    def _level(self, X: Floats) -> Floats:
        return np.asarray(np.log(X[:, self.column] + SMALLEST))


def _slope(level: Floats, residual: Floats) -> float:
    centered = (level - level.mean())[:, None]
    return float(Ridge(1.0, fit_intercept=False).fit(centered, residual - residual.mean()).coef_[0])


def _lowers_later_errors(level: Floats, residual: Floats) -> bool:
    """Whether the effect, learned from the first half, lowers the errors on the second by more than chance."""
    half = len(level) // 2
    later = residual[half:] - residual[:half].mean()
    effect = _slope(level[:half], residual[:half]) * (level[half:] - level[:half].mean())
    gain = np.abs(later) - np.abs(later - effect)
    return bool(gain.mean() > GAIN_Z * gain.std() / np.sqrt(len(gain)))
