"""Training: evaluate all candidates on later films, and fit the best one if it beats the baselines and the champion.

Candidates are compared, not fitted models, because a champion was fitted to the films that it would be scored on.
The champion's candidate is therefore fitted again before every test block, like any other, and scored on the same
films. If it is still the best, it is fitted to all films again when enough has changed (`RENEW_…`), because a model
that stays the same for months falls behind.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from horror_pipeline.domain import MIN_VOTES_SCORED, highest_credible
from horror_pipeline.modeling import backtest, intervals
from horror_pipeline.modeling.artifacts import Artifact, version_id
from horror_pipeline.modeling.candidates import BASELINES, CONSTANT, LINEAR, OWN, fit
from horror_pipeline.modeling.specs import Inputs, ModelSpec, Problem

MIN_FILMS = 60
"""Films with enough votes to be scored that are needed to train."""

ORDER_Z, GAIN_Z = 2.0, 1.0
"""A champion's rank correlation on later films must be `ORDER_Z` standard errors above 0, and its gain over the
constant `GAIN_Z` standard errors. Both tests together rule out chance."""

CHAMPION_MARGIN = 0.005
"""A candidate replaces the champion if its error is lower by this share. A smaller gain is noise of a few films."""

RENEW_FILMS_SHARE = 0.02
RENEW_DAYS = 7
RENEW_SHIFT = 0.05
RENEW_AGE_DAYS = 30
"""The champion is fitted again if `RENEW_FILMS_SHARE` of the films are new to it, if it is `RENEW_DAYS` old, if the
level of the target has moved by `RENEW_SHIFT`, or if the films' median age has moved by `RENEW_AGE_DAYS`."""

Outcome = Literal["promoted", "renewed", "kept", "unchanged", "skipped"]


