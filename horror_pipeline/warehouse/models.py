"""SQL of learning: features, model versions, predictions, classes, clusters, and what is new to learn from.

What belongs here: reading and writing those tables. What does not: computing what is in them; what became of
predictions is in `outcomes`.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

from sqlalchemy import Connection, Engine, delete, func, select, text, update
from sqlalchemy.dialects.postgresql import insert

from horror_pipeline.warehouse.bulk import WriteCounts, copy_rows, copy_upsert
from horror_pipeline.warehouse.tables import (
    model_predictions,
    model_versions,
    movie_clusters,
    movie_features,
    movies,
    rating_class,
    training_state,
)

FEATURES_STEP, PREDICTIONS_STEP = "features", "predictions"

KEEP_ALL_BATCHES_DAYS = 7
"""Days for which every batch of predictions is kept; older days keep their last."""

Order = Literal["popularity", "undervalued", "overvalued", "rating"]

# -- what is new -------------------------------------------------------------------------------------------------------


def training_fingerprint(connection: Connection) -> str:
    """What models learn from, in short: it changes when a film is added, observed anew, re-read, or gone.

    Cheap enough to be asked every hour: one pass over `movies` that reads no text.
    """
    row = connection.execute(
        select(
            func.count(),
            func.count(movies.c.gone_at),
            func.max(movies.c.observed_at),
            func.max(movies.c.details_fetched_at),
            func.max(movies.c.first_seen_at),
        )
    ).one()
    return "|".join("" if value is None else str(value) for value in row)


def last_trained_fingerprint(connection: Connection) -> str | None:
    """The fingerprint the newest predictions were made at; None before the first."""
    return state(connection, PREDICTIONS_STEP)


def state(connection: Connection, step: str) -> str | None:
    """The fingerprint a step last ended with; None before the first time."""
    found = connection.execute(select(training_state.c.fingerprint).where(training_state.c.step == step)).scalar()
    return None if found is None else str(found)


def set_state(connection: Connection, step: str, fingerprint: str, now: dt.datetime) -> None:
    """Note that a step has ended with this fingerprint."""
    values = {"fingerprint": fingerprint, "completed_at": now}
    statement = insert(training_state).values(step=step, **values)
    connection.execute(statement.on_conflict_do_update(index_elements=["step"], set_=values))


# -- features ----------------------------------------------------------------------------------------------------------

_LEARNT_FROM = (
    "tmdb_id",
    "title",
    "original_title",
    "original_language",
    "release_date",
    "runtime_minutes",
    "genres",
    "directors",
    "collection_id",
    "popularity",
    "vote_average",
    "vote_count",
    "observed_at",
)


def films_to_describe(connection: Connection) -> tuple[list[str], list[Sequence[Any]]]:
    """What features are made from: column names, and a row per film that still exists."""
    columns = [movies.c[name] for name in _LEARNT_FROM]
    rows = connection.execute(select(*columns).where(movies.c.gone_at.is_(None)).order_by(movies.c.tmdb_id))
    return list(_LEARNT_FROM), [tuple(row) for row in rows]


def replace_features(connection: Connection, rows: Iterable[Mapping[str, Any]], as_of: dt.datetime) -> WriteCounts:
    """Write the features of every film as of a moment; films that are gone, or not among the rows, lose theirs."""
    written = copy_upsert(connection, movie_features, ({**row, "as_of": as_of} for row in rows))
    exists = select(movies.c.tmdb_id).where(movies.c.tmdb_id == movie_features.c.tmdb_id, movies.c.gone_at.is_(None))
    connection.execute(delete(movie_features).where((movie_features.c.as_of != as_of) | ~exists.exists()))
    return written


def read_features(connection: Connection) -> tuple[list[str], list[Sequence[Any]]]:
    """All features and targets: column names, and a row per film, in order of its id."""
    rows = connection.execute(select(movie_features).order_by(movie_features.c.tmdb_id))
    return [str(column.name) for column in movie_features.columns], [tuple(row) for row in rows]


# -- models ------------------------------------------------------------------------------------------------------------


def champion(connection: Connection, model_name: str) -> dict[str, Any] | None:
    """The version of a model that predicts now, with its artefact; None before the first."""
    statement = select(model_versions).where(model_versions.c.model_name == model_name, model_versions.c.is_champion)
    found = connection.execute(statement).mappings().one_or_none()
    return None if found is None else dict(found)


def promote(connection: Connection, row: Mapping[str, Any]) -> None:
    """Make a version the champion of its model; the one before keeps its metrics and loses its artefact.

    Args:
        connection: in a transaction; the caller commits.
        row: columns of `model_versions` but `is_champion`.
    """
    theirs = model_versions.c.model_name == row["model_name"]
    connection.execute(update(model_versions).where(theirs, model_versions.c.is_champion).values(RETIRED))
    copy_upsert(connection, model_versions, [{**row, "is_champion": True}])


RETIRED = {"is_champion": False, "artifact": None}


def version_history(connection: Connection, model_name: str, limit: int = 60) -> list[dict[str, Any]]:
    """The newest versions of a model, oldest first: when fitted, how good, and the baselines."""
    columns = (model_versions.c[name] for name in ("trained_at", "algorithm", "metrics", "baseline_metrics"))
    newest = select(*columns).where(model_versions.c.model_name == model_name)
    rows = connection.execute(newest.order_by(model_versions.c.trained_at.desc()).limit(limit)).mappings()
    return [dict(row) for row in rows][::-1]


def vacuum_versions(engine: Engine) -> None:
    """Give the room of retired artefacts back, so that the next one takes it instead of more."""
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM model_versions"))


# -- predictions -------------------------------------------------------------------------------------------------------


def write_batch(connection: Connection, rows: Iterable[Mapping[str, Any]]) -> int:
    """Append one batch of predictions.

    Returns:
        Rows written.
    """
    return copy_rows(connection, model_predictions, rows)


def thin_batches(connection: Connection, now: dt.datetime, retention_days: int) -> int:
    """Delete batches beyond retention, and all but the last of each UTC day before the newest seven days.

    Returns:
        Rows deleted.
    """
    dense = start_of(now.astimezone(dt.UTC).date() - dt.timedelta(days=KEEP_ALL_BATCHES_DAYS))
    oldest, kept_days, surplus = now - dt.timedelta(days=retention_days), set(), []
    for batch in batches(connection, before=dense):
        day = batch.astimezone(dt.UTC).date()
        if batch < oldest or day in kept_days:
            surplus.append(batch)
        kept_days.add(day)
    gone = delete(model_predictions).where(model_predictions.c.predicted_at.in_(surplus))
    return int(connection.execute(gone).rowcount) if surplus else 0


def batches(connection: Connection, before: dt.datetime, since: dt.datetime | None = None) -> list[dt.datetime]:
    """When batches were predicted, newest first. It steps from one to the next in the index, whatever their size."""
    statement = text("""
        WITH RECURSIVE batch (predicted_at) AS (
            SELECT max(predicted_at) FROM model_predictions WHERE predicted_at < :before
            UNION ALL
            SELECT (SELECT max(earlier.predicted_at) FROM model_predictions AS earlier
                    WHERE earlier.predicted_at < batch.predicted_at)
            FROM batch WHERE batch.predicted_at IS NOT NULL AND (CAST(:since AS timestamptz) IS NULL
                                                                 OR batch.predicted_at >= :since)
        )
        SELECT predicted_at FROM batch WHERE predicted_at IS NOT NULL
           AND (CAST(:since AS timestamptz) IS NULL OR predicted_at >= :since)
        ORDER BY predicted_at DESC
    """)
    return list(connection.execute(statement, {"before": before, "since": since}).scalars())


def start_of(day: dt.date) -> dt.datetime:
    """The day's first moment, UTC."""
    return dt.datetime.combine(day, dt.time(), dt.UTC)


