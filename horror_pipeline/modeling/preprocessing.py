"""From the columns of `movie_features` to the numbers estimators take; everything here is fitted inside a pipeline.

What belongs here: filling gaps, encoding languages, and the terms of a linear model. What does not: estimators.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.preprocessing import SplineTransformer

from horror_pipeline.modeling.specs import Floats

RUNTIME = "runtime_minutes"
LANGUAGES = 10
"""Languages that are told from all others: the commonest, as far as they have enough films."""

RARE_LANGUAGE = 8
NEVER_YEARS = 30.0
"""Years since the last earlier film where there is none."""


@dataclass(frozen=True)
class Inputs:
    """The columns a model may use, by kind.

    Args:
        numbers: numeric columns, `runtime_minutes` among them.
        flags: columns of 0 and 1.
        categories: text columns.
    """

    numbers: tuple[str, ...]
    flags: tuple[str, ...]
    categories: tuple[str, ...]

    @property
    def names(self) -> list[str]:
        """All of them, in order."""
        return [*self.numbers, *self.flags, *self.categories]

    @property
    def prepared_names(self) -> list[str]:
        """The columns `Prepare` makes of them, in order; always as many, whatever the films are."""
        languages = [f"{name}_{place}" for name in self.categories for place in range(LANGUAGES)]
        return [*self.numbers, *self.flags, *languages]

    def places(self, names: Iterable[str]) -> list[int]:
        """Where prepared columns are."""
        order = self.prepared_names
        return [order.index(name) for name in names]


class Prepare(TransformerMixin, BaseEstimator):
    """Films as an array: medians for unknown numbers, 0 for unknown flags, one column per common language.

    Only the length stays NaN where it is unknown: see length.py. A language not met while fitting, or rare then, has 0
    in every language's column.

    Args:
        inputs: the columns to use.
    """

    def __init__(self, numbers: tuple[str, ...], flags: tuple[str, ...], categories: tuple[str, ...]) -> None:
        """Keep the columns."""
        self.numbers, self.flags, self.categories = numbers, flags, categories

    @classmethod
    def of(cls, inputs: Inputs) -> Prepare:
        """For the columns of a model."""
        return cls(inputs.numbers, inputs.flags, inputs.categories)

    def fit(self, X: pd.DataFrame, y: object = None) -> Prepare:
        """Learn medians and common languages."""
        numbers = X[list(self.numbers)].to_numpy(dtype="float64", na_value=np.nan)
        self.fill_ = np.array([_fill(name, column) for name, column in zip(self.numbers, numbers.T, strict=True)])
        self.languages_ = []
        for name in self.categories:
            counts = X[name].value_counts()
            common = sorted(counts[counts >= RARE_LANGUAGE].items(), key=lambda item: (-item[1], str(item[0])))
            self.languages_.append([str(language) for language, _ in common[:LANGUAGES]])
        return self

    def transform(self, X: pd.DataFrame) -> Floats:
        """Fill and encode; columns as `Inputs.prepared_names`."""
        numbers = X[list(self.numbers)].to_numpy(dtype="float64", na_value=np.nan)
        numbers = np.where(np.isnan(numbers), self.fill_, numbers)
        flags = np.nan_to_num(X[list(self.flags)].to_numpy(dtype="float64", na_value=np.nan))
        encoded = [numbers, flags]
        for name, languages in zip(self.categories, self.languages_, strict=True):
            columns = np.zeros((len(X), LANGUAGES))
            values = X[name].to_numpy(dtype="object")
            for place, language in enumerate(languages):
                columns[:, place] = values == language
            encoded.append(columns)
        return np.hstack(encoded)


def _fill(name: str, column: Floats) -> float:
    if name == RUNTIME:
        return float("nan")
    if name.endswith("_years_since_last"):
        return NEVER_YEARS
    known = column[~np.isnan(column)]
    return float(np.median(known)) if len(known) else 0.0


class Select(TransformerMixin, BaseEstimator):
    """Some of the columns; optionally each value as the number of its step among so many of equal frequency.

    Boosting bins its columns itself, but takes most of its time for it when films have weights.

    Args:
        places: which columns, in order.
        steps: steps of each column; None: values as they are.
    """

    def __init__(self, places: list[int], steps: int | None = None) -> None:
        """Keep the settings."""
        self.places, self.steps = places, steps

    def fit(self, X: Floats, y: object = None) -> Select:
        """Learn where the steps are."""
        self.n_features_in_ = X.shape[1]
        self.edges_ = []
        if self.steps is not None:
            shares = np.linspace(0, 1, self.steps + 1)[1:-1]
            self.edges_ = [np.unique(np.quantile(X[:, place], shares, method="lower")) for place in self.places]
        return self

    def transform(self, X: Floats) -> Floats:
        """Take the columns."""
        if self.steps is None:
            return X[:, self.places]
        steps = [np.searchsorted(edges, X[:, place]) for place, edges in zip(self.places, self.edges_, strict=True)]
        return np.stack(steps, axis=1).astype("float64")


class Smooth(TransformerMixin, BaseEstimator):
    """Terms of a linear model: splines of votes, their rate and age; all else standardised.

    Beyond the training films the spline of age stays level: films to come are always younger than those learnt from,
    and a trend drawn on would carry their predictions away.

    Args:
        level: columns that enter as they are.
        votes: the column of log votes; empty: unknown at this stage.
        rate: the column of the log of votes per day; empty: unknown.
        age: the column of days since release.
    """

    def __init__(self, level: list[int], votes: list[int], rate: list[int], age: list[int]) -> None:
        """Keep the columns."""
        self.level, self.votes, self.rate, self.age = level, votes, rate, age

    def fit(self, X: Floats, y: object = None) -> Smooth:
        """Learn knots, means and spreads."""
        self.curves_ = []
        for places, knots, degree, beyond in (
            (self.votes, 6, 3, "linear"),
            (self.rate, 5, 3, "linear"),
            (self.age, 4, 2, "constant"),
        ):
            curve = SplineTransformer(knots, degree=degree, knots="quantile", extrapolation=beyond)
            for place in places:
                self.curves_.append((place, curve.fit(self._curved(X, place))))
        self.mean_, spread = X[:, self.level].mean(axis=0), X[:, self.level].std(axis=0)
        self.spread_ = np.where(spread > 0, spread, 1.0)
        return self

    def transform(self, X: Floats) -> Floats:
        """The terms."""
        curves = [curve.transform(self._curved(X, place)) for place, curve in self.curves_]
        return np.hstack([*curves, (X[:, self.level] - self.mean_) / self.spread_])

    def _curved(self, X: Floats, place: int) -> Floats:
        column = X[:, [place]]
        return np.log1p(column) if place in self.age else column
