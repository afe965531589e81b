"""Rows for the web tests: each helper fills in what a test does not care about."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

from sqlalchemy import Engine, insert, text

from horror_pipeline.warehouse import tables
from horror_pipeline.warehouse.partitions import ensure_months

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
TODAY = NOW.date()

METRICS = {
    "mean": {"mae": 0.605, "rmse": 0.8, "r2": 0.37, "spearman": 0.6},
    "origins": {"o0": {"films": 300.0, "mae": 0.59, "r2": 0.4}, "o1": {"films": 310.0, "mae": 0.62, "r2": 0.3}},
    "any_votes": {"films": 900.0, "mae": 0.71},
    "interval": {
        "coverage": 0.79,
        "width": 1.9,
        "origins": {"o0": {"coverage": 0.8, "width": 1.9}, "o1": {"coverage": 0.78, "width": 1.9}},
    },
}
"""As the models' training stores them; test_models.py holds them to that."""


def add_source(engine: Engine, *, is_demo: bool = True, api_url: str = "http://127.0.0.1:1/3") -> None:
    with engine.begin() as connection:
        connection.execute(insert(tables.data_source), {"is_demo": is_demo, "api_url": api_url, "first_used_at": NOW})


def add_film(engine: Engine, tmdb_id: int, title: str = "", **values: Any) -> None:
    row = {
        "tmdb_id": tmdb_id,
        "title": title or f"Film {tmdb_id}",
        "genres": ["Horror"],
        "popularity": 1.0,
        "vote_count": 100,
        "vote_average": 6.0,
        "is_adult": False,
        "release_date": date(2024, 10, 31),
        "first_seen_at": NOW,
        "observed_at": NOW - timedelta(hours=1),
        "details_fetched_at": NOW,
    } | values
    with engine.begin() as connection:
        connection.execute(insert(tables.movies), row)


def add_snapshots(engine: Engine, tmdb_id: int, popularity: dict[date, float], *, percentile: float = 0.5) -> None:
    for month in {day.replace(day=1) for day in popularity}:
        _add_partition(engine, "movie_snapshots", month)
    with engine.begin() as connection:
        rows = [
            {
                "tmdb_id": tmdb_id,
                "snapshot_date": day,
                "popularity": value,
                "popularity_percentile": percentile,
                "source": "export",
            }
            for day, value in popularity.items()
        ]
        connection.execute(insert(tables.movie_snapshots), rows)


def add_prediction(engine: Engine, tmdb_id: int, predicted_at: datetime = NOW, **values: Any) -> None:
    row = {
        "predicted_at": predicted_at,
        "tmdb_id": tmdb_id,
        "stage": "after_release",
        "predicted_popularity": 2.0,
        "popularity_lower": 1.0,
        "popularity_upper": 5.0,
        "predicted_vote_average": 6.5,
        "vote_average_lower": 5.5,
        "vote_average_upper": 7.5,
        "actual_popularity": 1.0,
        "actual_vote_average": 6.0,
        "actual_vote_count": 100,
        "popularity_model_version": "p1",
        "vote_average_model_version": "r1",
    } | values
    with engine.begin() as connection:
        connection.execute(insert(tables.model_predictions), row)


def add_model(engine: Engine, model_name: str = "rating_after_release", **values: Any) -> None:
    row = {
        "model_version": f"{model_name}-1",
        "model_name": model_name,
        "algorithm": "blend",
        "trained_at": NOW - timedelta(hours=1),
        "training_rows": 1_234,
        "data_fingerprint": "f",
        "metrics": METRICS,
        "baseline_metrics": {"constant": {"mean": {"mae": 0.8}}, "linear": {"mean": {"mae": 0.7}}},
        "importance": {"log_vote_count": 0.6},
        "library_versions": {},
        "is_champion": True,
        "artifact": b"x" * 2_000,
    } | values
    with engine.begin() as connection:
        connection.execute(insert(tables.model_versions), row)


def add_groups(
    engine: Engine, tmdb_id: int, *, is_high_rated: bool | None = True, cluster_name: str = "october"
) -> None:
    with engine.begin() as connection:
        connection.execute(
            insert(tables.rating_class),
            {
                "tmdb_id": tmdb_id,
                "predicted_at": NOW,
                "is_high_rated": is_high_rated,
                "predicted_is_high_rated": True,
                "high_rated_probability": 0.81,
                "model_version": "c1",
            },
        )
        connection.execute(
            insert(tables.movie_clusters),
            {"tmdb_id": tmdb_id, "clustered_at": NOW, "cluster": 1, "cluster_name": cluster_name, "distance": 1.0},
        )


