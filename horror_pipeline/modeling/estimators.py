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
        regressor: a generalized linear model with a log link, or boosting with a gamma or Poisson loss. Both predict
            the mean, where a regression of the logarithm predicts the median (McCullagh and Nelder, 1989, chapter 8).
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
