"""The four models: what each predicts, from what, and how it is scored.

What belongs here: their declaration. What does not: estimators (candidates.py) and anything fitted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Stage = Literal["before_release", "after_release"]
Target = Literal["popularity", "vote_average"]
Floats = NDArray[np.float64]

MIN_VOTES_SCORED = 10
"""Ratings of fewer votes are mostly noise: films below it train with little weight and are scored apart."""

RATING_NOISE_PER_VOTE, RATING_NOISE_FLOOR = 6.0, 0.37
"""Variance of a rating around what a model can know: noise of the votes, and what no feature explains."""


@dataclass(frozen=True)
class ModelSpec:
    """One model.

    Args:
        name: its asset, and `model_name` in `model_versions`.
        target: the column it predicts.
        stage: which films it predicts.
        lowest: smallest value the target can take.
        highest: largest value the target can take; None: open.
    """

    name: str
    target: Target
    stage: Stage
    lowest: float
    highest: float | None

    @property
    def is_popularity(self) -> bool:
        """Whether it predicts popularity: positive, heavy-tailed, best seen on a log scale."""
        return self.target == "popularity"

    def clip(self, values: Floats) -> Floats:
        """Values within what the target can be."""
        return np.clip(values, self.lowest, self.highest)

    def weights(self, votes: Floats) -> Floats | None:
        """Training weight of each film: a rating counts by how little of it is noise; None: films count alike."""
        if self.is_popularity:
            return None
        return 1.0 / (RATING_NOISE_PER_VOTE / np.maximum(votes, 1.0) + RATING_NOISE_FLOOR)


MODELS: dict[str, ModelSpec] = {
    spec.name: spec
    for spec in (
        ModelSpec("popularity_before_release", "popularity", "before_release", 0.0, None),
        ModelSpec("popularity_after_release", "popularity", "after_release", 0.0, None),
        ModelSpec("rating_before_release", "vote_average", "before_release", 0.0, 10.0),
        ModelSpec("rating_after_release", "vote_average", "after_release", 0.0, 10.0),
    )
}
"""Every model by name."""