def add_similar(engine: Engine, tmdb_id: int, *similar: int) -> None:
    """Add films that a film resembles, each less than the one before."""
    with engine.begin() as connection:
        for rank, similar_tmdb_id in enumerate(similar, start=1):
            row = {"tmdb_id": tmdb_id, "rank": rank, "similar_tmdb_id": similar_tmdb_id, "score": 1 - rank / 10}
            connection.execute(insert(tables.similar_movies), row)


def add_forecast(engine: Engine, tmdb_id: int, horizon_days: int = 7, **values: Any) -> None:
    row: dict[str, Any] = {
        "made_on": TODAY,
        "tmdb_id": tmdb_id,
        "horizon_days": horizon_days,
        "origin_popularity": 2.0,
        "forecast_popularity": 3.0,
        "popularity_lower": 1.5,
        "popularity_upper": 4.5,
        "is_backtest": False,
        "model_version": "f1",
    } | values
    row["target_date"] = row["made_on"] + timedelta(days=horizon_days)
    _add_partition(engine, "popularity_forecasts", row["made_on"])
    _insert(engine, "popularity_forecasts", row)


def add_explanation(engine: Engine, tmdb_id: int, target: str = "popularity", horizon_days: int = 0) -> None:
    row = {"tmdb_id": tmdb_id, "target": target, "horizon_days": horizon_days, "explained_at": NOW, "base": 1.0}
    parts = [["out in October", 0.166], ["in French", -0.0943], ["everything else", 0.0001]]
    row |= {"model_version": "v1", "parts": parts}
    with engine.begin() as connection:
        connection.execute(insert(tables.prediction_explanations), row)


def add_mover(engine: Engine, tmdb_id: int, span_days: int = 7, **values: Any) -> None:
    row: dict[str, Any] = {
        "snapshot_date": TODAY,
        "tmdb_id": tmdb_id,
        "span_days": span_days,
        "popularity": 9.0,
        "popularity_before": 3.0,
        "popularity_usual": 3.2,
        "popularity_rank": 4,
        "popularity_rank_before": 20,
        "change_percentile": 0.9972,
        "is_own_record": True,
        "breakout_score": 0.995,
        "is_breakout": True,
    } | values
    _add_partition(engine, "movie_movers", row["snapshot_date"])
    _insert(engine, "movie_movers", row)


def add_forecast_score(
    engine: Engine, horizon_days: int, target_date: date, *, mae: float = 0.7, is_backtest: bool = False
) -> None:
    """Add the score of 1,000 forecasts, where no change is off by 1 and 79 % of the intervals held."""
    row = {
        "made_on": target_date - timedelta(days=horizon_days),
        "horizon_days": horizon_days,
        "target_date": target_date,
        "is_backtest": is_backtest,
        "films": 1_000,
        "total_error": mae * 1_000,
        "total_error_no_change": 1_000.0,
        "films_in_interval": 790,
    }
    _insert(engine, "forecast_scores", row)


def _add_partition(engine: Engine, table: str, day: date) -> None:
    month = day.replace(day=1)
    following = (month + timedelta(days=32)).replace(day=1)
    with engine.begin() as connection:
        connection.execute(
            text(
                f"CREATE TABLE IF NOT EXISTS {table}_{month:%Y_%m} PARTITION OF {table} "
                f"FOR VALUES FROM ('{month}') TO ('{following}')"
            )
        )


def _insert(engine: Engine, table: str, row: dict[str, Any]) -> None:
    with engine.begin() as connection:
        names = ", ".join(row)
        connection.execute(text(f"INSERT INTO {table} ({names}) VALUES ({', '.join(f':{name}' for name in row)})"), row)


def add_outcome(engine: Engine, tmdb_id: int, outcome_date: date = TODAY, **values: Any) -> None:
    row = {
        "predicted_at": NOW - timedelta(days=1),
        "tmdb_id": tmdb_id,
        "outcome_date": outcome_date,
        "horizon": "1d",
        "stage": "after_release",
        "popularity_error": 0.5,
        "is_popularity_in_interval": True,
        "vote_average_error": None,
        "is_vote_average_in_interval": None,
    } | values
    with engine.begin() as connection:
        ensure_months(connection, tables.prediction_outcomes, [outcome_date])
        connection.execute(insert(tables.prediction_outcomes), row)
