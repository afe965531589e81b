"""The SQL of the films, predictions and models that the endpoints show.

Each statement uses an index, so that it reads about as many rows as it returns.
"""

# ruff: noqa: S608  # only this module's own column lists are put into statements

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, text

from horror_pipeline.web import wording
from horror_pipeline.web.database import read_rows

Row = Mapping[str, Any]

FEW_HITS = 100
TREND_DAYS = 30
RUN_DAYS = 180
TOP_PERCENTILE = 0.99
VERSIONS_PER_MODEL = 10

MOVIE_COLUMNS = "tmdb_id, title, original_title, release_date, popularity, vote_average, vote_count, poster_path"

MATCHES_TITLE = """
    to_tsvector('simple'::regconfig, (title || ' '::text) || COALESCE(original_title, ''::text))
    @@ to_tsquery('simple'::regconfig, :query)"""

PREDICTION_COLUMNS = """
    p.predicted_at, p.stage, p.predicted_popularity, p.popularity_lower, p.popularity_upper,
    p.predicted_vote_average, p.vote_average_lower, p.vote_average_upper,
    p.top_1_percent_probability, p.rating_7_probability,
    p.actual_popularity, p.actual_vote_average, p.actual_vote_count"""

SOME_PREDICTIONS = text(
    f"SELECT p.tmdb_id, m.title, m.release_date, m.genres, m.poster_path, {PREDICTION_COLUMNS}, "
    "p.popularity_model_version, p.vote_average_model_version "
    "FROM model_predictions p JOIN movies m USING (tmdb_id) "
    "WHERE p.predicted_at = :predicted_at AND p.tmdb_id = ANY(CAST(:ids AS bigint[]))"
)
"""A constant, so that SQLAlchemy compiles it only once."""

POPULARITY_PARTS = text(
    "SELECT tmdb_id, base, parts FROM prediction_explanations "
    "WHERE target = 'popularity' AND horizon_days = 0 AND tmdb_id = ANY(CAST(:ids AS bigint[]))"
)


def _one(connection: Connection, statement: str, **values: Any) -> dict[str, Any] | None:
    rows = read_rows(connection, statement, **values)
    return rows[0] if rows else None


def schema_version(connection: Connection) -> str | None:
    """Return the revision the database was migrated to; None if it never was."""
    if connection.execute(text("SELECT to_regclass('schema_version')")).scalar() is None:
        return None
    version = connection.execute(text("SELECT version_num FROM schema_version")).scalar()
    return None if version is None else str(version)


def newest_data_at(connection: Connection) -> datetime | None:
    """Return when films were last observed; None if there is no film yet."""
    newest: datetime | None = connection.execute(text("SELECT max(observed_at) FROM movies")).scalar()
    return newest


def newest_snapshot_date(connection: Connection) -> date | None:
    """Return the day of the newest popularity snapshot; None if there is none yet."""
    newest: date | None = connection.execute(text("SELECT max(snapshot_date) FROM movie_snapshots")).scalar()
    return newest


def newest_batch(connection: Connection) -> datetime | None:
    """Return when the newest predictions were made; None if there are none yet."""
    newest: datetime | None = connection.execute(text("SELECT max(predicted_at) FROM model_predictions")).scalar()
    return newest


def data_source(connection: Connection) -> Row | None:
    """Return `is_demo` and `api_url` of the data; None if nothing has been collected yet."""
    return _one(connection, "SELECT is_demo, api_url FROM data_source LIMIT 1")


def movie_count(connection: Connection) -> int:
    """Return the number of films: exact while there are few, else estimated from the planner's statistics."""
    estimate = connection.execute(text("SELECT reltuples::bigint FROM pg_class WHERE oid = 'movies'::regclass"))
    known = int(estimate.scalar() or 0)
    if known > 1_000:
        return known
    return int(connection.execute(text("SELECT count(*) FROM (SELECT 1 FROM movies LIMIT 2000) few")).scalar() or 0)


def most_popular(connection: Connection, *, limit: int) -> list[dict[str, Any]]:
    """Return the films on TMDB with the highest popularity when last observed."""
    return read_rows(
        connection,
        f"SELECT {MOVIE_COLUMNS} FROM movies WHERE popularity IS NOT NULL AND gone_at IS NULL "
        "ORDER BY popularity DESC LIMIT :limit",
        limit=limit,
    )


def trends(connection: Connection, ids: Sequence[int], *, newest_day: date) -> dict[int, dict[str, Any]]:
    """Return for each film since when it has been popular, its popularity a week ago, and that of the last 30 days."""
    rows = read_rows(
        connection,
        "SELECT tmdb_id, snapshot_date, popularity, popularity_percentile FROM movie_snapshots "
        "WHERE tmdb_id = ANY(CAST(:ids AS bigint[])) AND snapshot_date > :after AND snapshot_date <= :until "
        "ORDER BY snapshot_date DESC",
        ids=list(ids),
        after=newest_day - timedelta(days=RUN_DAYS),
        until=newest_day,
    )
    days: dict[int, dict[date, Row]] = {tmdb_id: {} for tmdb_id in ids}
    for row in rows:
        days[row["tmdb_id"]][row["snapshot_date"]] = row
    return {tmdb_id: _trend(days[tmdb_id], newest_day) for tmdb_id in ids}


def _trend(days: dict[date, Row], newest_day: date) -> dict[str, Any]:
    """Describe one film's snapshots, given newest first."""
    since = None
    for day, row in days.items():  # a day that was never collected does not end a run
        if row["popularity_percentile"] < TOP_PERCENTILE:
            break
        since = day
    popularity = {day: row["popularity"] for day, row in days.items()}
    return {
        "popular_since": since,
        "is_popular_since_earlier": since is not None and since == min(days),
        "popularity_week_ago": popularity.get(newest_day - timedelta(days=7)),
        "popularity_by_day": [
            popularity.get(newest_day - timedelta(days=back)) for back in reversed(range(TREND_DAYS))
        ],
    }


