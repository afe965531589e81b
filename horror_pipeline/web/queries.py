"""Every SQL statement of the web process: bounded reads of indexed columns.

What belongs here: functions from a connection and validated values to plain rows.
What does not: HTTP, caching, and any statement that writes.

Each statement reads by an index about as many rows as it returns. The two that cannot are read once and kept by their
callers: the keys of a batch of predictions (`batch_keys`) and a day's outcome scores (`outcome_scores`).
"""

# ruff: noqa: S608  # what is put into statements here are this module's own lists of columns

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, TextClause, bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.types import BigInteger

Row = Mapping[str, Any]

FEW_HITS = 100
TREND_DAYS = 30
TOP_SHARE = 0.99
VERSIONS_PER_MODEL = 10

MOVIE_COLUMNS = "tmdb_id, title, original_title, release_date, popularity, vote_average, vote_count, poster_path"

MATCHES_TITLE = """
    to_tsvector('simple'::regconfig, (title || ' '::text) || COALESCE(original_title, ''::text))
    @@ to_tsquery('simple'::regconfig, :query)"""

FORECAST_COLUMNS = """
    p.predicted_at, p.stage, p.predicted_popularity, p.popularity_lower, p.popularity_upper,
    p.predicted_vote_average, p.vote_average_lower, p.vote_average_upper,
    p.actual_popularity, p.actual_vote_average, p.actual_vote_count"""

SOME_PREDICTIONS = text(
    f"SELECT p.tmdb_id, m.title, m.release_date, m.genres, m.poster_path, {FORECAST_COLUMNS}, "
    "p.popularity_model_version, p.vote_average_model_version "
    "FROM model_predictions p JOIN movies m USING (tmdb_id) "
    "WHERE p.predicted_at = :predicted_at AND p.tmdb_id = ANY(:ids)"
).bindparams(bindparam("ids", type_=ARRAY(BigInteger)))
"""Made once: what SQLAlchemy compiles from it is kept with it."""


def _rows(connection: Connection, statement: str | TextClause, **values: Any) -> list[dict[str, Any]]:
    clause = text(statement) if isinstance(statement, str) else statement
    return [dict(row) for row in connection.execute(clause, values).mappings()]


def _one(connection: Connection, statement: str, **values: Any) -> dict[str, Any] | None:
    rows = _rows(connection, statement, **values)
    return rows[0] if rows else None


# -- the state of the database -----------------------------------------------------------------------------------------


def schema_version(connection: Connection) -> str | None:
    """The revision the database was migrated to; None: never migrated."""
    if connection.execute(text("SELECT to_regclass('schema_version')")).scalar() is None:
        return None
    version = connection.execute(text("SELECT version_num FROM schema_version")).scalar()
    return None if version is None else str(version)


def newest_data_at(connection: Connection) -> datetime | None:
    """When films were last observed; None: no film yet."""
    newest: datetime | None = connection.execute(text("SELECT max(observed_at) FROM movies")).scalar()
    return newest


def newest_snapshot_date(connection: Connection) -> date | None:
    """Day of the newest popularity snapshot; None: none yet."""
    newest: date | None = connection.execute(text("SELECT max(snapshot_date) FROM movie_snapshots")).scalar()
    return newest


def newest_batch(connection: Connection) -> datetime | None:
    """When the newest predictions were made; None: none yet."""
    newest: datetime | None = connection.execute(text("SELECT max(predicted_at) FROM model_predictions")).scalar()
    return newest


def data_source(connection: Connection) -> Row | None:
    """`is_demo` and `api_url` of the data; None: nothing collected yet."""
    return _one(connection, "SELECT is_demo, api_url FROM data_source LIMIT 1")


def movie_count(connection: Connection) -> int:
    """Films known, from the planner's statistics: counting rows would read them all. Exact while there are few."""
    estimate = connection.execute(text("SELECT reltuples::bigint FROM pg_class WHERE oid = 'movies'::regclass"))
    known = int(estimate.scalar() or 0)
    if known > 1_000:
        return known
    return int(connection.execute(text("SELECT count(*) FROM (SELECT 1 FROM movies LIMIT 2000) few")).scalar() or 0)


# -- films -------------------------------------------------------------------------------------------------------------


