"""Rolling-origin evaluation: how well candidates predict films released later than those they were trained on.

The method is Tashman's (2000). The films, sorted by release date, are cut into tenths. Each tenth of the second half is
a test block, `o0` to `o4`, and is predicted by models fitted to all earlier films. Blocks of the first half (`o-1`,
`o-2`) are predicted but not scored. They serve to calibrate the intervals of the first scored blocks.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import rankdata

from horror_pipeline.domain import MIN_VOTES_SCORED
from horror_pipeline.modeling.candidates import candidates, components, weights
from horror_pipeline.modeling.preprocessing import Preprocessor
from horror_pipeline.modeling.specs import Floats, ModelSpec, Problem

SCORED_BLOCKS = 5
MIN_TRAINING_FILMS = 30
"""Number of films that must have been released before a block, so that its models can be fitted."""

MAX_CALIBRATION_BLOCKS = 2
"""Highest number of blocks that only calibrate. Before any earlier block, too few films were released to learn from."""

MAX_IMPORTANCE_FILMS = 300
"""Highest number of films on which the importance of features is measured."""


@dataclass(frozen=True)
class Block:
    """A test block: the positions of the films released before it (`train`) and of the films in it (`test`)."""

    name: str
    train: NDArray[np.intp]
    test: NDArray[np.intp]

    @property
    def is_scored(self) -> bool:
        """Whether the block is scored, rather than only used to calibrate."""
        return not self.name.startswith("o-")


@dataclass(frozen=True)
class FittedBlock:
    """A block with the models fitted to the films before it, and their predictions.

    Args:
        block: the block.
        preprocessor: the fitted preprocessor.
        components: the fitted components.
        predictions: the rows of `Walk.frame` for the films of the block.
    """

    block: Block
    preprocessor: Preprocessor
    components: dict[str, Any]
    predictions: pd.DataFrame


@dataclass(frozen=True)
class Walk:
    """The predictions of all blocks, made by walking forward in time from block to block.

    Args:
        frame: one row per film of a block: `position` among the films, `tmdb_id`, `release_date`, `block`,
            `is_scored_block`, `is_scored` (enough votes), `votes`, `age_days`, `actual`, and a column per candidate
            with its prediction, clipped to the target's range.
        last: the newest block with its models.
    """

    frame: pd.DataFrame
    last: FittedBlock


def rolling_origins(dates: Sequence[Any] | pd.Series, scored: NDArray[np.bool_], first: int = 0) -> list[Block]:
    """Cut films into test blocks by release date; films of one day stay together.

    Args:
        dates: release date of each film.
        scored: which films have enough votes to be scored; each block holds about a tenth of these.
        first: number of the first block; blocks with negative numbers are only used to calibrate.

    Returns:
        Blocks up to `o4`, in order of time, without those that hold no scored films or have too few films before them.
    """
    days = np.asarray(dates, dtype="datetime64[D]")
    ordered = np.sort(days[scored])
    starts = [ordered[int(len(ordered) * (5 + number) / 10)] for number in range(first, SCORED_BLOCKS)]
    ends = [*starts[1:], days.max() + np.timedelta64(1, "D")]
    blocks = []
    for number, start, end in zip(range(first, SCORED_BLOCKS), starts, ends, strict=True):
        inside = (days >= start) & (days < end)
        block = Block(f"o{number}", np.flatnonzero(days < start), np.flatnonzero(inside))
        if len(block.train) >= MIN_TRAINING_FILMS and (inside & scored).any():
            blocks.append(block)
    return blocks


def walk_forward(problem: Problem, algorithms: Sequence[str] | None = None, first: int = 0) -> Walk | None:
    """Predict each block with every candidate, fitted to the films released before the block.

    Args:
        problem: the learning problem.
        algorithms: names of the candidates; None for all.
        first: number of the first block, as in `rolling_origins`.

    Returns:
        The walk; None if no scored block has enough films before it.
    """
    blocks = rolling_origins(problem.films["release_date"], problem.votes >= MIN_VOTES_SCORED, first)
    if not any(block.is_scored for block in blocks):
        return None
    fitted = list(_fit_blocks(problem, blocks, algorithms))
    return Walk(pd.concat([block.predictions for block in fitted], ignore_index=True), fitted[-1])


def calibration(problem: Problem, algorithms: Sequence[str], wanted: int) -> list[pd.DataFrame]:
    """Predict films released before the scored blocks, to calibrate the intervals of the first scored block on them.

    Args:
        problem: the learning problem.
        algorithms: names of the candidates.
        wanted: number of films to calibrate on; only as many blocks are fitted as hold this number.

    Returns:
        A frame like `Walk.frame` for each block; an empty list if too few films were released earlier.
    """
    scored = problem.votes >= MIN_VOTES_SCORED
    count = min(MAX_CALIBRATION_BLOCKS, math.ceil(wanted / max(1.0, scored.sum() / 10)))
    blocks = rolling_origins(problem.films["release_date"], scored, -count)
    unscored = [block for block in blocks if not block.is_scored]
    return [fitted.predictions for fitted in _fit_blocks(problem, unscored, algorithms)]


def _fit_blocks(problem: Problem, blocks: Sequence[Block], algorithms: Sequence[str] | None) -> Iterator[FittedBlock]:
    """Fit every component to the films before each block, and predict the block with every candidate."""
    recipes = {name: recipe for name, recipe in candidates(problem).items() if algorithms is None or name in algorithms}
    for block in blocks:
        yield _fit_block(problem, block, recipes)


def _fit_block(problem: Problem, block: Block, recipes: Mapping[str, Mapping[str, float]]) -> FittedBlock:
    """Fit and predict one block. As this is a separate function, the training data is freed before the next block."""
    spec, votes = problem.spec, problem.votes[block.test]
    rows = problem.films.iloc[block.test]
    training = problem.training(block.train, before=rows["release_date"].min())
    preprocessor, needed = Preprocessor(problem.inputs), {part for recipe in recipes.values() for part in recipe}
    X, learned = preprocessor.fit_transform(training.films), training.target
    fitted = {
        name: component.fit(X, learned, weights(training, name))
        for name, component in components(problem).items()
        if name in needed
    }
    later = preprocessor.transform(rows)
    parts = {name: component.predict(later) for name, component in fitted.items()}
    columns: dict[str, Any] = {
        "position": block.test,
        "tmdb_id": rows["tmdb_id"].to_numpy(),
        "release_date": rows["release_date"].to_numpy(),
        "block": block.name,
        "is_scored_block": block.is_scored,
        "is_scored": votes >= MIN_VOTES_SCORED,
        "votes": votes,
        "age_days": rows["days_since_release"].to_numpy(dtype="float64"),
        "actual": problem.target[block.test],
        **{name: spec.clip(average(parts, recipe)) for name, recipe in recipes.items()},
    }
    return FittedBlock(block, preprocessor, fitted, pd.DataFrame(columns))


def average(parts: Mapping[str, Floats], recipe: Mapping[str, float]) -> Floats:
    """Average the predictions of a candidate's components."""
    return np.asarray(np.average([parts[name] for name in recipe], axis=0, weights=list(recipe.values())))


