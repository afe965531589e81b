"""The four models: what each predicts, from which columns, within which range and with which weights."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from horror_pipeline.domain import MODEL_NAMES, Stage, Target

Floats = NDArray[np.float64]

RATING_NOISE_PER_VOTE, RATING_NOISE_FLOOR = 6.0, 0.37
"""Variance of a rating around the best possible prediction: the sampling noise of a single vote, and the
unexplained variance, which more votes do not reduce."""

RUNTIME, PRERELEASE = "runtime_minutes", "prerelease_popularity"
UNFILLED = (RUNTIME, PRERELEASE)
"""Columns whose unknown values stay NaN. Only estimators that allow for NaN use them."""

MAX_LANGUAGES = 10
"""Highest number of indicator columns of a category, one for each of its commonest values."""


@dataclass(frozen=True)
class ModelSpec:
    """One model.

    Args:
        name: the name of its asset, and its `model_name` in `model_versions`.
        target: the column it predicts.
        stage: which films it predicts.
    """

    name: str
    target: Target
    stage: Stage

    def loss(self, actual: Floats, predicted: Floats) -> Floats:
        """Return the absolute errors that candidates are compared by, for popularity on the scale of log(1 + x).

        On the plain scale, the few films with a hundred times the popularity of most would dominate the mean error.
        """
        if self.is_popularity:
            return np.abs(np.log1p(predicted) - np.log1p(actual))
        return np.abs(predicted - actual)

    @property
    def is_popularity(self) -> bool:
        """Whether the target is popularity, which is positive, heavy-tailed, and best modeled on a log scale."""
        return self.target == "popularity"

    @property
    def uses_history(self) -> bool:
        """Whether the model uses the popularity that a film had before its release."""
        return self.is_popularity and self.stage == "before_release"

    def clip(self, values: Floats) -> Floats:
        """Limit values to the target's range: both targets start at 0, and a rating is at most 10."""
        return np.clip(values, 0.0, None if self.is_popularity else 10.0)

    def weights(self, votes: Floats) -> Floats | None:
        """Weight films by the inverse variance of their target; return None if all weights are equal.

        A rating's variance is σ²/votes + τ², sampling noise plus unexplained difference between films, as in a
        random-effects meta-analysis (DerSimonian and Laird, 1986).
        """
        if self.is_popularity:
            return None
        return 1.0 / (RATING_NOISE_PER_VOTE / np.maximum(votes, 1.0) + RATING_NOISE_FLOOR)


def _spec(name: str) -> ModelSpec:
    target: Target = "popularity" if name.startswith("popularity") else "vote_average"
    stage: Stage = "before_release" if name.endswith("before_release") else "after_release"
    return ModelSpec(name, target, stage)


MODELS: dict[str, ModelSpec] = {name: _spec(name) for name in MODEL_NAMES}
"""Every model by name."""


@dataclass(frozen=True)
class Inputs:
    """The columns a model may use, by kind.

    Args:
        numbers: numeric columns, `runtime_minutes` among them.
        flags: columns of 0 and 1.
        categories: text columns.
        collected: the flags of the collected genres; empty if all genres are collected. Films without any of these
            flags are used for training, but not predicted.
    """

    numbers: tuple[str, ...]
    flags: tuple[str, ...]
    categories: tuple[str, ...]
    collected: tuple[str, ...] = ("is_horror",)

    @property
    def names(self) -> list[str]:
        """All columns, in order."""
        return [*self.numbers, *self.flags, *self.categories]

    @property
    def preprocessed_names(self) -> list[str]:
        """The names of the columns that `Preprocessor` returns, whose number does not depend on the films."""
        indicators = [f"{name}_{rank}" for name in self.categories for rank in range(MAX_LANGUAGES)]
        return [*self.numbers, *self.flags, *indicators]

    def positions(self, names: Iterable[str]) -> list[int]:
        """Return the positions of columns among the preprocessed ones."""
        order = self.preprocessed_names
        return [order.index(name) for name in names]


@dataclass(frozen=True)
class Problem:
    """A learning problem: a model, its input columns, and the films to learn from.

    Args:
        spec: the model.
        inputs: the columns it may use.
        films: features and known targets of the films to learn from and to predict, sorted by release date.
        seed: seed of everything random.
        others: films of other genres, which are only learned from. Their features from TMDB's film details are all NaN.
    """

    spec: ModelSpec
    inputs: Inputs
    films: pd.DataFrame
    seed: int = 0
    others: pd.DataFrame = field(default_factory=pd.DataFrame)

    @property
    def rows(self) -> int:
        """The total number of films to learn from."""
        return len(self.films) + len(self.others)

    def training(self, films: NDArray[np.intp] | None = None, before: pd.Timestamp | None = None) -> Problem:
        """Return the problem of learning from some of `films`, and from those of `others` released before a day.

        The details of `others` were never read. Each of these films is given the details of a random one of `films`, so
        that a model cannot tell whose details are known (random hot-deck imputation; Andridge and Little, 2010). Only
        the columns in `UNFILLED` stay NaN.

        Args:
            films: positions of the films to use; None for all.
            before: the day; None to use all of `others`.

        Returns:
            A problem whose `films` are the chosen films, followed by the chosen `others`, and whose `others` are empty.
        """
        known, others = self.films if films is None else self.films.iloc[films], self.others
        if before is not None and not others.empty:
            others = others[others["release_date"] < before]
        if others.empty:
            return replace(self, films=known, others=others)
        drawn = np.random.default_rng(self.seed).integers(0, len(known), len(others))
        unread = [name for name in self.inputs.numbers if name not in UNFILLED and others[name].isna().all()]
        details = {name: known[name].to_numpy()[drawn] for name in unread}
        return replace(self, films=pd.concat([known, others.assign(**details)]), others=others.head(0))

    @property
    def target(self) -> Floats:
        """The target of each film."""
        return self.films[self.spec.target].to_numpy(dtype="float64")

    @property
    def votes(self) -> Floats:
        """The number of votes of each film, 0 where unknown."""
        return self.films["vote_count"].fillna(0).to_numpy(dtype="float64")
