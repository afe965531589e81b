"""Movers: how popularity and rank changed over some days, and which rises are unusual for similar films.

A change is compared with earlier changes of similar films. Films are similar if they had the same level of popularity
when the change began, and are in the same stage of life. Two effects that concern many films at once are removed first.
One is the day's common movement, which is the median change of similar films. The other is a burst of the kind that
crawlers cause: if changes spread more than on a usual day, they are scaled down to the usual spread. Changes are
differences of log(1 + popularity), because ratios of values below 1 say little.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from horror_pipeline.domain import BREAKOUT_PERCENTILE, MOVER_SPANS_DAYS, POPULARITY_DECIMALS
from horror_pipeline.modeling.forecasting.features import dates_of
from horror_pipeline.modeling.forecasting.history import NOTABLE, History
from horror_pipeline.modeling.specs import Floats

LEVEL_SHARES = (0.4, 0.6, 0.75, 0.85, 0.93)
"""The quantiles of popularity at the start of the span that separate the levels."""

STAGE_DAYS = (-30, 0, 30, 180)
"""The days since release that separate the stages of a film's life."""

STAGES = len(STAGE_DAYS) + 2
"""Number of stages. The last one holds the films without a release date."""

FEWEST_FILMS = 30
"""Number of similar films with a known change on the same day that is needed to estimate the common movement."""

FEWEST_CHANGES = 1_000
"""Fewest earlier changes of similar films to compare with. If there are fewer, films of all stages count as similar."""

FEWEST_OWN_CHANGES = 14
"""Number of a film's earlier changes that is needed to say whether a change is its largest."""

CROWD_PERCENTILE = 0.95
"""On a usual day, 5 % of the changes are above this percentile. If more are, the percentiles are lowered."""

TOP_SHARE = 0.1
"""A breakout must be among this share of the day's most popular films."""


@dataclass(frozen=True)
class _Changes:
    """All changes over one span: matrices of days x films.

    Attributes:
        span_days: days from the start of a change to its end.
        usual: the median change of similar films.
        excess: the change less the usual one, scaled down on days of a burst; NaN where unknown.
        kind: number of the level and stage that similar films share; −1 where `excess` is unknown.
    """

    span_days: int
    usual: Floats
    excess: Floats
    kind: NDArray[np.int8]


def movers(
    history: History, release_dates: pd.Series, days: Sequence[dt.date]
) -> Iterator[tuple[dt.date, pd.DataFrame]]:
    """Find the movers of each day from what was known on that day.

    Args:
        history: the observations of all days.
        release_dates: the release date by `tmdb_id`; missing where unknown.
        days: the days, in order; a day before the newest change of TMDB's scale has no movers.

    Yields:
        The day, and a frame with the columns of `movie_movers` except `snapshot_date`. It has a row for each film and
        span with a popularity of 1 or more at the start or the end of the span.
    """
    known = history.until(days[-1]).trusted()
    popularity = known.popularity.T.astype("float64").round(POPULARITY_DECIMALS)
    stage = _stages(known, release_dates)
    spans = [_measure(popularity, stage, span) for span in MOVER_SPANS_DAYS]
    ranks = pd.DataFrame(popularity).rank(axis=1, method="min", ascending=False).to_numpy()
    for day in days:
        at = max(0, int((np.datetime64(day, "D") - known.days[0]).astype("int64")))
        yield day, pd.concat([_movers_of(known.tmdb_ids, popularity, ranks, changes, at) for changes in spans])


def _stages(known: History, release_dates: pd.Series) -> NDArray[np.int8]:
    """Number each film's stage on each day."""
    released = dates_of(known, release_dates)
    age = (known.days[:, None] - released).astype("float64")
    age[:, np.isnat(released)] = np.nan
    return np.where(np.isnan(age), STAGES - 1, np.digitize(age, STAGE_DAYS)).astype("int8")


def _measure(popularity: Floats, stage: NDArray[np.int8], span_days: int) -> _Changes:
    change = np.full_like(popularity, np.nan)
    change[span_days:] = np.log1p(popularity[span_days:]) - np.log1p(popularity[:-span_days])
    usual, kind = np.full_like(change, np.nan), np.full(change.shape, -1, dtype="int8")
    spread = np.full((len(change), (len(LEVEL_SHARES) + 1) * STAGES), np.nan)
    for at in range(span_days, len(change)):
        for level, films in enumerate(_levels(change[at], popularity[at - span_days])):
            if len(films) < FEWEST_FILMS:
                continue
            of_level = _typical(change[at, films])
            for its_stage in np.unique(stage[at, films]):
                similar = films[stage[at, films] == its_stage]
                number = level * STAGES + its_stage
                kind[at, similar] = number
                usual[at, similar], spread[at, number] = (
                    of_level if len(similar) < FEWEST_FILMS else _typical(change[at, similar])
                )
    stretch = np.maximum(1, spread / pd.DataFrame(spread).expanding().median().to_numpy())
    excess = np.where(kind < 0, np.nan, change - usual) / np.take_along_axis(stretch, np.maximum(kind, 0), axis=1)
    return _Changes(span_days, usual, excess, kind)


