"""Regressors that scikit-learn does not have. All of them take sample weights and can be cloned."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin, clone

from horror_pipeline.modeling.specs import Floats


class TransformedRegressor(RegressorMixin, BaseEstimator):
    """A regressor behind a transformer; unlike a `Pipeline`, it takes `sample_weight` as any regressor does.

    Args:
        transformer: the transformer of the features.
        regressor: the regressor.
    """

    def __init__(self, transformer: Any, regressor: Any) -> None:
        """Keep both."""
        self.transformer, self.regressor = transformer, regressor

    def fit(self, X: Floats, y: Floats, sample_weight: Floats | None = None) -> TransformedRegressor:
        """Fit the transformer, then the regressor."""
        self.transformer_ = clone(self.transformer)
        terms = self.transformer_.fit_transform(X, y)
        self.regressor_ = clone(self.regressor).fit(terms, y, sample_weight=sample_weight)
        return self

    def predict(self, X: Floats) -> Floats:
        """Predict."""
        return np.asarray(self.regressor_.predict(self.transformer_.transform(X)), dtype="float64")


class ScaledLogRegressor(RegressorMixin, BaseEstimator):
    """Fits a regressor with a log link to a positive target, whatever the target's scale.

    The target is divided by its mean while fitting: TMDB has changed the scale of its popularity before, and a penalty
    must not depend on it. Zeros become a thousandth of the mean.

    Args:
        regressor: boosting with a gamma loss. It predicts the mean, where a regression of the logarithm predicts the
            median (McCullagh and Nelder, 1989, chapter 8).
    """

    def __init__(self, regressor: Any) -> None:
        """Keep the regressor."""
        self.regressor = regressor

    def fit(self, X: Floats, y: Floats, sample_weight: Floats | None = None) -> ScaledLogRegressor:
        """Fit to the scaled target."""
        self.scale_ = float(np.mean(y)) or 1.0
        self.regressor_ = clone(self.regressor).fit(X, np.maximum(y / self.scale_, 1e-3), sample_weight=sample_weight)
        return self

    def predict(self, X: Floats) -> Floats:
        """Predict on the target's own scale."""
        return np.asarray(self.regressor_.predict(X) * self.scale_)


class LogRegressor(RegressorMixin, BaseEstimator):
    """Fits a regressor to the logarithm of a positive target, and predicts the target's median.

    On that scale a film a hundred times as popular as most counts little more than any other. The logarithm is that of
    the target's ratio to its median: a fiftieth is added to the ratio, because ratios of small values mean nothing.

    Args:
        regressor: any regressor.
    """

    def __init__(self, regressor: Any) -> None:
        """Keep the regressor."""
        self.regressor = regressor

    def fit(self, X: Floats, y: Floats, sample_weight: Floats | None = None) -> LogRegressor:
        """Fit to the logarithm."""
        self.scale_ = float(np.median(y)) or 1.0
        self.regressor_ = clone(self.regressor).fit(X, np.log(y / self.scale_ + 0.02), sample_weight=sample_weight)
        return self

    def predict(self, X: Floats) -> Floats:
        """Predict on the target's own scale."""
        return np.asarray((np.exp(np.minimum(self.regressor_.predict(X), 20.0)) - 0.02) * self.scale_)


class CollectedRegressor(RegressorMixin, BaseEstimator):
    """Fits a regressor to the films that are collected alone.

    Args:
        regressor: any regressor.
        columns: the preprocessed columns of which such a film has a 1 in one; none where all films are such.
    """

    def __init__(self, regressor: Any, columns: list[int]) -> None:
        """Keep both."""
        self.regressor, self.columns = regressor, columns

    def fit(self, X: Floats, y: Floats, sample_weight: Floats | None = None) -> CollectedRegressor:
        """Fit to those films."""
        known = (X[:, self.columns] == 1).any(axis=1) if self.columns else np.ones(len(X), dtype=bool)
        weight = None if sample_weight is None else sample_weight[known]
        self.regressor_ = clone(self.regressor).fit(X[known], y[known], sample_weight=weight)
        return self

    def predict(self, X: Floats) -> Floats:
        """Predict."""
        return np.asarray(self.regressor_.predict(X))
