"""Estimators that use a film's runtime without learning from its absence.

Whether TMDB's users have filled in a film's runtime reveals how well known the film is. Imputing a constant would
reveal this just as well. The estimators here are therefore built so that they cannot tell which runtimes are missing.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin, clone
from sklearn.linear_model import Ridge
from sklearn.preprocessing import SplineTransformer

from horror_pipeline.modeling.specs import Floats

PLAUSIBLE_MINUTES = 40.0, 240.0
TYPICAL_MINUTES = 90.0
TYPICAL_QUANTILES = (0.1, 0.3, 0.5, 0.7, 0.9)
MIN_KNOWN_RUNTIMES = 30
"""Number of known runtimes needed to learn the effect of the runtime."""


def runtimes(X: Floats, column: int) -> Floats:
    """Return a copy of the runtimes, clipped to the plausible range; NaN where unknown."""
    return np.clip(np.array(X[:, column]), *PLAUSIBLE_MINUTES)


class RuntimeEffect(RegressorMixin, BaseEstimator):
    """Adds a smooth effect of the runtime to an estimator that does not use it.

    The effect is a spline fitted to the estimator's residuals on films with a known runtime: one step of backfitting an
    additive model (Hastie and Tibshirani, 1990). Its mean over those films is 0, so nothing is learned from the fact
    that their runtime is known. A film without a runtime gets no effect.

    Args:
        estimator: predicts without the runtime.
        column: the preprocessed column that holds the runtime.
    """

    def __init__(self, estimator: Any, column: int) -> None:
        self.estimator, self.column = estimator, column

    def fit(self, X: Floats, y: Floats, sample_weight: Floats | None = None) -> RuntimeEffect:
        """Fit the estimator, then the effect."""
        self.estimator_ = clone(self.estimator).fit(X, y, sample_weight=sample_weight)
        minutes = runtimes(X, self.column)
        known = ~np.isnan(minutes)
        self.effect_: Any = None
        if known.sum() < MIN_KNOWN_RUNTIMES or np.ptp(minutes[known]) == 0:
            return self
        weights = np.ones(known.sum()) if sample_weight is None else sample_weight[known]
        residual = (y - self.estimator_.predict(X))[known]
        spline = SplineTransformer(4, degree=2, knots="quantile", extrapolation="constant")
        terms = spline.fit_transform(minutes[known, None])
        effect = Ridge(1.0).fit(terms, residual - np.average(residual, weights=weights), sample_weight=weights)
        self.effect_, self.spline_ = effect, spline
        self.center_ = float(np.average(effect.predict(terms), weights=weights))
        return self

    def predict(self, X: Floats) -> Floats:
        """Predict, and add the effect of the runtime where it is known."""
        predicted = np.array(self.estimator_.predict(X), dtype="float64")
        minutes = runtimes(X, self.column)
        known = ~np.isnan(minutes)
        if self.effect_ is not None and known.any():
            predicted[known] += self.effect_.predict(self.spline_.transform(minutes[known, None])) - self.center_
        return predicted


class RuntimeImputer(RegressorMixin, BaseEstimator):
    """Gives an estimator complete runtimes.

    For fitting, missing runtimes are drawn from the observed ones (random hot-deck imputation; Andridge and Little,
    2010), so the runtimes do not show which were missing. The prediction for a film without a runtime is the mean of
    its predictions at typical runtimes, which are quantiles of the observed ones: the runtime is integrated out, as in
    a partial dependence (Friedman, 2001).

    Args:
        estimator: predicts from complete runtimes.
        column: the preprocessed column that holds the runtime.
        random_state: seed of the draws.
    """

    def __init__(self, estimator: Any, column: int, random_state: int = 0) -> None:
        self.estimator, self.column, self.random_state = estimator, column, random_state

    def fit(self, X: Floats, y: Floats, sample_weight: Floats | None = None) -> RuntimeImputer:
        """Fit the estimator to complete runtimes."""
        minutes = runtimes(X, self.column)
        missing = np.isnan(minutes)
        observed = minutes[~missing] if not missing.all() else np.array([TYPICAL_MINUTES])
        self.typical_ = np.quantile(observed, TYPICAL_QUANTILES)
        minutes[missing] = np.random.default_rng(self.random_state).choice(observed, missing.sum())
        self.estimator_ = clone(self.estimator).fit(self._with(X, minutes), y, sample_weight=sample_weight)
        return self

    def predict(self, X: Floats) -> Floats:
        """Predict, taking the mean over typical runtimes for films whose runtime is missing."""
        minutes = runtimes(X, self.column)
        missing = np.isnan(minutes)
        predicted = np.empty(len(X))
        if not missing.all():
            predicted[~missing] = self.estimator_.predict(self._with(X[~missing], minutes[~missing]))
        if missing.any():
            repeated = np.repeat(X[missing], len(self.typical_), axis=0)
            at_typical = self.estimator_.predict(self._with(repeated, np.tile(self.typical_, int(missing.sum()))))
            predicted[missing] = at_typical.reshape(-1, len(self.typical_)).mean(axis=1)
        return predicted

    def _with(self, X: Floats, minutes: Floats) -> Floats:
        complete = np.array(X)
        complete[:, self.column] = minutes
        return complete