def _typical(change: Floats) -> tuple[float, float]:
    """Return the median of changes, and how far their `CROWD_PERCENTILE` is above it."""
    usual, large = np.quantile(change, (0.5, CROWD_PERCENTILE))
    return float(usual), float(large - usual)


def _levels(change: Floats, start: Floats) -> list[NDArray[np.intp]]:
    """Divide the films with a known change into levels by their popularity when the change began."""
    films = np.flatnonzero(~np.isnan(change))
    films = films[np.argsort(start[films], kind="stable")]
    return np.split(films, (np.asarray(LEVEL_SHARES) * len(films)).astype("int64"))


def _movers_of(
    tmdb_ids: NDArray[np.int64], popularity: Floats, ranks: Floats, changes: _Changes, at: int
) -> pd.DataFrame:
    start = max(0, at - changes.span_days)
    is_mover = (np.fmax(popularity[at], popularity[start]) >= NOTABLE) & (changes.kind[at] >= 0)
    films = np.flatnonzero(is_mover)
    percentile = _percentiles(changes, at)
    is_record = _own_records(changes, at)[films]
    now, before = popularity[at, films], popularity[start, films]
    is_top = ranks[at, films] <= TOP_SHARE * np.sum(~np.isnan(popularity[at]))
    is_candidate = is_top & (is_record != 0) & (now > before)
    score = np.where(is_candidate, _in_a_crowd(percentile, changes.kind[at])[films], np.nan)
    return pd.DataFrame(
        {
            "tmdb_id": tmdb_ids[films],
            "span_days": changes.span_days,
            "popularity": now,
            "popularity_before": before,
            "popularity_usual": np.expm1(np.maximum(0, np.log1p(before) + changes.usual[at, films])).round(
                POPULARITY_DECIMALS
            ),
            "popularity_rank": ranks[at, films].astype("int64"),
            "popularity_rank_before": ranks[start, films].astype("int64"),
            "change_percentile": percentile[films],
            "is_own_record": pd.Series(is_record == 1, dtype="boolean").mask(is_record < 0),
            "breakout_score": score,
            "is_breakout": score >= BREAKOUT_PERCENTILE,
        }
    )


def _percentiles(changes: _Changes, at: int) -> Floats:
    """Return, for each film, which share of earlier changes of similar films was smaller; NaN if there are too few."""
    percentile = np.full(changes.excess.shape[1], np.nan)
    earlier, earlier_kind = changes.excess[:at].ravel(), changes.kind[:at].ravel()
    for kind in np.unique(changes.kind[at][changes.kind[at] >= 0]):
        similar = earlier[earlier_kind == kind]
        if len(similar) < FEWEST_CHANGES:
            similar = earlier[(earlier_kind >= 0) & (earlier_kind // STAGES == kind // STAGES)]
        if len(similar) >= FEWEST_CHANGES:
            films = np.flatnonzero(changes.kind[at] == kind)
            percentile[films] = np.searchsorted(np.sort(similar), changes.excess[at, films]) / (len(similar) + 1)
    return percentile


def _in_a_crowd(percentile: Floats, kind: NDArray[np.int8]) -> Floats:
    """Lower the percentiles of a kind if more of its films than usual rise. If twice as many do, 0.99 becomes 0.98."""
    lowered = percentile.copy()
    for number in np.unique(kind[kind >= 0]):
        films = np.flatnonzero(kind == number)
        crowd = np.mean(percentile[films] >= CROWD_PERCENTILE) / (1 - CROWD_PERCENTILE)
        if len(films) >= FEWEST_FILMS and crowd > 1:
            lowered[films] = np.maximum(0, 1 - crowd * (1 - percentile[films]))
    return lowered


def _own_records(changes: _Changes, at: int) -> NDArray[np.int8]:
    """Return for each film 1 if its change is larger than all its earlier ones, 0 if not, and −1 if these are too few.

    Only changes that had ended when the change began count as earlier.
    """
    own = changes.excess[: max(0, at - changes.span_days + 1)]
    known = np.sum(~np.isnan(own), axis=0)
    largest = np.max(np.nan_to_num(own, nan=-np.inf), axis=0, initial=-np.inf)
    return np.where(known < FEWEST_OWN_CHANGES, -1, changes.excess[at] > largest).astype("int8")
