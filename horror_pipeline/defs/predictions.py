"""The prediction assets: batches of predictions for all films, rating classes, groups of films, and similar films."""

import datetime as dt
from collections.abc import Iterator

import dagster as dg

from horror_pipeline.defs.models import load_champion
from horror_pipeline.defs.resources import Clock, PipelineSettings, Warehouse
from horror_pipeline.domain import MODEL_NAMES
from horror_pipeline.modeling.artifacts import CODE_VERSION
from horror_pipeline.orchestration.learning import (
    CHAMPIONS_STEP,
    SEED,
    inputs_of,
    is_predicted,
    pending_fingerprint,
    read_champions,
    read_features,
    records,
    versions_of,
)
from horror_pipeline.orchestration.metadata import rounded, skip
from horror_pipeline.warehouse import features, predictions, tables
from horror_pipeline.warehouse import similar_movies as similar
from horror_pipeline.warehouse.bulk import copy_rows

TEXTS_STEP = "similar_movies_texts"
"""The step of `training_state` that holds the digest of the texts by which films were last compared."""

UNCHANGED = "the features have not changed since the last time"


@dg.asset(
    key="model_predictions",
    deps=["movie_features", *MODEL_NAMES],
    group_name="predictions",
    kinds={"scikitlearn", "postgres"},
    code_version="1",
    output_required=False,
)
def model_predictions(
    context: dg.AssetExecutionContext, warehouse: Warehouse, settings: PipelineSettings, clock: Clock
) -> Iterator[dg.MaterializeResult]:
    """Popularity and mean vote of every film, with 80 % intervals, predicted by the current champion models.

    Released films are predicted by the models that may use votes, upcoming films by the models that use only what is
    known before release. A run writes one batch of predictions, but only if a champion or the data has changed. Each
    row also has the actual values at the time of the prediction. Of batches older than a week, only the last of each
    day is kept. What contributed to each prediction of the newest batch is in `prediction_explanations`.
    """
    with warehouse.connect() as connection:
        rows = read_champions(connection)
        fingerprint = features.state(connection, features.FEATURES_STEP)
        if is_predicted(connection, rows):
            return skip(context, "neither a champion nor the data has changed since the last batch")
    from horror_pipeline.modeling.batch import predict_batch
    from horror_pipeline.modeling.expectation_parts import explain_batch

    champions = {name: load_champion(row) for name, row in rows.items()}
    for name, champion in champions.items():
        if champion is None or champion.artifact is None:
            context.log.warning(f"{name} has no usable champion: {champion.refusal if champion else 'never trained'}")
    now, versions = clock(), versions_of(rows)
    films = read_features(warehouse)
    batch, explained = predict_batch(films, champions, now), explain_batch(films, champions, now)
    with warehouse.begin() as connection:
        written = copy_rows(connection, tables.model_predictions, records(batch)) if any(rows.values()) else 0
        predictions.replace_explanations(connection, records(explained), of_forecasts=False)
        thinned = predictions.thin_batches(connection, now, settings.horror_retention_days)
        if fingerprint is not None:
            features.set_state(connection, features.PREDICTIONS_STEP, fingerprint, now)
        features.set_state(connection, CHAMPIONS_STEP, versions, now)
    if not written:
        return skip(context, "no model has a champion yet, so nothing is predicted")
    stages = {f"films_{stage}": int(count) for stage, count in batch["stage"].value_counts().items()}
    figures = {"dagster/row_count": written, "rows_written": written, "rows_thinned": thinned}
    yield dg.MaterializeResult(metadata=figures | stages)


@dg.asset(
    key="rating_class",
    deps=["movie_features"],
    group_name="predictions",
    kinds={"scikitlearn", "postgres"},
    code_version="1",
    output_required=False,
)
def rating_class(
    context: dg.AssetExecutionContext, warehouse: Warehouse, clock: Clock
) -> Iterator[dg.MaterializeResult]:
    """Whether a film will likely be in the better rated half of films, predicted from what is known before release.

    The classifier is fitted on released films with ten votes or more. Accuracy, AUC and the confusion counts come from
    another classifier, which was fitted on the older four fifths of these films and tested on the newest fifth.
    """
    with warehouse.connect() as connection:
        fingerprint = pending_fingerprint(connection, "rating_class")
    if fingerprint is None:
        return skip(context, UNCHANGED)
    from horror_pipeline.modeling.rating_class import Classification, classify

    now, films = clock(), read_features(warehouse)
    result = classify(inputs_of("before_release"), films, SEED)
    with warehouse.begin() as connection:
        features.set_state(connection, "rating_class", fingerprint, now)
        if isinstance(result, Classification):
            rows = ({**row, "model_version": result.version} for row in records(result.films))
            predictions.replace_films(connection, tables.rating_class.c.predicted_at, rows, now)
    if not isinstance(result, Classification):
        return skip(context, result)
    figures = {"dagster/row_count": len(result.films), "rows_written": len(result.films)}
    scores = {"threshold": result.threshold, **rounded(result.metrics)}
    yield dg.MaterializeResult(
        metadata={**figures, **scores, "confusion": dg.MetadataValue.md(_confusion(result.metrics))}
    )


