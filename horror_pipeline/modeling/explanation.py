"""Explanations of predictions: Shapley values of groups of inputs, by antithetic permutation sampling.

The inputs of a background film are replaced one after the other by those of the film to explain. An input's Shapley
value is the change of the prediction when it is replaced, averaged over all orders (Štrumbelj and Kononenko, 2014). A
few orders are sampled, each together with its reverse, which cancels out the interactions of pairs of inputs (Mitchell
et al., 2022). Along each order, the changes add up exactly to the difference between the two films' predictions,
whatever the model. Dependent inputs form a group, because replacing them one by one would make films that cannot exist.

The Shapley values are then centered over the films that are explained together. The *base* is the mean prediction of
these films. A *part* is how far a group of a film's inputs moves its prediction from the base. Base and parts add up to
the prediction.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from horror_pipeline.modeling.prediction import FILMS_A_BATCH
from horror_pipeline.modeling.specs import Floats

MOST_PARTS = 5
"""Highest number of parts that are named; the others are summed up."""

REST = "everything else"

_DECIMALS = 6

Film = dict[str, Any]

Value = Callable[[NDArray[Any]], Floats]
"""A function that returns the prediction for each row, on the scale on which parts add up."""


def explain(
    value: Value, rows: NDArray[Any], groups: Sequence[Sequence[int]], background_films: int
) -> tuple[float, Floats]:
    """Divide each prediction's difference from the mean prediction among groups of columns.

    Args:
        value: the model.
        rows: the inputs, one row for each film.
        groups: the columns of each group; columns in no group are never replaced.
        background_films: number of background films. More of them take longer and change the parts little, because
            the parts are centered.

    Returns:
        The base, which is the mean prediction, and the parts: films x groups. Base and a film's parts add up to its
        prediction.
    """
    predicted = value(rows)
    ranks = (np.arange(background_films) + 0.5) / background_films * len(rows)  # spread over the range of predictions
    background = rows[np.argsort(predicted, kind="stable")[ranks.astype(int)]]
    batches = (rows[start : start + FILMS_A_BATCH] for start in range(0, len(rows), FILMS_A_BATCH))
    parts = np.concatenate([contributions(value, batch, background, groups) for batch in batches])
    center = parts.mean(axis=0)
    return float(predicted.mean()), parts - center


def contributions(
    value: Value, rows: NDArray[Any], background: NDArray[Any], groups: Sequence[Sequence[int]]
) -> Floats:
    """Estimate each group's Shapley value in each row, using one sampled order and its reverse per background row.

    Args:
        value: the model.
        rows: the rows to explain.
        background: the background rows.
        groups: the columns of each group.
    """
    parts, random = np.zeros((len(rows), len(groups))), np.random.default_rng(0)
    for start in background:
        order = random.permutation(len(groups))
        for each in (order, order[::-1]):
            _walk(value, rows, start, [(group, groups[group]) for group in each], parts)
    return parts / (2 * len(background))


def _walk(
    value: Value, rows: NDArray[Any], start: NDArray[Any], order: Sequence[tuple[int, Sequence[int]]], parts: Floats
) -> None:
    """Replace a background row's groups by each film's, one by one; add the changes of the prediction to `parts`."""
    mixed = rows.copy()
    for _, columns in order:
        mixed[:, columns] = start[columns]
    before = value(mixed)
    for group, columns in order:
        changed = (rows[:, columns] != start[columns]).any(axis=1)
        if changed.any():
            mixed[np.ix_(changed, columns)] = rows[np.ix_(changed, columns)]
            after = value(mixed[changed])
            parts[changed, group] += after - before[changed]
            before[changed] = after


def in_words(
    base: float, parts: Floats, predicted: Floats, films: pd.DataFrame, words: Sequence[Callable[[Film], str]]
) -> list[list[tuple[str, float]]]:
    """Label the largest parts of each film, and sum up the others, so that all add up to the prediction less the base.

    Args:
        base: the base.
        parts: films x groups.
        predicted: the predictions, on the scale of the parts.
        films: the values that labels are made from.
        words: for each group, a function that puts a film's values into words.
    """
    named = []
    batches = (films.iloc[start : start + FILMS_A_BATCH] for start in range(0, len(films), FILMS_A_BATCH))
    each = (film for batch in batches for film in batch.to_dict("records"))
    for film, of_film, total in zip(each, parts, predicted.tolist(), strict=True):
        largest = [group for group in np.argsort(-np.abs(of_film), kind="stable")[:MOST_PARTS] if of_film[group] != 0]
        labeled = [(words[group](film), round(float(of_film[group]), _DECIMALS)) for group in largest]
        named.append([*labeled, (REST, total - base - sum(effect for _, effect in labeled))])
    return named


def out_for(days: float) -> str:
    """Say how long a film has been out."""
    if days < 60:
        return f"out for {days:.0f} {'day' if days == 1 else 'days'}"
    return f"out for {days / 30.4:.0f} months" if days < 730 else f"out for {days / 365.25:.0f} years"
