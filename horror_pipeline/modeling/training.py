"""Training: candidates walk forward in time, the best is held against baseline and champion, and fitted if it wins.

What belongs here: the choice and its reasons. What does not: storing anything, Dagster, the clock.

Recipes are compared, not fitted models: a champion has seen the films it would be scored on. Its recipe is fitted anew
at every origin, like any other candidate's, and scored on the same films. A champion whose recipe is still the best is
fitted anew when enough has changed since (`RENEW_…`): a model frozen for months falls behind one that is not.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from horror_pipeline.modeling import backtest, intervals
from horror_pipeline.modeling.artifacts import Artifact
from horror_pipeline.modeling.candidates import BASELINES, CONSTANT, LINEAR, build, candidates
from horror_pipeline.modeling.preprocessing import Inputs
from horror_pipeline.modeling.specs import MIN_VOTES_SCORED, Floats, ModelSpec
from horror_pipeline.modeling.threads import one_thread
from horror_pipeline.modeling.versions import CODE_VERSION, library_versions

FEWEST_FILMS = 60
"""Films with votes enough to be scored, below which nothing is learnt."""

BASELINE_Z = 2.0
"""Standard errors by which a champion's absolute errors must be below the constant's: chance does not reach it."""

CHAMPION_MARGIN = 0.005
"""Share by which another recipe must beat the champion's: less is the noise of a few films."""

RENEW_FILMS_SHARE = 0.02
RENEW_DAYS = 7
RENEW_SHIFT = 0.05
RENEW_AGE_DAYS = 30
"""The champion's recipe is fitted anew when this share of films is new to it, after so many days, when the target's
level has moved by this share, or when the films' median age has moved by so many days."""

Outcome = Literal["promoted", "renewed", "kept", "unchanged", "skipped"]


@dataclass(frozen=True)
class Champion:
    """What is known of the version that predicts now.

    Args:
        model_version: its id.
        algorithm: its recipe.
        trained_at: when it was fitted.
        data_fingerprint: of the films it was fitted on.
        metrics: as stored in `model_versions`.
        artifact: the fitted model; None when it cannot be used.
        refusal: why it cannot be used.
    """

    model_version: str
    algorithm: str
    trained_at: dt.datetime
    data_fingerprint: str
    metrics: dict[str, Any]
    artifact: Artifact | None
    refusal: str | None = None


@dataclass(frozen=True)
class Version:
    """A fitted version, as a row of `model_versions`; `artifact` is still an object."""

    model_version: str
    algorithm: str
    training_rows: int
    data_fingerprint: str
    metrics: dict[str, Any]
    baseline_metrics: dict[str, Any]
    importance: dict[str, float]
    artifact: Artifact


@dataclass(frozen=True)
class Training:
    """How a training ended.

    Args:
        outcome: what happened to the champion.
        reason: why, in words.
        version: the new champion; None where the old one stays, or there is none.
        forward: the walk forward of all candidates, with earlier films that calibrate; None where nothing was fitted.
        best: the best candidate of the walk.
        scores: metrics by candidate.
    """

    outcome: Outcome
    reason: str
    version: Version | None = None
    forward: pd.DataFrame | None = None
    best: str | None = None
    scores: dict[str, dict[str, Any]] | None = None


def training_films(spec: ModelSpec, films: pd.DataFrame) -> pd.DataFrame:
    """The films a model learns from: released, with a date and the target; ratings need a vote.

    Args:
        spec: the model.
        films: rows of `movie_features`, with targets.

    Returns:
        Those films sorted by release date and id.
    """
    usable = films["stage"].eq("after_release") & films["release_date"].notna() & films[spec.target].notna()
    usable &= films["vote_count"].fillna(0) > 0
    return films[usable].sort_values(["release_date", "tmdb_id"], kind="stable").reset_index(drop=True)


def fingerprint(spec: ModelSpec, inputs: Inputs, films: pd.DataFrame) -> str:
    """A digest of everything a training depends on besides seed and code.

    Args:
        spec: the model.
        inputs: the columns it may use.
        films: what `training_films` returned.
    """
    columns = films[["tmdb_id", "release_date", *inputs.names, spec.target, "vote_count"]]
    columns = columns.loc[:, ~columns.columns.duplicated()]
    digest = hashlib.blake2b(json.dumps(list(columns.columns)).encode(), digest_size=16)
    for name in columns:
        column = columns[name]
        values = column.fillna("").astype("object") if name in inputs.categories else column
        digest.update(pd.util.hash_pandas_object(values, index=False).to_numpy().tobytes())
    return digest.hexdigest()