def search(connection: Connection, *, words: Sequence[str], limit: int) -> list[dict[str, Any]]:
    """Return the films whose title or original title has a word beginning with each of `words`, most popular first.

    If few films match, the index on titles finds them all. If many match, reading the index on popularity from the top
    soon finds enough. Postgres cannot choose between the two, as it has no statistics on beginnings of words.
    """
    query = prefix_query(words)
    hits = read_rows(
        connection,
        f"SELECT {MOVIE_COLUMNS} FROM movies WHERE {MATCHES_TITLE} AND gone_at IS NULL LIMIT :most",
        query=query,
        most=FEW_HITS,
    )
    if len(hits) < FEW_HITS:
        return sorted(hits, key=lambda row: -(row["popularity"] or 0.0))[:limit]
    return read_rows(
        connection,
        f"SELECT {MOVIE_COLUMNS} FROM movies WHERE {MATCHES_TITLE} AND popularity IS NOT NULL AND gone_at IS NULL "
        "ORDER BY popularity DESC LIMIT :limit",
        query=query,
        limit=limit,
    )


def prefix_query(words: Sequence[str]) -> str:
    """Build a full-text query for words with these beginnings; no character in `words` acts as an operator."""
    quoted = (word.replace("\\", "\\\\").replace("'", "''") for word in words)
    return " & ".join(f"'{word}':*" for word in quoted)


def movie(connection: Connection, tmdb_id: int) -> Row | None:
    """Return one film in full; None if it is unknown."""
    return _one(
        connection,
        f"SELECT {MOVIE_COLUMNS}, imdb_id, original_language, overview, tagline, status, runtime_minutes, genres, "
        "directors, cast_names[1:8] AS cast_names, collection_name, releases, watch_options, observed_at, gone_at, "
        "is_high_rated, high_rated_probability, cluster_name "
        "FROM movies LEFT JOIN rating_class USING (tmdb_id) LEFT JOIN movie_clusters USING (tmdb_id) "
        "WHERE tmdb_id = :tmdb_id",
        tmdb_id=tmdb_id,
    )


def other_ids(connection: Connection, tmdb_id: int) -> list[dict[str, Any]]:
    """Return `tmdb_id` and `gone_at` of the other ids that TMDB has or had for a film, found by its `imdb_id`."""
    return read_rows(
        connection,
        "SELECT other.tmdb_id, other.gone_at FROM movies AS asked JOIN movies AS other USING (imdb_id) "
        "WHERE asked.tmdb_id = :tmdb_id AND other.tmdb_id <> asked.tmdb_id ORDER BY other.tmdb_id",
        tmdb_id=tmdb_id,
    )


def movie_history(
    connection: Connection, tmdb_id: int, *, since: date, earlier_ids: Sequence[int] = ()
) -> list[dict[str, Any]]:
    """Return a film's snapshots since a day, oldest first.

    Args:
        connection: to read with.
        tmdb_id: the film.
        since: the first day.
        earlier_ids: ids the film had before; their snapshots fill the days for which `tmdb_id` has none.
    """
    return read_rows(
        connection,
        "SELECT DISTINCT ON (snapshot_date) snapshot_date, popularity, popularity_percentile, vote_count, vote_average "
        "FROM movie_snapshots WHERE tmdb_id = ANY(CAST(:ids AS bigint[])) AND snapshot_date >= :since "
        "ORDER BY snapshot_date, tmdb_id <> :tmdb_id, tmdb_id",
        ids=[tmdb_id, *earlier_ids],
        tmdb_id=tmdb_id,
        since=since,
    )


def movie_predictions(connection: Connection, tmdb_id: int, *, since: date, until: date) -> list[dict[str, Any]]:
    """Return a film's last prediction of each day, oldest first, with one index probe per day."""
    return read_rows(
        connection,
        f"""
        SELECT {PREDICTION_COLUMNS}
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


def explanations(connection: Connection, tmdb_id: int) -> list[dict[str, Any]]:
    """Return what moved a film's newest expectations and forecasts, expectations first."""
    return read_rows(
        connection,
        "SELECT target, horizon_days, explained_at, model_version, base, parts FROM prediction_explanations "
        "WHERE tmdb_id = :tmdb_id ORDER BY horizon_days, target",
        tmdb_id=tmdb_id,
    )


def predictions(connection: Connection, ids: Sequence[int], *, predicted_at: datetime) -> dict[int, dict[str, Any]]:
    """Return a batch's predictions for a few films by id, with title, release date, genres and poster."""
    rows = read_rows(connection, SOME_PREDICTIONS, ids=list(ids), predicted_at=predicted_at)
    return {row["tmdb_id"]: row for row in rows}


def popularity_reasons(connection: Connection, ids: Sequence[int]) -> dict[int, str]:
    """Return, by film id, what moved each film's newest expected popularity most, in words."""
    rows = read_rows(connection, POPULARITY_PARTS, ids=list(ids))
    return {row["tmdb_id"]: wording.popularity_reasons(row["base"], row["parts"]) for row in rows}


def champions(connection: Connection) -> list[dict[str, Any]]:
    """Return the champions, which are the model versions that predict now, without their artifacts."""
    return read_rows(
        connection,
        "SELECT model_name, model_version, algorithm, trained_at, training_rows, is_champion, metrics, "
        "baseline_metrics, importance FROM model_versions WHERE is_champion ORDER BY model_name",
    )


def versions(connection: Connection, model_names: Sequence[str]) -> list[dict[str, Any]]:
    """Return the newest versions of each named model, newest first."""
    return read_rows(
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