def most_popular(connection: Connection, *, limit: int) -> list[dict[str, Any]]:
    """The most popular films TMDB still has, by the popularity last observed."""
    return _rows(
        connection,
        f"SELECT {MOVIE_COLUMNS} FROM movies WHERE popularity IS NOT NULL AND gone_at IS NULL "
        "ORDER BY popularity DESC LIMIT :limit",
        limit=limit,
    )


def recent_snapshots(connection: Connection, ids: Sequence[int], *, until: date, days: int) -> list[dict[str, Any]]:
    """Popularity and percentile of a few films over the days up to `until`, newest first per film."""
    return _rows(
        connection,
        text(
            "SELECT tmdb_id, snapshot_date, popularity, popularity_percentile FROM movie_snapshots "
            "WHERE tmdb_id = ANY(:ids) AND snapshot_date > :after AND snapshot_date <= :until "
            "ORDER BY tmdb_id, snapshot_date DESC"
        ).bindparams(bindparam("ids", type_=ARRAY(BigInteger))),
        ids=list(ids),
        after=until - timedelta(days=days),
        until=until,
    )


def search(connection: Connection, *, words: Sequence[str], limit: int) -> list[dict[str, Any]]:
    """Films whose title or original title has a word beginning with each of `words`, most popular first.

    Few films match: the index on titles finds them all. Many match: then a short walk down the index on popularity
    meets enough of them. Postgres cannot tell which, as it has no statistics for beginnings of words.
    """
    query = prefix_query(words)
    hits = _rows(
        connection,
        f"SELECT {MOVIE_COLUMNS} FROM movies WHERE {MATCHES_TITLE} AND gone_at IS NULL LIMIT :most",
        query=query,
        most=FEW_HITS,
    )
    if len(hits) < FEW_HITS:
        return sorted(hits, key=lambda row: -(row["popularity"] or 0.0))[:limit]
    return _rows(
        connection,
        f"SELECT {MOVIE_COLUMNS} FROM movies WHERE {MATCHES_TITLE} AND popularity IS NOT NULL AND gone_at IS NULL "
        "ORDER BY popularity DESC LIMIT :limit",
        query=query,
        limit=limit,
    )


def prefix_query(words: Sequence[str]) -> str:
    """A full-text query for words that begin like these; nothing in a word is taken as an operator."""
    quoted = (word.replace("\\", "\\\\").replace("'", "''") for word in words)
    return " & ".join(f"'{word}':*" for word in quoted)


def movie(connection: Connection, tmdb_id: int) -> Row | None:
    """One film in full; None: unknown."""
    return _one(
        connection,
        f"SELECT {MOVIE_COLUMNS}, imdb_id, original_language, overview, tagline, status, runtime_minutes, genres, "
        "directors, cast_names[1:8] AS cast_names, collection_name, observed_at, gone_at, "
        "is_high_rated, high_rated_probability, cluster_name "
        "FROM movies LEFT JOIN rating_class USING (tmdb_id) LEFT JOIN movie_clusters USING (tmdb_id) "
        "WHERE tmdb_id = :tmdb_id",
        tmdb_id=tmdb_id,
    )


def movie_history(connection: Connection, tmdb_id: int, *, since: date) -> list[dict[str, Any]]:
    """A film's snapshots since a day, oldest first."""
    return _rows(
        connection,
        "SELECT snapshot_date, popularity, popularity_percentile, vote_count, vote_average FROM movie_snapshots "
        "WHERE tmdb_id = :tmdb_id AND snapshot_date >= :since ORDER BY snapshot_date",
        tmdb_id=tmdb_id,
        since=since,
    )


def movie_predictions(connection: Connection, tmdb_id: int, *, since: date, until: date) -> list[dict[str, Any]]:
    """The last prediction of each day, oldest first: one index probe per day, however many batches a day has."""
    return _rows(
        connection,
        f"""
        SELECT {FORECAST_COLUMNS}
        FROM generate_series(CAST(:since AS timestamp), CAST(:until AS timestamp), interval '1 day') AS day
        CROSS JOIN LATERAL (
            SELECT * FROM model_predictions
            WHERE tmdb_id = :tmdb_id
              AND predicted_at >= day AT TIME ZONE 'UTC' AND predicted_at < (day + interval '1 day') AT TIME ZONE 'UTC'
            ORDER BY predicted_at DESC LIMIT 1
        ) AS p
        ORDER BY p.predicted_at""",
        tmdb_id=tmdb_id,
        since=since,
        until=until,
    )