def version_id(spec: ModelSpec, algorithm: str, data_fingerprint: str, seed: int) -> str:
    """The id of a version: equal data, seed, code and libraries give an equal id."""
    parts = [spec.name, algorithm, data_fingerprint, str(seed), CODE_VERSION, json.dumps(library_versions())]
    return hashlib.blake2b("\n".join(parts).encode(), digest_size=8).hexdigest()


def train(
    spec: ModelSpec, inputs: Inputs, films: pd.DataFrame, champion: Champion | None, now: dt.datetime, seed: int = 0
) -> Training:
    """Choose, and fit if there is something better than what predicts now.

    Args:
        spec: the model.
        inputs: the columns it may use.
        films: rows of `movie_features`, with targets.
        champion: what predicts now.
        now: when this happens.
        seed: of everything random.
    """
    learnt = training_films(spec, films)
    with one_thread():
        return _train(spec, inputs, learnt, champion, now, seed)


def _train(
    spec: ModelSpec, inputs: Inputs, learnt: pd.DataFrame, champion: Champion | None, now: dt.datetime, seed: int
) -> Training:
    why_not = _too_little(spec, learnt)
    if why_not:
        return Training("skipped", why_not)
    data = fingerprint(spec, inputs, learnt)
    usable = champion if champion is not None and champion.artifact is not None else None
    if (
        usable
        and usable.data_fingerprint == data
        and version_id(spec, usable.algorithm, data, seed) == usable.model_version
    ):
        return Training("unchanged", f"the films are those {usable.model_version} was fitted on")
    walk = backtest.walk_forward(spec, inputs, learnt, seed)
    if walk is None:
        return Training("skipped", "there are too few films before the newest ones to learn from")
    scores = {name: backtest.score(spec, walk.frame, name) for name in candidates(spec)}
    decision = _decide(spec, walk.frame, scores, usable, learnt, now)
    shown = (decision.algorithm, *BASELINES)
    earlier = backtest.calibration(spec, inputs, learnt, seed, shown, intervals.WINDOW)
    forward = pd.concat([*earlier, walk.frame], ignore_index=True)
    for name in shown:
        scores[name]["interval"] = intervals.coverage(spec, forward, name)
    reason = decision.reason
    if champion is not None and champion.refusal:
        reason = f"{champion.refusal}; {reason}"
    version = None
    if decision.outcome in ("promoted", "renewed"):
        version = _fit(spec, inputs, learnt, walk, scores, decision.algorithm, data, seed)
    return Training(decision.outcome, reason, version, forward, decision.algorithm, scores)


def _fit(
    spec: ModelSpec,
    inputs: Inputs,
    learnt: pd.DataFrame,
    walk: backtest.Walk,
    scores: dict[str, dict[str, Any]],
    algorithm: str,
    data_fingerprint: str,
    seed: int,
) -> Version:
    """Fit a candidate on all films and put beside it what is known of it."""
    X, y = learnt[inputs.names], learnt[spec.target].to_numpy(dtype="float64")
    votes = learnt["vote_count"].to_numpy(dtype="float64")
    estimator = build(spec, inputs, algorithm, len(learnt), seed).fit(
        X, y, estimator__sample_weight=spec.weights(votes)
    )
    interval = intervals.latest(spec, walk.frame, algorithm)
    return Version(
        model_version=version_id(spec, algorithm, data_fingerprint, seed),
        algorithm=algorithm,
        training_rows=len(learnt),
        data_fingerprint=data_fingerprint,
        metrics={**scores[algorithm], "target_level": _level(spec, y), "median_age_days": _age(learnt)},
        baseline_metrics={name: scores[name] for name in BASELINES},
        importance=backtest.importance(spec, inputs, learnt, walk, algorithm, seed),
        artifact=Artifact(estimator, inputs.names, interval.to_dict(), learnt["tmdb_id"].to_numpy(dtype="int64")),
    )