_ORDERS: dict[str, str] = {
    "popularity": "predicted_popularity DESC NULLS LAST",
    "rating": "predicted_vote_average DESC NULLS LAST",
    "undervalued": "rating_gap ASC NULLS LAST",
    "overvalued": "rating_gap DESC NULLS LAST",
}


def top_predictions(
    connection: Connection, stage: str | None = None, order: Order = "popularity", limit: int = 20
) -> list[dict[str, Any]]:
    """The first rows of `latest_predictions` in an order.

    Args:
        connection: where to read.
        stage: `before_release` or `after_release`; None: both.
        order: `popularity` and `rating` by what is predicted, `undervalued` and `overvalued` by how far the actual
            rating lies below or above the predicted one, in widths of the interval.
        limit: rows at most.
    """
    gaps_only = "AND rating_gap IS NOT NULL" if order in ("undervalued", "overvalued") else ""
    statement = text(f"""
        SELECT * FROM latest_predictions WHERE (CAST(:stage AS text) IS NULL OR stage = :stage) {gaps_only}
        ORDER BY {_ORDERS[order]}, tmdb_id LIMIT :limit
    """)  # noqa: S608  # one of four constants
    return [dict(row) for row in connection.execute(statement, {"stage": stage, "limit": limit}).mappings()]


# -- classes and clusters ----------------------------------------------------------------------------------------------


def replace_classes(
    connection: Connection, rows: Iterable[Mapping[str, Any]], predicted_at: dt.datetime
) -> WriteCounts:
    """Write every film's rating class; films that are not among the rows lose theirs."""
    written = copy_upsert(connection, rating_class, ({**row, "predicted_at": predicted_at} for row in rows))
    connection.execute(delete(rating_class).where(rating_class.c.predicted_at != predicted_at))
    return written


def replace_clusters(
    connection: Connection, rows: Iterable[Mapping[str, Any]], clustered_at: dt.datetime
) -> WriteCounts:
    """Write every film's group; films that are not among the rows lose theirs."""
    written = copy_upsert(connection, movie_clusters, ({**row, "clustered_at": clustered_at} for row in rows))
    connection.execute(delete(movie_clusters).where(movie_clusters.c.clustered_at != clustered_at))
    return written
