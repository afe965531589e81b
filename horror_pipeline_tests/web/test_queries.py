"""No statement reads more rows than it returns by more than a small factor, however full the tables are."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, event, text

from horror_pipeline.warehouse import tables
from horror_pipeline.warehouse.partitions import ensure_months
from horror_pipeline.web import compared_films, outcome_scores, prediction_index, queries, similar_queries
from horror_pipeline_tests.web import rows
from horror_pipeline_tests.web.rows import NOW, TODAY

FILMS, BATCHES = 6_000, 8


@pytest.fixture(scope="module")
def full(module_engine: Engine) -> Iterator[Connection]:
    engine = module_engine
    rows.add_source(engine)
    rows.add_snapshots(engine, 10_000_000, {TODAY - timedelta(days=back): 1.0 for back in range(30)})
    with engine.begin() as connection:
        ensure_months(connection, tables.prediction_outcomes, (TODAY - timedelta(days=back) for back in range(10)))
        for statement in (
            "INSERT INTO movies (tmdb_id, title, genres, popularity, is_adult, first_seen_at, observed_at, "
            f"details_fetched_at) SELECT n, 'The Night ' || md5(n::text), '{{Horror}}', n, false, '{NOW}', '{NOW}', "
            f"'{NOW}' FROM generate_series(1, {FILMS}) n",
            "INSERT INTO model_predictions (predicted_at, tmdb_id, stage, predicted_popularity, actual_vote_count) "
            f"SELECT timestamptz '{NOW}' - b * interval '1 hour', n, 'after_release', n, 100 "
            f"FROM generate_series(0, {BATCHES - 1}) b, generate_series(1, {FILMS}) n",
            "INSERT INTO movie_snapshots (tmdb_id, snapshot_date, popularity, popularity_percentile, source) "
            f"SELECT n, date '{TODAY}' - d, n, 0.5, 'export' FROM generate_series(1, {FILMS}) n, "
            "generate_series(0, 5) d",
            "INSERT INTO prediction_outcomes (predicted_at, tmdb_id, outcome_date, horizon, stage) "
            f"SELECT '{NOW}', n, date '{TODAY}' - d, '1d', 'after_release' FROM generate_series(1, {FILMS}) n, "
            "generate_series(0, 9) d",
            "INSERT INTO rating_class (tmdb_id, predicted_at, predicted_is_high_rated, high_rated_probability, "
            f"model_version) SELECT n, '{NOW}', true, 0.5, 'c1' FROM generate_series(1, {FILMS}) n",
            "INSERT INTO similar_movies (tmdb_id, rank, similar_tmdb_id, score) "
            f"SELECT n, r, 1 + (n + 300 * r) % {FILMS}, 0.5 FROM generate_series(1, {FILMS}) n, "
            "generate_series(1, 20) r",
            "INSERT INTO movie_clusters (tmdb_id, clustered_at, cluster, cluster_name, distance) "
            f"SELECT n, '{NOW}', 1, 'october', 1 FROM generate_series(1, {FILMS}) n",
        ):
            connection.execute(text(statement))
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM ANALYZE"))
        yield connection


READS: dict[str, Callable[[Connection], Any]] = {
    "newest_data_at": queries.newest_data_at,
    "newest_snapshot_date": queries.newest_snapshot_date,
    "newest_batch": queries.newest_batch,
    "most_popular": lambda connection: queries.most_popular(connection, limit=10),
    "trends": lambda connection: queries.trends(connection, range(1, 11), newest_day=TODAY),
    "search for a common word": lambda connection: queries.search(connection, words=["the"], limit=10),
    "search for a rare word": lambda connection: queries.search(connection, words=["c4ca4238"], limit=10),
    "search for nothing there": lambda connection: queries.search(connection, words=["zzz"], limit=10),
    "movie": lambda connection: queries.movie(connection, 7),
    "compared films": lambda connection: compared_films.read(connection, [1, 2, 3, 4, 5]),
    "other_ids": lambda connection: queries.other_ids(connection, 7),
    "similar_movies": lambda connection: similar_queries.similar_movies(connection, 7),
    "movie_history": lambda connection: queries.movie_history(connection, 7, since=TODAY - timedelta(days=30)),
    "movie_predictions": lambda connection: queries.movie_predictions(
        connection, 7, since=TODAY - timedelta(days=30), until=TODAY
    ),
    "predictions": lambda connection: queries.predictions(connection, range(100, 120), predicted_at=NOW),
    "outcome dates": lambda connection: connection.execute(outcome_scores.DATES, {"days": 30}),
}


def test_reads_are_bounded_by_what_they_return(full: Connection) -> None:
    read = {name: rows_read(full, work) for name, work in READS.items()}

    # At most 300 rows returned (ten films' month of snapshots), each with its film or its day.
    assert {name: count for name, count in read.items() if count > 400} == {}


def test_the_keys_of_a_batch_are_read_without_the_batches_before(full: Connection) -> None:
    assert rows_read(full, prediction_index.read_keys) <= 2 * FILMS + 10


def test_a_days_outcomes_are_read_without_the_other_days(full: Connection) -> None:
    assert rows_read(full, lambda connection: outcome_scores.sums_of_day(connection, TODAY)) <= FILMS


def rows_read(connection: Connection, work: Callable[[Connection], Any]) -> int:
    """Rows that scans of tables and indexes yielded or threw away, by Postgres' own count."""
    sent: list[tuple[str, Any]] = []

    def note(_: Any, __: Any, statement: str, parameters: Any, *___: Any) -> None:
        sent.append((statement, parameters))

    event.listen(connection, "before_cursor_execute", note)
    try:
        work(connection)
    finally:
        event.remove(connection, "before_cursor_execute", note)
    plans = [
        connection.exec_driver_sql(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}", parameters).scalar_one()
        for statement, parameters in sent
    ]
    return sum(_scanned(plan[0]["Plan"]) for plan in plans)


def _scanned(node: dict[str, Any]) -> int:
    own = 0
    if node["Node Type"] in ("Seq Scan", "Index Scan", "Index Only Scan", "Bitmap Heap Scan"):
        seen = (
            node["Actual Rows"] + node.get("Rows Removed by Filter", 0) + node.get("Rows Removed by Index Recheck", 0)
        )
        own = round(seen * node["Actual Loops"])
    return own + sum(_scanned(child) for child in node.get("Plans", []))
