"""The jobs over assets: which assets run together, and how often Dagster retries a failed run."""

import dagster as dg

from horror_pipeline.defs.asset_checks import AS_DECLARED

RETRY_ONCE = {"dagster/max_retries": "1", "dagster/retry_strategy": "FROM_FAILURE"}
"""Retry a run once, from the step that failed, if its process died."""

RETRY_TMDB_ONCE = RETRY_ONCE | {"dagster/retry_on_asset_or_op_failure": "true"}
"""Also retry a run if a step failed, because TMDB's errors are often transient and steps can safely be repeated."""

collect_changes = dg.define_asset_job(
    "collect_changes",
    selection=dg.AssetSelection.assets(["raw", "movie_changes"]),
    description="Collect which films TMDB edited or deleted on a day.",
    tags=RETRY_TMDB_ONCE,
)

ingest_catalogue = dg.define_asset_job(
    "ingest_catalogue",
    selection=dg.AssetSelection.assets(
        ["raw", "discover_pages"], ["raw", "movie_details"], ["movies"], ["other_movies"]
    ),
    description="List the films of release years, read the details that are due, and clean them into `movies`.",
    tags=RETRY_TMDB_ONCE,
)

snapshot_popularity = dg.define_asset_job(
    "snapshot_popularity",
    selection=dg.AssetSelection.assets("movie_snapshots", "movie_movers", "prediction_outcomes"),
    description="Store the popularity of every known film on a day, find what moved, and compare earlier predictions.",
    tags=RETRY_TMDB_ONCE,
)

train_and_predict = dg.define_asset_job(
    "train_and_predict",
    # The check of `movies` is repeated here, because its failure in the run that wrote the films cannot stop this run.
    selection=dg.AssetSelection.groups("features", "models", "predictions")
    - dg.AssetSelection.assets("movie_movers", "prediction_outcomes")
    | dg.AssetSelection.checks(dg.AssetCheckKey(dg.AssetKey("movies"), AS_DECLARED)),
    description="Build features, train the models, predict and forecast, from what the warehouse holds now.",
    tags=RETRY_ONCE,
)