@dataclass(frozen=True)
class Champion:
    """The version of a model that predicts at present.

    Args:
        model_version: its id.
        algorithm: the name of its candidate.
        trained_at: when it was trained.
        data_fingerprint: fingerprint of the films it was fitted to.
        metrics: as stored in `model_versions`.
        artifact: the fitted model; None if it cannot be used.
        refusal: why the fitted model cannot be used; None if it can.
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
    """A fitted version: the values of its row of `model_versions`, and its artifact, not yet serialized."""

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
    """The result of a training.

    Args:
        outcome: what happened to the champion.
        reason: the reason, in words.
        version: the new champion; None if the old one stays or there is none.
        forward: predictions of the calibration blocks, then of the scored blocks; None if nothing was fitted.
        best: the candidate that the decision is about.
        scores: metrics by candidate.
    """

    outcome: Outcome
    reason: str
    version: Version | None = None
    forward: pd.DataFrame | None = None
    best: str | None = None
    scores: dict[str, dict[str, Any]] | None = None


def training_films(spec: ModelSpec, films: pd.DataFrame) -> pd.DataFrame:
    """Select the films a model learns from: released, dated, with a vote, a known target and credible values.

    Args:
        spec: the model.
        films: rows of `movie_features`, with targets.

    Returns:
        Those films, sorted by release date and id.
    """
    usable = films["stage"].eq("after_release") & films["release_date"].notna() & films[spec.target].notna()
    usable &= films["vote_count"].fillna(0) > 0
    for name in ("popularity", "vote_count"):
        usable &= ~(films[name] > highest_credible(films[name].dropna()))
    return films[usable].sort_values(["release_date", "tmdb_id"], kind="stable").reset_index(drop=True)


def fingerprint(problem: Problem) -> str:
    """Compute a digest of the data that a training depends on."""
    names = ["tmdb_id", "release_date", *problem.inputs.names, problem.spec.target, "vote_count"]
    columns = pd.concat([problem.films, problem.others])[list(dict.fromkeys(names))]
    digest = hashlib.blake2b(json.dumps(list(columns.columns)).encode(), digest_size=16)
    for name in columns:
        column = columns[name]
        values = column.fillna("").astype("object") if name in problem.inputs.categories else column
        digest.update(pd.util.hash_pandas_object(values, index=False).to_numpy().tobytes())
    return digest.hexdigest()


def train(
    spec: ModelSpec, inputs: Inputs, films: pd.DataFrame, champion: Champion | None, now: dt.datetime, seed: int = 0
) -> Training:
    """Compare the candidates, and fit the best one if it improves on the champion.

    Films of other genres are used for training only if they reduce the error.

    Args:
        spec: the model.
        inputs: the columns it may use.
        films: rows of `movie_features`, with targets; films of genres that are not collected are only learned from.
        champion: the version that predicts at present.
        now: the time of the training.
        seed: seed of everything random.
    """
    known = training_films(spec, films)
    own = known[[*inputs.collected]].eq(1).any(axis=1) if inputs.collected else known["tmdb_id"].notna()
    films, others = (known[rows].reset_index(drop=True) for rows in (own, ~own))
    if len(others) < len(films):  # so few films add little, and evaluating them doubles the time
        others = others.head(0)
    problem = Problem(spec, inputs, films, seed, others)
    with threadpool_limits(limits=1):
        return _train(problem, champion, now)


def _train(problem: Problem, champion: Champion | None, now: dt.datetime) -> Training:
    spec = problem.spec
    if obstacle := _obstacle(problem):
        return Training("skipped", obstacle)
    data = fingerprint(problem)
    usable = champion if champion is not None and champion.artifact is not None else None
    if (
        usable
        and usable.data_fingerprint == data
        and version_id(spec.name, usable.algorithm, data, str(problem.seed)) == usable.model_version
    ):
        return Training("unchanged", f"the films are those that {usable.model_version} was fitted to")
    compared = compare(problem)
    if compared is None:
        return Training("skipped", "there are too few films before the newest ones to learn from")
    problem, walk, scores = compared
    outcome, algorithm, reason = _decide(problem, walk.frame, scores, usable, now)
    shown = (algorithm, *BASELINES)
    earlier = backtest.calibration(problem, shown, intervals.WINDOW)
    forward = pd.concat([*earlier, walk.frame], ignore_index=True)
    for name in shown:
        scores[name]["interval"] = intervals.coverage(spec, forward, name)
    if champion is not None and champion.refusal:
        reason = f"{champion.refusal}; {reason}"
    is_fitted = outcome in ("promoted", "renewed")
    version = _version(problem, walk, scores, algorithm, data) if is_fitted else None
    return Training(outcome, reason, version, forward, algorithm, scores)


def compare(problem: Problem, first: int = 0) -> tuple[Problem, backtest.Walk, dict[str, dict[str, Any]]] | None:
    """Evaluate all candidates, and evaluate them again without films of other genres if these do not reduce the error.

    Args:
        problem: the learning problem.
        first: number of the first block, as in `backtest.rolling_origins`.

    Returns:
        The problem, its walk, and the candidates' scores; None if there are too few films.
    """
    walk = backtest.walk_forward(problem, first=first)
    if walk is None:
        return None
    scores = backtest.scores(problem, walk)
    error = {name: judged(problem.spec, of_candidate) for name, of_candidate in scores.items()}
    if OWN in error and min(error.values()) > error[OWN] * (1 - CHAMPION_MARGIN):
        return compare(replace(problem, others=problem.others.head(0)), first)
    return problem, walk, scores


def _version(
    problem: Problem, walk: backtest.Walk, scores: dict[str, dict[str, Any]], algorithm: str, data_fingerprint: str
) -> Version:
    """Fit a candidate to all films, and describe the version."""
    spec, films = problem.spec, problem.films
    interval = intervals.calibrate_newest(spec, walk.frame, algorithm)
    return Version(
        model_version=version_id(spec.name, algorithm, data_fingerprint, str(problem.seed)),
        algorithm=algorithm,
        training_rows=problem.rows,
        data_fingerprint=data_fingerprint,
        metrics={
            **scores[algorithm],
            "target_level": _level(problem),
            "median_age_days": _median_age(films),
            "films_of_other_genres": len(problem.others),
        },
        baseline_metrics={name: scores[name] for name in BASELINES},
        importance=backtest.importance(problem, walk, algorithm),
        artifact=Artifact(
            estimator=fit(problem, algorithm),
            features=problem.inputs.names,
            interval=asdict(interval),
            training_ids=pd.concat([films, problem.others])["tmdb_id"].to_numpy(dtype="int64"),
        ),
    )


def _obstacle(problem: Problem) -> str | None:
    """Return, in words, why no model can be trained on the films; None if a model can be trained."""
    target, scored = problem.spec.target, problem.films[problem.votes >= MIN_VOTES_SCORED]
    if len(scored) < MIN_FILMS:
        return (
            f"{len(scored)} released films have {MIN_VOTES_SCORED} votes or more and a {target}; "
            f"{MIN_FILMS} are needed to learn from"
        )
    if scored[target].nunique() < 2:
        return f"every film has the same {target}: there is nothing to learn"
    if scored["release_date"].nunique() < 10:
        return "the films were released on fewer than ten days: there is no later film to score on"
    return None


def _level(problem: Problem) -> float:
    """Return the median of the target, on the log scale for popularity."""
    target = problem.target
    return float(np.median(np.log(np.maximum(target, 1e-6)) if problem.spec.is_popularity else target))


def _median_age(films: pd.DataFrame) -> float:
    """Return the films' median age in days, on the day for which their features were computed."""
    return float(np.nan_to_num(films["days_since_release"].median()))


