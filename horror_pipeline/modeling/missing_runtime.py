"""Using a film's length without learning from its being missing.

What belongs here: two ways of doing so. What does not: other gaps; those are filled by `preparation.Prepare`.

Whether TMDB's users have filled in a film's length betrays how well known the film is, and a constant in its place
betrays it just as well. So no estimator here ever sees which lengths are missing.
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
FEWEST_LENGTHS = 30
"""Known lengths needed to learn what length does."""


def minutes_of(X: Floats, place: int) -> Floats:
    """The lengths within what is plausible, as a copy; NaN where unknown."""
    return np.clip(np.array(X[:, place]), *PLAUSIBLE_MINUTES)


class LengthEffect(RegressorMixin, BaseEstimator):
    """Adds to an estimator that never sees the length what the length says by itself.

    The effect is a smooth curve, learnt from what the estimator leaves over on films whose length is known, and
    centred on them: films of known length are not moved as a whole, so nothing is learnt from its being known. A film
    of unknown length gets none.

    Args:
        estimator: predicts without the length.
        place: which prepared column holds the length.
    """

    def __init__(self, estimator: Any, place: int) -> None:
        """Keep the settings."""
        self.estimator, self.place = estimator, place

    def fit(self, X: Floats, y: Floats, sample_weight: Floats | None = None) -> LengthEffect:
        """Fit the estimator, then the curve."""
        self.estimator_ = clone(self.estimator).fit(X, y, sample_weight=sample_weight)
        minutes = minutes_of(X, self.place)
        known = ~np.isnan(minutes)
        self.curve_: Any = None
        if known.sum() < FEWEST_LENGTHS or np.ptp(minutes[known]) == 0:
            return self
        weights = np.ones(known.sum()) if sample_weight is None else sample_weight[known]
        left = (y - self.estimator_.predict(X))[known]
        spline = SplineTransformer(4, degree=2, knots="quantile", extrapolation="constant")
        terms = spline.fit_transform(minutes[known, None])
        curve = Ridge(1.0).fit(terms, left - np.average(left, weights=weights), sample_weight=weights)
        self.curve_, self.spline_ = curve, spline
        self.centre_ = float(np.average(curve.predict(terms), weights=weights))
        return self

    def predict(self, X: Floats) -> Floats:
        """Predict, with the effect of the length where it is known."""
        predicted = np.array(self.estimator_.predict(X), dtype="float64")
        minutes = minutes_of(X, self.place)
        known = ~np.isnan(minutes)
        if self.curve_ is not None and known.any():
            predicted[known] += self.curve_.predict(self.spline_.transform(minutes[known, None])) - self.centre_
        return predicted


class Marginal(RegressorMixin, BaseEstimator):
    """Gives an estimator complete lengths.

    While fitting, missing lengths are drawn from the observed ones, so that among the lengths it sees nothing tells
    which were missing. Afterwards a film without one is predicted at several typical lengths, and the mean is taken.

    Args:
        estimator: predicts from complete lengths.
        place: which prepared column holds the length.
        random_state: seed of the draws.
    """

    def __init__(self, estimator: Any, place: int, random_state: int = 0) -> None:
        """Keep the settings."""
        self.estimator, self.place, self.random_state = estimator, place, random_state

    def fit(self, X: Floats, y: Floats, sample_weight: Floats | None = None) -> Marginal:
        """Fit the estimator to complete lengths."""
        minutes = minutes_of(X, self.place)
        missing = np.isnan(minutes)
        source = minutes[~missing] if not missing.all() else np.array([TYPICAL_MINUTES])
        self.typical_ = np.quantile(source, TYPICAL_QUANTILES)
        minutes[missing] = np.random.default_rng(self.random_state).choice(source, missing.sum())
        self.estimator_ = clone(self.estimator).fit(self._with(X, minutes), y, sample_weight=sample_weight)
        return self

    def predict(self, X: Floats) -> Floats:
        """Predict; the mean over typical lengths where the length is missing."""
        minutes = minutes_of(X, self.place)
        missing = np.isnan(minutes)
        predicted = np.empty(len(X))
        if not missing.all():
            predicted[~missing] = self.estimator_.predict(self._with(X[~missing], minutes[~missing]))
        if missing.any():
            gaps = np.repeat(X[missing], len(self.typical_), axis=0)
            every = self.estimator_.predict(self._with(gaps, np.tile(self.typical_, int(missing.sum()))))
            predicted[missing] = every.reshape(-1, len(self.typical_)).mean(axis=1)
        return predicted

    def _with(self, X: Floats, minutes: Floats) -> Floats:
        complete = np.array(X)
        complete[:, self.place] = minutes
        return complete