# -- predictions -------------------------------------------------------------------------------------------------------


def batch_keys(connection: Connection) -> list[tuple[Any, ...]]:
    """What a page of the newest batch is chosen by, for every film in it, in order of id.

    Returns:
        tuples of predicted_at, tmdb_id, stage, release_date, predicted_popularity, predicted_vote_average,
        popularity_gap, rating_gap, actual_popularity, actual_vote_average, actual_vote_count.
    """
    statement = text(
        "SELECT predicted_at, tmdb_id, stage, release_date, predicted_popularity, predicted_vote_average, "
        "popularity_gap, rating_gap, actual_popularity, actual_vote_average, actual_vote_count "
        "FROM latest_predictions ORDER BY tmdb_id"
    )
    return [tuple(row) for row in connection.execute(statement)]


def predictions(connection: Connection, ids: Sequence[int], *, predicted_at: datetime) -> dict[int, dict[str, Any]]:
    """A batch's predictions for a few films, by id, with what a reader wants to know of each film."""
    rows = _rows(connection, SOME_PREDICTIONS, ids=list(ids), predicted_at=predicted_at)
    return {row["tmdb_id"]: row for row in rows}


# -- models and outcomes -----------------------------------------------------------------------------------------------


def champions(connection: Connection) -> list[dict[str, Any]]:
    """The versions that predict, without their artefacts."""
    return _rows(
        connection,
        "SELECT model_name, model_version, algorithm, trained_at, training_rows, is_champion, metrics, "
        "baseline_metrics, importance FROM model_versions WHERE is_champion ORDER BY model_name",
    )


def versions(connection: Connection, model_names: Sequence[str]) -> list[dict[str, Any]]:
    """The newest versions of each named model, newest first."""
    return _rows(
        connection,
        """
        SELECT v.model_name, v.model_version, v.algorithm, v.trained_at, v.training_rows, v.is_champion, v.metrics,
               v.baseline_metrics
        FROM unnest(CAST(:names AS text[])) AS name
        CROSS JOIN LATERAL (
            SELECT * FROM model_versions WHERE model_name = name ORDER BY trained_at DESC LIMIT :limit
        ) AS v
        ORDER BY v.trained_at DESC, v.model_name""",
        names=list(model_names),
        limit=VERSIONS_PER_MODEL,
    )


def outcome_dates(connection: Connection, *, days: int) -> list[date]:
    """The days that have outcomes, among the `days` up to the newest, oldest first: one index probe per day."""
    rows = connection.execute(
        text(
            """
            SELECT CAST(day AS date)
            FROM (SELECT max(outcome_date) AS newest FROM prediction_outcomes) AS o
            CROSS JOIN LATERAL generate_series(o.newest - (:days - 1), o.newest, interval '1 day') AS day
            CROSS JOIN LATERAL (
                SELECT max(outcome_date) AS found FROM prediction_outcomes WHERE outcome_date <= CAST(day AS date)
            ) AS until
            WHERE until.found = CAST(day AS date)
            ORDER BY day"""
        ),
        {"days": days},
    )
    return [row[0] for row in rows]


def outcome_scores(connection: Connection, outcome_date: date) -> list[dict[str, Any]]:
    """How one day's outcomes scored, by horizon and stage: sums, so that days can be added up."""
    return _rows(
        connection,
        """
        SELECT horizon, stage,
               count(popularity_error) AS popularity_count,
               sum(abs(popularity_error)) AS popularity_absolute_error,
               sum(popularity_error) AS popularity_error,
               count(*) FILTER (WHERE is_popularity_in_interval) AS popularity_held,
               count(is_popularity_in_interval) AS popularity_intervals,
               count(vote_average_error) AS vote_average_count,
               sum(abs(vote_average_error)) AS vote_average_absolute_error,
               sum(vote_average_error) AS vote_average_error,
               count(*) FILTER (WHERE is_vote_average_in_interval) AS vote_average_held,
               count(is_vote_average_in_interval) AS vote_average_intervals
        FROM prediction_outcomes WHERE outcome_date = :outcome_date
        GROUP BY horizon, stage ORDER BY horizon, stage""",
        outcome_date=outcome_date,
    )
