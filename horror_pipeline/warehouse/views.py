"""The views: their queries, and comments on what cannot be seen from a column's name."""

from __future__ import annotations

from collections.abc import Iterator

# A row of a page may be any JSON value, and a number may have any size. CASE keeps Postgres from casting a value before
# it is tested. Rounding to 20 places turns numbers that are too small for a double into 0.
_ROWS = """
    CROSS JOIN LATERAL jsonb_path_query(page.payload, '$.results[*]') AS result (listed)
    CROSS JOIN LATERAL (
        SELECT CASE WHEN jsonb_typeof(listed -> 'id') = 'number' AND listed ->> 'id' ~ '^[1-9][0-9]{0,15}$'
                    THEN (listed ->> 'id')::bigint END AS tmdb_id
    ) AS movie
"""


def _listed_number(name: str) -> str:
    value = f"(listed -> '{name}')::numeric"
    test = f"jsonb_typeof(listed -> '{name}') = 'number' AND abs({value}) < 1e15"
    return f"CASE WHEN {test} THEN round({value}, 20)::float8 END AS {name}"


ACCURACY_COLUMNS = """
    sum(films) AS films, sum(total_error) / sum(films) AS mae, sum(total_error_no_change) / sum(films) AS mae_no_change,
    1 - sum(total_error) / nullif(sum(total_error_no_change), 0) AS skill,
    sum(films_in_interval)::float8 / sum(films) AS coverage
"""
"""SQL columns that compute the accuracy of any group of rows of `forecast_scores` or `forecast_group_scores`."""

VIEWS: dict[str, str] = {
    "raw.listed_movies": f"""
        SELECT page.release_year, page.sweep, page.slice_start_date, page.page, page.fetched_at, movie.tmdb_id, listed,
               {", ".join(map(_listed_number, ("popularity", "vote_count", "vote_average")))}
        FROM raw.discover_pages AS page {_ROWS}
        WHERE movie.tmdb_id IS NOT NULL
    """,  # noqa: S608  # constants
    "raw.changed_movies": f"""
        SELECT page.change_date, movie.tmdb_id FROM raw.movie_changes AS page {_ROWS} WHERE movie.tmdb_id IS NOT NULL
    """,  # noqa: S608  # constants
    # A batch holds every film, so the newest batch holds each film's newest prediction. Finding it takes two index
    # look-ups, whereas a DISTINCT ON would read every batch ever written.
    "latest_predictions": """
        WITH newest AS (
            SELECT * FROM model_predictions WHERE predicted_at = (SELECT max(predicted_at) FROM model_predictions)
        )
        SELECT newest.tmdb_id, movies.title, movies.release_date, movies.genres, newest.predicted_at, newest.stage,
            newest.predicted_popularity, newest.popularity_lower, newest.popularity_upper,
            newest.predicted_vote_average, newest.vote_average_lower, newest.vote_average_upper,
            newest.top_1_percent_probability, newest.rating_7_probability,
            newest.actual_popularity, newest.actual_vote_average, newest.actual_vote_count,
            newest.popularity_model_version, newest.vote_average_model_version,
            CASE WHEN newest.actual_vote_count >= source.gap_min_votes THEN
                (newest.actual_popularity - newest.predicted_popularity)
                / nullif(newest.popularity_upper - newest.popularity_lower, 0)
            END AS popularity_gap,
            CASE WHEN newest.actual_vote_count >= source.gap_min_votes THEN
                (newest.actual_vote_average - newest.predicted_vote_average)
                / nullif(newest.vote_average_upper - newest.vote_average_lower, 0)
            END AS rating_gap,
            CASE WHEN newest.stage = 'before_release' THEN
                newest.predicted_popularity / greatest(newest.actual_popularity, 1)
            END AS surprise_factor
        FROM newest
        JOIN movies USING (tmdb_id)
        CROSS JOIN (SELECT coalesce(max(gap_min_votes), 50) AS gap_min_votes FROM data_source) AS source
        WHERE movies.gone_at IS NULL
    """,
    "latest_forecasts": """
        SELECT forecast.tmdb_id, title, release_date, release_date - made_on AS days_to_release, made_on, horizon_days,
            target_date, origin_popularity, forecast_popularity, popularity_lower, popularity_upper,
            forecast_popularity / nullif(origin_popularity, 0) AS change_factor, rise_probability, is_backtest,
            model_version
        FROM popularity_forecasts AS forecast
        JOIN movies USING (tmdb_id)
        WHERE forecast.made_on = (SELECT max(made_on) FROM popularity_forecasts) AND movies.gone_at IS NULL
    """,
    "latest_movers": """
        SELECT mover.*, popularity / nullif(popularity_before, 0) AS change_factor,
            popularity_rank_before - popularity_rank AS rank_change, title, release_date, original_language, vote_count
        FROM movie_movers AS mover
        JOIN (SELECT tmdb_id, title, release_date, original_language, vote_count FROM movies WHERE gone_at IS NULL)
            AS movie USING (tmdb_id)
        WHERE snapshot_date = (SELECT max(snapshot_date) FROM movie_movers)
    """,
    # A breakout is left out if the film already broke out within the week before.
    "breakouts": """
        SELECT DISTINCT ON (snapshot_date, tmdb_id) mover.*, title, release_date
        FROM movie_movers AS mover JOIN movies USING (tmdb_id)
        WHERE is_breakout AND gone_at IS NULL AND NOT EXISTS (
            SELECT FROM movie_movers AS earlier
            WHERE earlier.tmdb_id = mover.tmdb_id AND earlier.is_breakout
              AND earlier.snapshot_date BETWEEN mover.snapshot_date - 7 AND mover.snapshot_date - 1
        )
        ORDER BY snapshot_date, tmdb_id, breakout_score DESC, span_days
    """,
    "forecast_accuracy": f"""
        SELECT horizon_days, date_trunc('month', target_date::timestamp)::date AS month, is_backtest, {ACCURACY_COLUMNS}
        FROM forecast_scores GROUP BY 1, 2, 3
    """,  # noqa: S608  # a constant
    "forecast_group_accuracy": f"""
        SELECT horizon_days, dimension, category, is_backtest, {ACCURACY_COLUMNS}
        FROM forecast_group_scores GROUP BY 1, 2, 3, 4
    """,  # noqa: S608  # a constant
    # A view reads with its owner's rights, so `horror_reader` can count rejected records without access to them.
    "rejected_counts": "SELECT source_table, count(*) AS records FROM raw.rejected_records GROUP BY source_table",
}
"""The query of every view by its qualified name, in the order in which they can be created."""