def _confusion(metrics: dict[str, float]) -> str:
    """Format the confusion counts as a Markdown table."""
    count = {name: int(metrics[name]) for name in ("true_high", "false_high", "true_low", "false_low")}
    return (
        "| | predicted high | predicted low |\n|---|---|---|\n"
        f"| is high | {count['true_high']} | {count['false_low']} |\n"
        f"| is low | {count['false_high']} | {count['true_low']} |"
    )


@dg.asset(
    key="movie_clusters",
    deps=["movie_features"],
    group_name="predictions",
    kinds={"scikitlearn", "postgres"},
    code_version="1",
    output_required=False,
)
def movie_clusters(
    context: dg.AssetExecutionContext, warehouse: Warehouse, clock: Clock
) -> Iterator[dg.MaterializeResult]:
    """Groups of films with similar genres, language, season and kind of title, each named after what sets it apart."""
    with warehouse.connect() as connection:
        fingerprint = pending_fingerprint(connection, "movie_clusters")
    if fingerprint is None:
        return skip(context, UNCHANGED)
    from horror_pipeline.modeling.clusters import Clustering, cluster

    now: dt.datetime = clock()
    result = cluster(inputs_of("before_release"), read_features(warehouse), SEED)
    with warehouse.begin() as connection:
        features.set_state(connection, "movie_clusters", fingerprint, now)
        if isinstance(result, Clustering):
            predictions.replace_films(connection, tables.movie_clusters.c.clustered_at, records(result.films), now)
    if not isinstance(result, Clustering):
        return skip(context, result)
    profiles = [f"| {row['cluster']} | {row['name']} | {row['films']} |" for row in records(result.profiles)]
    table = "\n".join(["| group | what stands out | films |", "|---|---|---|", *profiles])
    figures = {"dagster/row_count": len(result.films), "rows_written": len(result.films)}
    yield dg.MaterializeResult(metadata={**figures, "profiles": dg.MetadataValue.md(table)})


@dg.asset(
    key="similar_movies",
    deps=["movies", "movie_features"],  # if unchanged features are skipped, so is this asset
    group_name="predictions",
    kinds={"scikitlearn", "postgres"},
    code_version="1",
    output_required=False,
)
def similar_movies(
    context: dg.AssetExecutionContext, warehouse: Warehouse, clock: Clock
) -> Iterator[dg.MaterializeResult]:
    """The twenty films most similar to each film in overview, keywords, genres, directors, cast and collection.

    The score is the similarity, from 0 to 1. Votes and popularity play no part, so similar films are computed again
    only when one of the properties above has changed.
    """
    with warehouse.connect().execution_options(isolation_level="REPEATABLE READ") as connection:
        fingerprint = pending_fingerprint(connection, "similar_movies")
        if fingerprint is None:
            return skip(context, UNCHANGED)
        texts = f"{CODE_VERSION}|{similar.fingerprint_of_texts(connection)}"
        is_known = texts == features.state(connection, TEXTS_STEP)
        names, films = ([], []) if is_known else similar.read_texts(connection)
    if is_known:
        with warehouse.begin() as connection:
            features.set_state(connection, "similar_movies", fingerprint, clock())
        return skip(context, "no film has changed in what films are compared by")
    import pandas as pd

    from horror_pipeline.modeling.similar_movies import similar_movies as find

    found = find(pd.DataFrame(films, columns=names), SEED)
    with warehouse.begin() as connection:
        written = similar.replace_similar(connection, {str(name): found[name].to_numpy() for name in found})
        features.set_state(connection, "similar_movies", fingerprint, clock())
        features.set_state(connection, TEXTS_STEP, texts, clock())
    nearest = found.loc[found["rank"] == 1, "score"]
    figures = {"dagster/row_count": written, "films": len(films), "films_with_similar_ones": len(nearest)}
    yield dg.MaterializeResult(
        metadata=figures | ({"median_score_of_the_nearest": float(nearest.median())} if written else {})
    )
