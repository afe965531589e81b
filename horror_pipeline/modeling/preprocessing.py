"""Transformers from the columns of `movie_features` to the inputs of estimators.

All of them are fitted inside a pipeline, on training films alone.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.preprocessing import SplineTransformer

from horror_pipeline.modeling.specs import MAX_LANGUAGES, UNFILLED, Floats, Inputs

MIN_LANGUAGE_FILMS = 8
"""Number of films that a language needs to get an indicator column."""

NO_EARLIER_FILM_YEARS = 30.0
"""The value imputed for the years since the last earlier film of a director or collection that has none."""


class Preprocessor(TransformerMixin, BaseEstimator):
    """Turns films into an array: medians for unknown numbers, 0 for unknown flags, an indicator per common language.

    Only unknown values of the columns in `UNFILLED` stay NaN: see `missing_runtime` and `prerelease`. A film in a
    language that was unknown or rare among the training films has 0 in every indicator column.

    Args:
        inputs: the columns to use.
    """

    def __init__(self, inputs: Inputs) -> None:
        self.inputs = inputs

    def fit(self, X: pd.DataFrame, y: object = None) -> Preprocessor:
        """Learn medians and common languages."""
        numbers = X[list(self.inputs.numbers)].to_numpy(dtype="float64", na_value=np.nan)
        self.fill_ = np.array([_fill(*column) for column in zip(self.inputs.numbers, numbers.T, strict=True)])
        self.languages_ = []
        for name in self.inputs.categories:
            counts = X[name].value_counts()
            common = sorted(counts[counts >= MIN_LANGUAGE_FILMS].items(), key=lambda item: (-item[1], str(item[0])))
            self.languages_.append([str(language) for language, _ in common[:MAX_LANGUAGES]])
        return self

    def transform(self, X: pd.DataFrame) -> Floats:
        """Fill in unknown values, encode languages, and return the columns of `Inputs.preprocessed_names`."""
        names = [*self.inputs.numbers, *self.inputs.flags]
        filled = np.zeros((len(X), len(self.inputs.preprocessed_names)))  # filled by column to save memory
        for place, (name, fill) in enumerate(zip(names, [*self.fill_, *[0.0] * len(self.inputs.flags)], strict=True)):
            column = X[name].to_numpy(dtype="float64", na_value=np.nan)
            filled[:, place] = np.where(np.isnan(column), fill, column)
        for number, (name, languages) in enumerate(zip(self.inputs.categories, self.languages_, strict=True)):
            values = X[name].to_numpy(dtype="object")
            for rank, language in enumerate(languages):
                filled[:, len(names) + number * MAX_LANGUAGES + rank] = values == language
        return filled


def _fill(name: str, column: Floats) -> float:
    """Return the value that is imputed for unknown values of a column; NaN leaves them unknown."""
    if name in UNFILLED:
        return float("nan")
    if name.endswith("_years_since_last"):
        return NO_EARLIER_FILM_YEARS
    known = column[~np.isnan(column)]
    return float(np.median(known)) if len(known) else 0.0


class ColumnSelector(TransformerMixin, BaseEstimator):
    """Selects columns; optionally replaces each value by the number of its bin among bins of equal frequency.

    Boosting bins its columns itself, but if films have weights, the binning takes most of its time.

    Args:
        positions: the columns to select, in order.
        bins: bins per column; None leaves values as they are.
    """

    def __init__(self, positions: list[int], bins: int | None = None) -> None:
        self.positions, self.bins = positions, bins

    def fit(self, X: Floats, y: object = None) -> ColumnSelector:
        """Learn the edges of the bins."""
        self.edges_ = []
        if self.bins is not None:
            shares = np.linspace(0, 1, self.bins + 1)[1:-1]
            self.edges_ = [np.unique(np.quantile(X[:, column], shares, method="lower")) for column in self.positions]
        return self

    def transform(self, X: Floats) -> Floats:
        """Select the columns, and bin them if `bins` is set."""
        if self.bins is None:
            return X[:, self.positions]
        bins = [np.searchsorted(edges, X[:, column]) for column, edges in zip(self.positions, self.edges_, strict=True)]
        return np.stack(bins, axis=1).astype("float64")


class SplineTerms(TransformerMixin, BaseEstimator):
    """Terms of an additive model: B-splines of votes, their rate and age, and standardized linear terms of the rest.

    With a ridge penalty in the regressor this is a penalized regression spline (Eilers and Marx, 1996). The spline of
    age is constant beyond the range of the training films. Later films are younger than the training films, and
    extrapolating the trend would distort their predictions.

    Args:
        linear: columns of the linear terms.
        votes: the column of log votes; empty if votes are unknown at this stage.
        rate: the column of the log of votes per day; empty if it is unknown.
        age: the column of days since release.
    """

    def __init__(self, linear: list[int], votes: list[int], rate: list[int], age: list[int]) -> None:
        self.linear, self.votes, self.rate, self.age = linear, votes, rate, age

    def fit(self, X: Floats, y: object = None) -> SplineTerms:
        """Learn knots, means and standard deviations."""
        self.splines_ = []
        for columns, knots, degree, extrapolation in (
            (self.votes, 6, 3, "linear"),
            (self.rate, 5, 3, "linear"),
            (self.age, 4, 2, "constant"),
        ):
            spline = SplineTransformer(knots, degree=degree, knots="quantile", extrapolation=extrapolation)
            self.splines_ += [(column, spline.fit(self._scaled(X, column))) for column in columns]
        self.mean_, deviation = X[:, self.linear].mean(axis=0), X[:, self.linear].std(axis=0)
        self.deviation_ = np.where(deviation > 0, deviation, 1.0)
        return self

    def transform(self, X: Floats) -> Floats:
        """Compute the terms."""
        splines = [spline.transform(self._scaled(X, column)) for column, spline in self.splines_]
        return np.hstack([*splines, (X[:, self.linear] - self.mean_) / self.deviation_])

    def _scaled(self, X: Floats, column: int) -> Floats:
        values = X[:, [column]]
        return np.log1p(values) if column in self.age else values