_COMMENTS: dict[str, str] = {
    "VIEW raw.listed_movies": "Every row with a usable id on the pages of raw.discover_pages.",
    "COLUMN raw.listed_movies.listed": "The row as received.",
    "VIEW raw.changed_movies": "Every film with a usable id on the pages of raw.movie_changes.",
    "VIEW latest_predictions": "The newest prediction of every film that still exists.",
    "COLUMN latest_predictions.popularity_gap": "Actual less predicted popularity, in widths of its 80 % interval; "
    "NULL: too few votes (gap_min_votes).",
    "COLUMN latest_predictions.rating_gap": "Actual less predicted mean vote, in widths of its 80 % interval; "
    "NULL: too few votes (gap_min_votes).",
    "COLUMN latest_predictions.surprise_factor": "predicted_popularity over actual_popularity, or over 1 where that is "
    "less or unknown; NULL: the film is out.",
    "VIEW latest_forecasts": "The forecasts of the newest day, of every film that still exists.",
    "COLUMN latest_forecasts.days_to_release": "Days from made_on to the release; negative once it is past.",
    "COLUMN latest_forecasts.change_factor": "forecast_popularity over origin_popularity; NULL: that was 0.",
    "VIEW latest_movers": "How popularity changed up to the newest day, of every film that still exists.",
    "COLUMN latest_movers.change_factor": "popularity over popularity_before; NULL: that was 0.",
    "COLUMN latest_movers.rank_change": "Ranks gained; negative where ranks were lost.",
    "VIEW breakouts": "The first day of every breakout, with the span that shows it best.",
    "VIEW forecast_accuracy": "Errors of forecasts, and of no change, for films at popularity 1 or more.",
    "VIEW forecast_group_accuracy": "The same by votes, language and stage of the films.",
    "VIEW rejected_counts": "How many records could not be typed, by the table they were read from.",
    "COLUMN forecast_accuracy.month": "First day of the month that the target dates are in.",
    "COLUMN forecast_accuracy.films": "Forecasts compared: each film once for each day.",
    "COLUMN forecast_accuracy.mae": "Mean absolute error of the forecasts.",
    "COLUMN forecast_accuracy.mae_no_change": "Mean absolute error of saying that nothing changes.",
    "COLUMN forecast_accuracy.skill": "1 − mae / mae_no_change: above 0 is better than no change.",
    "COLUMN forecast_accuracy.coverage": "Share of outcomes within the 80 % interval.",
}


def creation_statements() -> Iterator[str]:
    """Yield the statements that create all views with their comments."""
    for name, query in VIEWS.items():
        yield f"CREATE VIEW {name} AS {query}"
    for subject, comment in _COMMENTS.items():
        yield f"COMMENT ON {subject} IS '{comment}'"
