"""The effect of a film's popularity before its release on its popularity afterwards."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin, clone
from sklearn.linear_model import Ridge

from horror_pipeline.modeling.specs import Floats

MIN_KNOWN_FILMS = 20
"""Films with a known popularity before release that are needed to learn its effect."""

GAIN_Z = 1.64
"""The gain on later films must exceed 0 by this many standard errors. One useless effect in 20 does so by chance."""

BLOCKS = 10
"""Number of blocks of later films that the effect is tested on. The first third of the films is only learned from."""

SMALLEST = 0.1
"""Added to popularity before taking logarithms, because small values make ratios noisy."""


class PrereleaseEffect(RegressorMixin, BaseEstimator):
    """Scales an estimator's predictions of popularity by the popularity that a film had before its release.

    The warehouse has recorded popularity only since it was set up, so popularity before release is known only for the
    newest and for upcoming films. These are too few for trees to learn from. The effect is a power of that popularity,
    fitted to the estimator's residuals on films whose popularity before release is known: one step of backfitting
    (Hastie and Tibshirani, 1990). Its mean over those films is 0, so nothing is learned from the fact that their
    popularity is known. Other films get no effect.

    To be used, the effect must pass a backtest of its own: fitted to the earlier of those films, it must reduce the
    errors of the later ones. The backtest over all films cannot test it until the history is as long as a block.

    Args:
        estimator: predicts without popularity before release.
        column: the preprocessed column of popularity before release, NaN where unknown.
        age: the preprocessed column of days since release.
    """

    def __init__(self, estimator: Any, column: int, age: int) -> None:
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
        """Predict, and apply the effect where popularity before release is known."""
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
    """Return whether effects fitted to earlier films lower the errors of later ones by more than chance."""
    gains = []
    for block in np.array_split(np.arange(len(level) // 3, len(level)), BLOCKS):
        earlier = slice(0, block[0])
        later = residual[block] - residual[earlier].mean()
        effect = _slope(level[earlier], residual[earlier]) * (level[block] - level[earlier].mean())
        gains.append(np.abs(later) - np.abs(later - effect))
    gain = np.concatenate(gains)
    return bool(gain.mean() > GAIN_Z * gain.std() / np.sqrt(len(gain)))
