"""The four models: what each predicts, from which columns, within which range and with which weights."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from horror_pipeline.domain import MODEL_NAMES, Stage, Target

Floats = NDArray[np.float64]

RATING_NOISE_PER_VOTE, RATING_NOISE_FLOOR = 6.0, 0.37
"""Variance of a rating around the best possible prediction: noise of the votes, and what no feature explains."""

MAX_LANGUAGES = 10
"""Indicator columns of a category: the commonest values get one each, all others share none."""


@dataclass(frozen=True)
class ModelSpec:
    """One model.

    Args:
        name: its asset, and `model_name` in `model_versions`.
        target: the column it predicts.
        stage: which films it predicts.
        lowest: smallest value the target can take.
        highest: largest value the target can take; None if unbounded.
    """

    name: str
    target: Target
    stage: Stage
    lowest: float
    highest: float | None

    @property
    def is_popularity(self) -> bool:
        """Whether the target is popularity: positive, heavy-tailed, best seen on a log scale."""
        return self.target == "popularity"

    def clip(self, values: Floats) -> Floats:
        """Limit values to the target's range."""
        return np.clip(values, self.lowest, self.highest)

    def weights(self, votes: Floats) -> Floats | None:
        """Weight films by the inverse variance of their target; None where all films count alike.

        A rating's variance is σ²/votes + τ², sampling noise plus unexplained difference between films, as in a
        random-effects meta-analysis (DerSimonian and Laird, 1986).
        """
        if self.is_popularity:
            return None
        return 1.0 / (RATING_NOISE_PER_VOTE / np.maximum(votes, 1.0) + RATING_NOISE_FLOOR)


def _spec(name: str) -> ModelSpec:
    stage: Stage = "before_release" if name.endswith("before_release") else "after_release"
    if name.startswith("popularity"):
        return ModelSpec(name, "popularity", stage, 0.0, None)
    return ModelSpec(name, "vote_average", stage, 0.0, 10.0)


MODELS: dict[str, ModelSpec] = {name: _spec(name) for name in MODEL_NAMES}
"""Every model by name."""


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
        """All columns, in order."""
        return [*self.numbers, *self.flags, *self.categories]

    @property
    def preprocessed_names(self) -> list[str]:
        """The columns that `Preprocessor` makes of them, in order: the same number of columns for any films."""
        indicators = [f"{name}_{rank}" for name in self.categories for rank in range(MAX_LANGUAGES)]
        return [*self.numbers, *self.flags, *indicators]

    def positions(self, names: Iterable[str]) -> list[int]:
        """Positions of columns among the preprocessed ones."""
        order = self.preprocessed_names
        return [order.index(name) for name in names]


@dataclass(frozen=True)
class Problem:
    """A learning problem: what is predicted, from which columns of which films.

    Args:
        spec: the model.
        inputs: the columns it may use.
        films: features and targets of the films to learn from, sorted by release date; every target is known.
        seed: seed of everything random.
    """

    spec: ModelSpec
    inputs: Inputs
    films: pd.DataFrame
    seed: int = 0

    @property
    def target(self) -> Floats:
        """The target of each film."""
        return self.films[self.spec.target].to_numpy(dtype="float64")

    @property
    def votes(self) -> Floats:
        """The number of votes of each film, 0 where unknown."""
        return self.films["vote_count"].fillna(0).to_numpy(dtype="float64")