def _too_little(spec: ModelSpec, learnt: pd.DataFrame) -> str | None:
    scored = learnt[learnt["vote_count"] >= MIN_VOTES_SCORED]
    if len(scored) < FEWEST_FILMS:
        return (
            f"{len(scored)} released films have {MIN_VOTES_SCORED} votes or more and a {spec.target}; "
            f"{FEWEST_FILMS} are needed to learn from"
        )
    if scored[spec.target].nunique() < 2:
        return f"every film has the same {spec.target}: there is nothing to learn"
    if scored["release_date"].nunique() < 10:
        return "the films were released on fewer than ten days: there is no later film to score on"
    return None


def _mae(scores: dict[str, Any]) -> float:
    return float(scores["mean"]["mae"])


def _level(spec: ModelSpec, y: Floats) -> float:
    """Where the target lies: the median, on the log scale for popularity."""
    return float(np.median(np.log(np.maximum(y, 1e-6)))) if spec.is_popularity else float(np.median(y))


def _age(learnt: pd.DataFrame) -> float:
    """The films' median age in days, at the moment they are described as of."""
    return float(np.nan_to_num(learnt["days_since_release"].median()))


def beats_constant(forward: pd.DataFrame, algorithm: str) -> bool:
    """Whether a candidate's absolute errors are below the constant's by more than chance would have it."""
    rows = forward[forward["is_scored_block"] & forward["is_scored"]]
    gain = (rows[CONSTANT] - rows["actual"]).abs() - (rows[algorithm] - rows["actual"]).abs()
    if len(gain) < 2 or gain.std() == 0:
        return bool(len(gain)) and bool(gain.mean() > 0)
    return bool(gain.mean() / (gain.std() / np.sqrt(len(gain))) > BASELINE_Z)


@dataclass(frozen=True)
class _Decision:
    outcome: Outcome
    algorithm: str
    reason: str


def _decide(
    spec: ModelSpec,
    forward: pd.DataFrame,
    scores: dict[str, dict[str, Any]],
    champion: Champion | None,
    learnt: pd.DataFrame,
    now: dt.datetime,
) -> _Decision:
    best = min((name for name in scores if name != CONSTANT), key=lambda name: _mae(scores[name]))
    mae, constant = _mae(scores[best]), _mae(scores[CONSTANT])
    if not beats_constant(forward, best):
        reason = f"{best} (MAE {mae:.3f}) is not better than the constant ({constant:.3f}) by more than chance"
        return _Decision("kept" if champion else "skipped", best, reason)
    against = f"MAE {mae:.3f}, constant {constant:.3f}, linear {_mae(scores[LINEAR]):.3f}"
    if champion is None:
        return _Decision("promoted", best, f"{best} is the first champion: {against}")
    if champion.algorithm not in scores:
        return _Decision(
            "promoted", best, f"{best} replaces {champion.algorithm}, which is no candidate now: {against}"
        )
    theirs = _mae(scores[champion.algorithm])
    if mae < theirs * (1 - CHAMPION_MARGIN):
        return _Decision(
            "promoted", best, f"{best} beats {champion.algorithm} ({theirs:.3f}) on the same films: {against}"
        )
    behind = _behind(spec, champion, learnt, now)
    if behind is None or not beats_constant(forward, champion.algorithm):
        reason = f"no recipe beats {champion.algorithm} (MAE {theirs:.3f}) by {CHAMPION_MARGIN:.1%} on the same films"
        return _Decision("kept", champion.algorithm, reason)
    return _Decision("renewed", champion.algorithm, f"{champion.algorithm} is still best and {behind}: {against}")


def _behind(spec: ModelSpec, champion: Champion, learnt: pd.DataFrame, now: dt.datetime) -> str | None:
    """What the champion has missed since it was fitted; None while it is little."""
    assert champion.artifact is not None  # noqa: S101  # only usable champions are asked
    new = int((~learnt["tmdb_id"].isin(champion.artifact.training_ids)).sum())
    if new >= RENEW_FILMS_SHARE * len(learnt):
        return f"{new} films are new to it"
    if now - champion.trained_at >= dt.timedelta(days=RENEW_DAYS):
        return f"it is {(now - champion.trained_at).days} days old"
    shift = abs(_level(spec, learnt[spec.target].to_numpy(dtype="float64")) - float(champion.metrics["target_level"]))
    if shift >= RENEW_SHIFT:
        return f"the level of {spec.target} has moved"
    moved = abs(_age(learnt) - float(champion.metrics.get("median_age_days", _age(learnt))))
    return f"the films' ages have moved by {moved:.0f} days" if moved >= RENEW_AGE_DAYS else None
