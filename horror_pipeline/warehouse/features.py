"""SQL of `movie_features`, and of `training_state`: fingerprints of the data that the steps of training last used."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import ColumnElement, Connection, Numeric, Select, case, cast, delete, func, or_, select, true
from sqlalchemy.dialects.postgresql import insert

from horror_pipeline.warehouse.bulk import WriteCounts, copy_upsert
from horror_pipeline.warehouse.days import distinct_values
from horror_pipeline.warehouse.tables import movie_features, movie_snapshots, movies, other_movies, training_state

FEATURES_STEP = "features"
PREDICTIONS_STEP = "predictions"


def training_fingerprint(connection: Connection) -> str:
    """Return a digest of what models learn from.

    The digest changes when a film is added, observed, read again, or gone, and when a day of history is stored. The
    query reads `movies`, `other_movies` and the newest day of history once, without texts, so it can run every hour.
    """
    day, popularity = movie_snapshots.c.snapshot_date, movie_snapshots.c.popularity
    days = distinct_values(connection, day)
    newest_day = select(func.sum(cast(popularity, Numeric))).where(day == (days[-1] if days else None))
    row = connection.execute(
        select(
            func.count(),
            func.count(movies.c.gone_at),
            func.max(movies.c.observed_at),
            func.max(movies.c.details_fetched_at),
            func.max(movies.c.first_seen_at),
            select(func.count()).select_from(other_movies).scalar_subquery(),
            # Every sweep rewrites all of `other_movies`: changes show in these values, but not in `observed_at`.
            select(func.sum(cast(other_movies.c.popularity, Numeric))).scalar_subquery(),
            select(func.sum(other_movies.c.vote_count)).scalar_subquery(),
            newest_day.scalar_subquery(),
        )
    ).one()
    return "|".join("" if value is None else str(value) for value in (*row, len(days)))


def state(connection: Connection, step: str) -> str | None:
    """Return the fingerprint of the data that a step last processed; None if it never ran."""
    return connection.execute(select(training_state.c.fingerprint).where(training_state.c.step == step)).scalar()


def set_state(connection: Connection, step: str, fingerprint: str, now: dt.datetime) -> None:
    """Record that a step has processed the data of this fingerprint."""
    values = {"fingerprint": fingerprint, "completed_at": now}
    statement = insert(training_state).values(step=step, **values)
    connection.execute(statement.on_conflict_do_update(index_elements=["step"], set_=values))


_SOURCE_COLUMNS = (
    *("tmdb_id", "title", "original_title", "original_language", "release_date", "runtime_minutes", "genres"),
    *("directors", "collection_id", "popularity", "vote_average", "vote_count", "observed_at"),
)


def films_to_describe(since: dt.date | None) -> Select[Any]:
    """Select what features are computed from: a row for each film that still exists, in the order of ids.

    Args:
        since: the first day of the present scale of popularity; earlier values are not used as
            `prerelease_popularity`. None if the scale has never changed.
    """
    columns = [movies.c[name] for name in _SOURCE_COLUMNS]
    return select(*columns, _prerelease_popularity(since)).where(movies.c.gone_at.is_(None)).order_by(movies.c.tmdb_id)


def _prerelease_popularity(since: dt.date | None) -> ColumnElement[float]:
    """Select the last popularity before a film's release; for a film without a release date, the newest popularity."""
    day, first = movie_snapshots.c.snapshot_date, select(func.min(movie_snapshots.c.snapshot_date)).scalar_subquery()
    last = select(movie_snapshots.c.popularity).where(movie_snapshots.c.tmdb_id == movies.c.tmdb_id)
    last = last.where(or_(movies.c.release_date.is_(None), day < movies.c.release_date))
    last = last.where(day >= since if since else true()).order_by(day.desc()).limit(1)
    # Most films were released before history began, so there is nothing to look up for them.
    is_out_before = movies.c.release_date <= first
    return case((is_out_before, None), else_=last.scalar_subquery()).label("prerelease_popularity")


def replace_features(connection: Connection, rows: Iterable[Mapping[str, Any]], as_of: dt.datetime) -> WriteCounts:
    """Upsert the features of all films as of a moment; delete those of films that are gone or not among the rows."""
    written = copy_upsert(connection, movie_features, ({**row, "as_of": as_of} for row in rows))
    exists = select(movies.c.tmdb_id).where(movies.c.tmdb_id == movie_features.c.tmdb_id, movies.c.gone_at.is_(None))
    connection.execute(delete(movie_features).where((movie_features.c.as_of != as_of) | ~exists.exists()))
    return written


def described_films() -> Select[Any]:
    """Select all features and targets, in the order of ids."""
    return select(*movie_features.columns).order_by(movie_features.c.tmdb_id)
