"""How good a candidate is on films released later than those it learnt from.

What belongs here: the rolling origins, the walk along them, and metrics. What does not: choosing a champion (train.py).

The films, sorted by release date, are cut at every tenth from half of them on. Each block, `o0` to `o4`, is predicted
by models fitted on all earlier films, so every prediction is of a film later than its training. Blocks before the half
(`o-1`, `o-2`) are not scored: they calibrate the intervals of the first scored ones.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import rankdata

from horror_pipeline.modeling.candidates import candidates, components
from horror_pipeline.modeling.preprocessing import Inputs, Prepare
from horror_pipeline.modeling.specs import MIN_VOTES_SCORED, Floats, ModelSpec
from horror_pipeline.modeling.threads import one_thread

BLOCKS_SCORED = 5
FEWEST_ROWS = 30
"""Films needed before a block, to be worth fitting."""

MOST_BLOCKS_BEFORE = 2
"""Blocks at most that are walked only to calibrate: before them there is little to learn from."""

MOST_FILMS_SHUFFLED = 300
"""Films the importance of features is measured on."""


@dataclass(frozen=True)
class Block:
    """A test block: positions of the films before it, and of those in it."""

    name: str
    train: NDArray[np.intp]
    test: NDArray[np.intp]

    @property
    def is_scored(self) -> bool:
        """Whether it counts as a score, or only calibrates."""
        return not self.name.startswith("o-")


def rolling_origins(dates: Sequence[Any] | pd.Series, scored: NDArray[np.bool_], first: int = 0) -> list[Block]:
    """Cut films into test blocks by release date; films of one day stay together.

    Args:
        dates: release date of each film.
        scored: which films the cuts are counted in.
        first: number of the first block; below 0: blocks that only calibrate.

    Returns:
        Blocks up to `o4`, in order of time; those with too few films before them, or none in them, are left out.
    """
    days = np.asarray(dates, dtype="datetime64[D]")
    ordered = np.sort(days[scored])
    cut = [ordered[int(len(ordered) * (5 + k) / 10)] for k in range(first, BLOCKS_SCORED)]
    blocks = []
    for k, low in zip(range(first, BLOCKS_SCORED), cut, strict=True):
        last = k == BLOCKS_SCORED - 1
        inside = (days >= low) & (True if last else days < cut[k - first + 1])
        block = Block(f"o{k}", np.flatnonzero(days < low), np.flatnonzero(inside))
        if len(block.train) >= FEWEST_ROWS and (inside & scored).any():
            blocks.append(block)
    return blocks


@dataclass(frozen=True)
class Walk:
    """A walk forward in time.

    Args:
        frame: one row per film of a block: `position` in the films, `tmdb_id`, `release_date`, `block`,
            `is_scored_block`, `is_scored` (votes enough), `votes`, `actual`, and a column per candidate with its
            prediction, within the target's range.
        prepare: how films were prepared for the last block, as fitted on the films before it.
        fitted: the components as fitted on the same.
        last: the last block.
    """

    frame: pd.DataFrame
    prepare: Any
    fitted: dict[str, Any]
    last: Block


def walk_forward(
    spec: ModelSpec,
    inputs: Inputs,
    films: pd.DataFrame,
    seed: int,
    algorithms: Sequence[str] | None = None,
    first: int = 0,
) -> Walk | None:
    """Predict every block by every candidate, fitted on the films before it.

    Args:
        spec: the model.
        inputs: the columns it may use.
        films: features and targets, sorted by release date; every target is known.
        seed: of everything random.
        algorithms: candidates to walk with; None: all.
        first: number of the first block, as in `rolling_origins`.

    Returns:
        The walk; None where no scored block has enough films before it.
    """
    votes = films["vote_count"].fillna(0).to_numpy(dtype="float64")
    recipes = {name: recipe for name, recipe in candidates(spec).items() if algorithms is None or name in algorithms}
    blocks = rolling_origins(films["release_date"], votes >= MIN_VOTES_SCORED, first)
    if not any(block.is_scored for block in blocks):
        return None
    frames = []
    with one_thread():
        for block in blocks:
            prepare, fitted, frame = _step(spec, inputs, films, votes, recipes, seed, block)
            frames.append(frame)
    return Walk(pd.concat(frames, ignore_index=True), prepare, fitted, blocks[-1])


def calibration(
    spec: ModelSpec, inputs: Inputs, films: pd.DataFrame, seed: int, algorithms: Sequence[str], wanted: int
) -> list[pd.DataFrame]:
    """Predict films released before the scored blocks, so that intervals of the first of those can be measured.

    Args:
        spec: the model.
        inputs: the columns it may use.
        films: as in `walk_forward`.
        seed: of everything random.
        algorithms: candidates to predict with.
        wanted: films to calibrate on; as few blocks are walked as hold so many.

    Returns:
        A frame per block, as that of a `Walk` but of these candidates alone; none where too few films come before.
    """
    votes = films["vote_count"].fillna(0).to_numpy(dtype="float64")
    scored = votes >= MIN_VOTES_SCORED
    before = min(MOST_BLOCKS_BEFORE, math.ceil(wanted / max(1.0, scored.sum() / 10)))
    recipes = {name: recipe for name, recipe in candidates(spec).items() if name in algorithms}
    blocks = [one for one in rolling_origins(films["release_date"], scored, -before) if not one.is_scored]
    with one_thread():
        return [_step(spec, inputs, films, votes, recipes, seed, block)[2] for block in blocks]


def _step(
    spec: ModelSpec,
    inputs: Inputs,
    films: pd.DataFrame,
    votes: Floats,
    recipes: Mapping[str, Mapping[str, float]],
    seed: int,
    block: Block,
) -> tuple[Prepare, dict[str, Any], pd.DataFrame]:
    """Fit every component to the films before a block, and predict the block."""
    y, weights = films[spec.target].to_numpy(dtype="float64"), spec.weights(votes)
    needed = {part for recipe in recipes.values() for part in recipe}
    earlier, rows = films.iloc[block.train], films.iloc[block.test]
    prepare = Prepare.of(inputs)
    X, fitted = prepare.fit_transform(earlier), {}
    for name, component in components(spec, inputs, len(films), seed).items():
        if name in needed:
            fitted[name] = component.fit(X, y[block.train], None if weights is None else weights[block.train])
    parts = {name: component.predict(prepare.transform(rows)) for name, component in fitted.items()}
    columns: dict[str, Any] = {
        "position": block.test,
        "tmdb_id": rows["tmdb_id"].to_numpy(),
        "release_date": rows["release_date"].to_numpy(),
        "block": block.name,
        "is_scored_block": block.is_scored,
        "is_scored": votes[block.test] >= MIN_VOTES_SCORED,
        "votes": votes[block.test],
        "actual": y[block.test],
        **{name: spec.clip(mixed(parts, recipe)) for name, recipe in recipes.items()},
    }
    return prepare, fitted, pd.DataFrame(columns)


def mixed(parts: Mapping[str, Floats], recipe: Mapping[str, float]) -> Floats:
    """A candidate's predictions from its components'."""
    return np.asarray(np.average([parts[name] for name in recipe], axis=0, weights=list(recipe.values())))


def importance(
    spec: ModelSpec, inputs: Inputs, films: pd.DataFrame, walk: Walk, algorithm: str, seed: int
) -> dict[str, float]:
    """How much worse a candidate predicts later films when a feature's values are shuffled among them.

    Args:
        spec: the model.
        inputs: the columns it may use.
        films: as in `walk_forward`.
        walk: what it returned.
        algorithm: the candidate.
        seed: of the shuffling.

    Returns:
        Increase of the MAE by feature, the largest first; on the newest block, by models that have not seen it.
    """
    rows = films.iloc[walk.last.test]
    rows = rows[rows["vote_count"] >= MIN_VOTES_SCORED].tail(MOST_FILMS_SHUFFLED)
    random = np.random.default_rng(seed)
    shuffled = [rows]  # every feature's shuffled copy in one frame: one prediction instead of one per feature
    for name in inputs.names:
        shuffled.append(rows.assign(**{name: rows[name].to_numpy()[random.permutation(len(rows))]}))
    X, recipe = walk.prepare.transform(pd.concat(shuffled, ignore_index=True)), candidates(spec)[algorithm]
    predicted = spec.clip(mixed({name: walk.fitted[name].predict(X) for name in recipe}, recipe))
    errors = np.abs(predicted.reshape(len(shuffled), len(rows)) - rows[spec.target].to_numpy()).mean(axis=1)
    found = {name: float(error - errors[0]) for name, error in zip(inputs.names, errors[1:], strict=True)}
    return dict(sorted(found.items(), key=lambda item: -item[1]))


def metrics(spec: ModelSpec, actual: Floats, predicted: Floats, votes: Floats) -> dict[str, float]:
    """MAE, RMSE, R², Spearman's rank correlation, and log-scale MAE (popularity) or vote-weighted MAE (rating)."""
    error = predicted - actual
    spread = float(np.sum((actual - actual.mean()) ** 2))
    found = {
        "films": float(len(actual)),
        "mae": float(np.abs(error).mean()),
        "rmse": float(np.sqrt(np.mean(error**2))),
        "r2": 1.0 - float(np.sum(error**2)) / spread if spread > 0 else 0.0,
        "spearman": _spearman(actual, predicted),
    }
    if spec.is_popularity:
        found["log_mae"] = float(np.abs(np.log1p(predicted) - np.log1p(actual)).mean())
    elif votes.sum() > 0:
        found["vote_weighted_mae"] = float(np.average(np.abs(error), weights=votes))
    return found


def _spearman(a: Floats, b: Floats) -> float:
    x, y = rankdata(a), rankdata(b)
    x, y = x - x.mean(), y - y.mean()
    norm = float(np.sqrt((x**2).sum() * (y**2).sum()))
    return float((x * y).sum()) / norm if norm > 0 else 0.0


def score(spec: ModelSpec, forward: pd.DataFrame, algorithm: str) -> dict[str, Any]:
    """A candidate's metrics on its walk: `mean` over origins, each origin, and over films of any number of votes.

    Args:
        spec: the model.
        forward: the frame of a `Walk`.
        algorithm: the candidate.

    Returns:
        `origins` (metrics by block), `mean` (their mean over blocks) and `any_votes` (all films of the scored blocks).
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


def _columns(rows: pd.DataFrame, algorithm: str) -> tuple[Floats, Floats, Floats]:
    return rows["actual"].to_numpy(), rows[algorithm].to_numpy(), rows["votes"].to_numpy()
