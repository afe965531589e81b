"""SQL of `prediction_outcomes`: stored predictions compared with the snapshots of later days.

Each row also holds the film's value at the time of the prediction, which is the forecast of the baseline "no change",
so that every error can be compared with that of the baseline.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

from sqlalchemy import Connection, delete, text

from horror_pipeline.warehouse.days import credible_popularity, start_of
from horror_pipeline.warehouse.partitions import ensure_months
from horror_pipeline.warehouse.predictions import batches
from horror_pipeline.warehouse.tables import prediction_outcomes

HORIZON_DAYS = {1: "1d", 7: "7d", 30: "30d"}
"""Names of the horizons of released films, by the days between a prediction and the snapshot it is compared with."""

DAYS_SINCE_RELEASE = {0: "release", 7: "release_7d", 30: "release_30d"}
"""Names of the horizons of predictions made before release, by the days between the release and the snapshot."""

_OF_HORIZON = """
    SELECT prediction.*, CAST(:horizon AS text) AS horizon FROM model_predictions AS prediction
    WHERE prediction.predicted_at = :predicted_at AND prediction.stage = 'after_release'
"""

_SINCE_RELEASE = """
    SELECT DISTINCT ON (tmdb_id) prediction.*, CAST(:horizon AS text) AS horizon
    FROM model_predictions AS prediction JOIN movies USING (tmdb_id)
    WHERE movies.release_date = :released AND prediction.stage = 'before_release' AND prediction.predicted_at < :start
    ORDER BY tmdb_id, prediction.predicted_at DESC
"""

_COLUMNS = ", ".join(prediction_outcomes.columns.keys())

_OUTCOMES = f"""
    INSERT INTO prediction_outcomes ({_COLUMNS})
    SELECT {_COLUMNS} FROM (
        SELECT prediction.*, CAST(:day AS date) AS outcome_date,
               actual_popularity AS no_change_popularity, snapshot.popularity AS outcome_popularity,
               credible.popularity - predicted_popularity AS popularity_error,
               credible.popularity BETWEEN popularity_lower AND popularity_upper AS is_popularity_in_interval,
               actual_vote_average AS no_change_vote_average, snapshot.vote_average AS outcome_vote_average,
               snapshot.vote_count AS outcome_vote_count,
               snapshot.vote_average - predicted_vote_average AS vote_average_error,
               snapshot.vote_average BETWEEN vote_average_lower AND vote_average_upper AS is_vote_average_in_interval
        FROM ({{chosen}}) AS prediction
        JOIN movie_snapshots AS snapshot ON snapshot.tmdb_id = prediction.tmdb_id AND snapshot.snapshot_date = :day
        CROSS JOIN LATERAL (
            SELECT CASE WHEN snapshot.popularity <= :highest THEN snapshot.popularity END AS popularity
        ) AS credible
    ) AS compared
"""  # noqa: S608  # names of a declaration


def replace_outcomes(connection: Connection, day: dt.date) -> int:
    """Compare predictions with the day's snapshot.

    Predictions of released films are compared 1, 7 and 30 days after they were made, using the last batch of the day
    on which they were made. For films released on the day, or 7 or 30 days before it, the last prediction before
    release is compared. A popularity that is not credible has no error.

    Returns:
        Rows written, which replace those that an earlier run wrote for the same day.
    """
    ensure_months(connection, prediction_outcomes, [day])
    connection.execute(delete(prediction_outcomes).where(prediction_outcomes.c.outcome_date == day))
    common = {"day": day, "highest": credible_popularity(connection, day)}
    rows = 0
    for days, horizon in DAYS_SINCE_RELEASE.items():
        released = day - dt.timedelta(days=days)
        values = {**common, "horizon": horizon, "released": released, "start": start_of(released)}
        rows += connection.execute(text(_OUTCOMES.format(chosen=_SINCE_RELEASE)), values).rowcount
    last_of_day: dict[dt.date, dt.datetime] = {}
    for batch in batches(connection, start_of(day), start_of(day - dt.timedelta(days=max(HORIZON_DAYS)))):
        last_of_day.setdefault(batch.astimezone(dt.UTC).date(), batch)
    for days, horizon in HORIZON_DAYS.items():
        batch_of_day = last_of_day.get(day - dt.timedelta(days=days))
        if batch_of_day is not None:
            values = {**common, "horizon": horizon, "predicted_at": batch_of_day}
            rows += connection.execute(text(_OUTCOMES.format(chosen=_OF_HORIZON)), values).rowcount
    return int(rows)


_ACCURACY = text("""
    SELECT outcome.horizon, outcome.stage, target.name AS target, count(*) AS films,
           avg(abs(target.error)) AS mae, avg(abs(target.outcome - target.no_change)) AS mae_no_change,
           avg(target.error) AS drift, avg(target.is_in_interval::int) AS coverage
    FROM prediction_outcomes AS outcome JOIN movies USING (tmdb_id)
    CROSS JOIN LATERAL (VALUES
        ('popularity', outcome_popularity, no_change_popularity, popularity_error, is_popularity_in_interval),
        ('vote_average', outcome_vote_average, no_change_vote_average, vote_average_error, is_vote_average_in_interval)
    ) AS target (name, outcome, no_change, error, is_in_interval)
    WHERE outcome_date = :day AND target.error IS NOT NULL
      AND coalesce(outcome_vote_count, movies.vote_count) >= :votes
    GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
""")


def accuracy(connection: Connection, day: dt.date, min_votes: int) -> list[dict[str, Any]]:
    """Compute the accuracy of the predictions compared with a day's snapshot, by horizon, stage and target.

    Each row has `films`, `mae`, `mae_no_change` (the MAE of the baseline "no change"), `drift` (mean error, positive if
    films did better than predicted) and `coverage` (the share of outcomes within the interval). A film is included
    if it had at least `min_votes` votes in that day's listing or, if it was not listed, when last observed.
    """
    return [dict(row) for row in connection.execute(_ACCURACY, {"day": day, "votes": min_votes}).mappings()]


def popularity_shift(connection: Connection, day: dt.date) -> tuple[int, float | None]:
    """Measure how the popularity of released films changed from the time they were predicted to a day of outcomes.

    Returns:
        Outcomes compared, and the median of the day's popularity divided by that at the prediction (None if there are
        no outcomes).
    """
    statement = text("""
        SELECT count(*), percentile_cont(0.5) WITHIN GROUP (
            ORDER BY outcome.outcome_popularity / prediction.actual_popularity
        )
        FROM prediction_outcomes AS outcome JOIN model_predictions AS prediction USING (predicted_at, tmdb_id)
        WHERE outcome.outcome_date = :day AND outcome.stage = 'after_release' AND prediction.actual_popularity > 0
    """)
    films, shift = connection.execute(statement, {"day": day}).one()
    return int(films), None if shift is None else float(shift)
