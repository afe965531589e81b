"""What moved a prediction: Shapley values of groups of inputs, by antithetic permutation sampling.

An input's Shapley value is what it adds to the prediction, averaged over all orders in which the inputs of a film can
take the place of those of another film (Štrumbelj and Kononenko, 2014). A few orders are drawn, each together with its
reverse, which cancels what pairs of inputs do together (Mitchell et al., 2022). Along each order the differences
telescope, so that base and parts add up to the prediction exactly, whatever the model. Inputs that say the same thing
are one group: taken apart, they would make films that cannot exist.

Parts are centered on the films that are explained together: the base is their mean prediction, and a part says how far
a film's inputs move it from there.
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
"""Parts that are named; the others are summed up."""

REST = "everything else"

_DECIMALS = 6

Film = dict[str, Any]

Value = Callable[[NDArray[Any]], Floats]
"""The prediction of each row on the scale on which parts add up."""


def explain(
    value: Value, rows: NDArray[Any], groups: Sequence[Sequence[int]], background_films: int
) -> tuple[float, Floats]:
    """Divide what sets each prediction apart from the mean among groups of columns.

    Args:
        value: the model.
        rows: what it predicts from, one row for each film.
        groups: the columns of each group; columns in no group are as in the film.
        background_films: how many films to hold the others against. More cost more and change the parts little,
            because they are centered on all films.

    Returns:
        The base, which is the mean prediction, and the parts: films x groups. Base and a film's parts add up to its
        prediction.
    """
    predicted = value(rows)
    places = (np.arange(background_films) + 0.5) / background_films * len(rows)  # spread over the range of predictions
    background = rows[np.argsort(predicted, kind="stable")[places.astype(int)]]
    batches = (rows[start : start + FILMS_A_BATCH] for start in range(0, len(rows), FILMS_A_BATCH))
    parts = np.concatenate([contributions(value, batch, background, groups) for batch in batches])
    center = parts.mean(axis=0)
    return float(predicted.mean()), parts - center


def contributions(
    value: Value, rows: NDArray[Any], background: NDArray[Any], groups: Sequence[Sequence[int]]
) -> Floats:
    """Sample each group's Shapley value against fixed background rows, with one order and its reverse for each.

    Args:
        value: the model.
        rows: the rows to explain.
        background: the rows they are held against.
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
    """Replace a background row's groups by those of each film, one after the other, and add up what each changes."""
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
    """Name the largest parts of each film, and sum up the rest so that all add up to the prediction less the base.

    Args:
        base: the base.
        parts: films x groups.
        predicted: the predictions, on the scale of the parts.
        films: what the words are made from.
        words: says of each group what the film is.
    """
    named = []
    batches = (films.iloc[start : start + FILMS_A_BATCH] for start in range(0, len(films), FILMS_A_BATCH))
    each = (film for batch in batches for film in batch.to_dict("records"))
    for film, of_film, total in zip(each, parts, predicted.tolist(), strict=True):
        largest = [group for group in np.argsort(-np.abs(of_film), kind="stable")[:MOST_PARTS] if of_film[group] != 0]
        told = [(words[group](film), round(float(of_film[group]), _DECIMALS)) for group in largest]
        named.append([*told, (REST, total - base - sum(effect for _, effect in told))])
    return named


def out_for(days: float) -> str:
    """Say how long a film has been out."""
    if days < 60:
        return f"out for {days:.0f} {'day' if days == 1 else 'days'}"
    return f"out for {days / 30.4:.0f} months" if days < 730 else f"out for {days / 365.25:.0f} years"
