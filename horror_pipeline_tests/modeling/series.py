"""Invented histories of popularity."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from horror_pipeline.modeling.forecasting.history import History

FIRST = dt.date(2025, 9, 1)


def history(popularity: NDArray[np.float64]) -> History:
    """Films x days from `FIRST` on, with ids 101, 102 and so on."""
    days = np.datetime64(FIRST, "D") + np.arange(popularity.shape[1])
    return History(days, np.arange(101, 101 + len(popularity)), popularity.astype("float32"))


def day(number: int) -> dt.date:
    """The date of a column."""
    return FIRST + dt.timedelta(days=number)


def reverting(films: int = 80, days: int = 60, seed: int = 1) -> NDArray[np.float64]:
    """Noise around each film's own level: what is high today is lower tomorrow."""
    random = np.random.default_rng(seed)
    level = random.uniform(0.5, 4.0, (films, 1))
    return np.exp(level + random.normal(0, 0.3, (films, days)))


def walking(films: int = 80, days: int = 60, seed: int = 1) -> NDArray[np.float64]:
    """Random walks: nothing better than no change can be said of them."""
    random = np.random.default_rng(seed)
    level = random.uniform(0.5, 4.0, (films, 1))
    return np.exp(level + np.cumsum(random.normal(0, 0.1, (films, days)), axis=1))


def released(count: int) -> pd.Series:
    """Release dates of the films of `history`."""
    return pd.Series({101 + place: FIRST - dt.timedelta(days=30 * place) for place in range(count)}, dtype="object")