def judged(spec: ModelSpec, scores: dict[str, Any]) -> float:
    """Return the mean error that candidates are compared by: see `ModelSpec.loss`."""
    return float(scores["mean"]["log_mae" if spec.is_popularity else "mae"])


def is_better_than_constant(spec: ModelSpec, forward: pd.DataFrame, algorithm: str) -> bool:
    """Test whether a candidate's rank correlation on later films is significant, and its errors below the constant's.

    The rank correlation has the stricter test, because a candidate can reduce its errors by predicting lower values
    for all films. Without any association, the rank correlation of n films has a variance of 1 / (n - 1); the blocks'
    z-scores are combined by Stouffer's method (1949). The differences in loss, paired by film, are tested as by Diebold
    and Mariano (1995).
    """
    rows = forward[forward["is_scored_block"] & forward["is_scored"]]
    actual = rows["actual"].to_numpy()
    gain = spec.loss(actual, rows[CONSTANT].to_numpy()) - spec.loss(actual, rows[algorithm].to_numpy())
    z = [
        backtest.spearman(block["actual"].to_numpy(), block[algorithm].to_numpy()) * np.sqrt(len(block) - 1)
        for _, block in rows.groupby("block")
    ]
    error = max(gain.std() / np.sqrt(len(gain)), 1e-12)
    return bool(gain.mean() / error > GAIN_Z and np.sum(z) / np.sqrt(len(z)) > ORDER_Z)


def _decide(
    problem: Problem,
    forward: pd.DataFrame,
    scores: dict[str, dict[str, Any]],
    champion: Champion | None,
    now: dt.datetime,
) -> tuple[Outcome, str, str]:
    """Return what happens to the champion, the candidate that this decision is about, and the reason in words."""
    spec, kind = problem.spec, "log error" if problem.spec.is_popularity else "MAE"
    error = {name: judged(spec, of_candidate) for name, of_candidate in scores.items()}
    best = min((name for name in error if name != CONSTANT), key=lambda name: error[name])
    if not is_better_than_constant(spec, forward, best):
        reason = (
            f"{best} ({kind} {error[best]:.3f}) does not beat the constant ({error[CONSTANT]:.3f}) by more than chance"
        )
        return "kept" if champion else "skipped", best, reason
    figures = f"{kind} {error[best]:.3f}, constant {error[CONSTANT]:.3f}, linear {error[LINEAR]:.3f}"
    if champion is None:
        return "promoted", best, f"{best} is the first champion: {figures}"
    current = champion.algorithm
    if current not in scores:
        return "promoted", best, f"{best} replaces {current}, which is no longer a candidate: {figures}"
    if error[best] < error[current] * (1 - CHAMPION_MARGIN):
        return "promoted", best, f"{best} beats {current} ({error[current]:.3f}) on the same films: {figures}"
    change = _change_since(champion, problem, now)
    if change is None or not is_better_than_constant(spec, forward, current):
        reason = f"no recipe beats {current} ({kind} {error[current]:.3f}) by {CHAMPION_MARGIN:.1%} on the same films"
        return "kept", current, reason
    return "renewed", current, f"{current} is still best and {change}: {figures}"


def _change_since(champion: Champion, problem: Problem, now: dt.datetime) -> str | None:
    """Say in words what has changed since the champion was fitted; None if it need not be fitted again."""
    assert champion.artifact is not None  # noqa: S101  # only usable champions are compared
    films = problem.films
    new = int((~films["tmdb_id"].isin(champion.artifact.training_ids)).sum())
    if bool(champion.metrics.get("films_of_other_genres")) == problem.others.empty:
        return "it learned from films of other genres, or now has to"
    if new >= RENEW_FILMS_SHARE * len(films):
        return f"{new} films are new to it"
    if now - champion.trained_at >= dt.timedelta(days=RENEW_DAYS):
        return f"it is {(now - champion.trained_at).days} days old"
    if abs(_level(problem) - float(champion.metrics["target_level"])) >= RENEW_SHIFT:
        return f"the level of {problem.spec.target} has moved"
    age = _median_age(films)
    moved = abs(age - float(champion.metrics.get("median_age_days", age)))
    return f"the films' ages have moved by {moved:.0f} days" if moved >= RENEW_AGE_DAYS else None