def importance(problem: Problem, walk: Walk, algorithm: str) -> dict[str, float]:
    """Measure how much worse a candidate predicts films when the values of a feature are permuted among them.

    This is permutation importance (Breiman, 2001; Fisher, Rudin and Dominici, 2019). It is measured on films of the
    newest block, with the models fitted to the films released before that block.

    Args:
        problem: the learning problem.
        walk: the walk over the same problem.
        algorithm: the candidate.

    Returns:
        Increase of the mean absolute error by feature, the largest first.
    """
    last, names = walk.last, problem.inputs.names
    rows = problem.films.iloc[last.block.test]
    rows = rows[rows["vote_count"] >= MIN_VOTES_SCORED].tail(MAX_IMPORTANCE_FILMS)
    random = np.random.default_rng(problem.seed)
    copies = [rows]  # with the permuted copies of all features in one frame, a single prediction is enough
    for name in names:
        copies.append(rows.assign(**{name: rows[name].to_numpy()[random.permutation(len(rows))]}))
    X = last.preprocessor.transform(pd.concat(copies, ignore_index=True))
    recipe = candidates(problem)[algorithm]
    predicted = problem.spec.clip(average({name: last.components[name].predict(X) for name in recipe}, recipe))
    actual = rows[problem.spec.target].to_numpy()
    errors = np.abs(predicted.reshape(len(copies), len(rows)) - actual).mean(axis=1)
    increase = {name: float(error - errors[0]) for name, error in zip(names, errors[1:], strict=True)}
    return dict(sorted(increase.items(), key=lambda item: -item[1]))


def score(spec: ModelSpec, forward: pd.DataFrame, algorithm: str) -> dict[str, Any]:
    """Score a candidate's predictions of the scored blocks.

    Args:
        spec: the model.
        forward: the frame of a `Walk`.
        algorithm: the candidate.

    Returns:
        `origins` (metrics by block) and `mean` (their mean over blocks), both for films with enough votes, and
        `any_votes` (metrics of all films of the scored blocks).
    """
    walked = forward[forward["is_scored_block"]]
    origins = {
        str(block): metrics(spec, *_columns(rows, algorithm))
        for block, rows in walked[walked["is_scored"]].groupby("block")
    }
    table = pd.DataFrame(origins).T
    return {
        "mean": {name: float(table[name].mean()) for name in table.columns if name != "films"},
        "origins": origins,
        "any_votes": metrics(spec, *_columns(walked, algorithm)),
    }


def scores(problem: Problem, walk: Walk) -> dict[str, dict[str, Any]]:
    """Return the `score` of every candidate by name."""
    return {name: score(problem.spec, walk.frame, name) for name in candidates(problem)}


def _columns(rows: pd.DataFrame, algorithm: str) -> tuple[Floats, Floats, Floats]:
    return rows["actual"].to_numpy(), rows[algorithm].to_numpy(), rows["votes"].to_numpy()


def metrics(spec: ModelSpec, actual: Floats, predicted: Floats, votes: Floats) -> dict[str, float]:
    """Compute MAE, RMSE, R², rank correlation, and log-scale MAE (popularity) or vote-weighted MAE (rating)."""
    error = predicted - actual
    variation = float(np.sum((actual - actual.mean()) ** 2))
    values = {
        "films": float(len(actual)),
        "mae": float(np.abs(error).mean()),
        "rmse": float(np.sqrt(np.mean(error**2))),
        "r2": 1.0 - float(np.sum(error**2)) / variation if variation > 0 else 0.0,
        "spearman": spearman(actual, predicted),
    }
    if spec.is_popularity:
        values["log_mae"] = float(spec.loss(actual, predicted).mean())
    elif votes.sum() > 0:
        values["vote_weighted_mae"] = float(np.average(np.abs(error), weights=votes))
    return values


def spearman(a: Floats, b: Floats) -> float:
    """Compute Spearman's rank correlation, or 0 if one side is constant (scipy would warn and return NaN)."""
    x, y = rankdata(a), rankdata(b)
    x, y = x - x.mean(), y - y.mean()
    norm = float(np.sqrt((x**2).sum() * (y**2).sum()))
    return float((x * y).sum()) / norm if norm > 0 else 0.0
