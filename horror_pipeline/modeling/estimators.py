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
    """Fits a regressor with a log link to a positive target, independently of the target's scale.

    The target is divided by its mean for fitting, because TMDB has changed the scale of popularity before, and the
    strength of a penalty must not depend on the scale. Zeros become a thousandth of the mean.

    Args:
        regressor: boosting with a gamma loss. It predicts the mean, whereas a regression of the logarithm predicts the
            median (McCullagh and Nelder, 1989, chapter 8).
    """

    def __init__(self, regressor: Any) -> None:
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

    On the log scale, films that are a hundred times as popular as most have little more influence than others. The
    target is divided by its median, and 0.02 is added before taking the logarithm, because small values make ratios
    noisy.

    Args:
        regressor: any regressor.
    """

    def __init__(self, regressor: Any) -> None:
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
    """Fits a regressor only to films of the collected genres, leaving out those of other genres.

    Args:
        regressor: any regressor.
        columns: the preprocessed columns with the flags of the collected genres; empty if all genres are collected.
    """

    def __init__(self, regressor: Any, columns: list[int]) -> None:
        self.regressor, self.columns = regressor, columns

    def fit(self, X: Floats, y: Floats, sample_weight: Floats | None = None) -> CollectedRegressor:
        """Fit to the films of the collected genres."""
        is_collected = (X[:, self.columns] == 1).any(axis=1) if self.columns else np.ones(len(X), dtype=bool)
        weight = None if sample_weight is None else sample_weight[is_collected]
        self.regressor_ = clone(self.regressor).fit(X[is_collected], y[is_collected], sample_weight=weight)
        return self

    def predict(self, X: Floats) -> Floats:
        """Predict."""
        return np.asarray(self.regressor_.predict(X))
