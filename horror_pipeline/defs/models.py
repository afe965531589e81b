"""The four models as assets. Each is trained when the features change, and becomes champion only if it is better."""

import datetime as dt
from typing import TYPE_CHECKING, Any

import dagster as dg

from horror_pipeline.defs.resources import Clock, PipelineSettings, Warehouse
from horror_pipeline.modeling.artifacts import library_versions
from horror_pipeline.orchestration.learning import (
    SEED,
    inputs_of,
    is_current,
    pending_fingerprint,
    read_training_films,
)
from horror_pipeline.orchestration.metadata import rounded
from horror_pipeline.warehouse import features, models

if TYPE_CHECKING:
    import pandas as pd

    from horror_pipeline.modeling.artifacts import Artifact
    from horror_pipeline.modeling.training import Champion, Training, Version

DESCRIPTIONS = {
    "popularity_before_release": "How popular an upcoming film will be once it is out, predicted from what is known "
    "before: date, genres, language, title, runtime, credits. Popularity can hardly be predicted that early: trust "
    "the interval and the rank more than the figure.",
    "popularity_after_release": "How popular a released film is expected to be, given its votes and its age. TMDB "
    "computes popularity from votes among other things, so the model explains more than it forecasts. The "
    "interesting films are those far from their expected value.",
    "rating_before_release": "The mean vote an upcoming film will have, predicted from what is known before it is out.",
    "rating_after_release": "The mean vote expected of a released film, given how many people voted and what kind of "
    "film it is. The mean of a few votes is mostly noise, so films with few votes count for little.",
}


def load_champion(row: dict[str, Any] | None) -> "Champion | None":
    """Load a champion with its artifact or, if the artifact cannot be read safely, with the reason.

    Args:
        row: the champion's row of `model_versions`; None if the model has none.
    """
    from horror_pipeline.modeling import artifacts
    from horror_pipeline.modeling.training import Champion

    if row is None:
        return None
    artifact: Artifact | None = None
    refusal: str | None = "the champion's artifact is gone"
    if row["artifact"] is not None:
        try:
            artifact, refusal = artifacts.load(bytes(row["artifact"]), row["library_versions"]), None
        except artifacts.ArtifactError as error:
            refusal = str(error)
    return Champion(
        model_version=row["model_version"],
        algorithm=row["algorithm"],
        trained_at=row["trained_at"],
        data_fingerprint=row["data_fingerprint"],
        metrics=row["metrics"],
        artifact=artifact,
        refusal=refusal,
    )


def _asset(name: str) -> dg.AssetsDefinition:
    @dg.asset(
        key=name,
        deps=["movie_features", dg.AssetDep("other_movies", partition_mapping=dg.AllPartitionMapping())],
        group_name="models",
        kinds={"scikitlearn", "postgres"},
        code_version="1",
        description=f"{DESCRIPTIONS[name]}\n\nCandidates are scored on films that were released after those they "
        "learned from. One becomes champion only if it beats the baselines and the present champion on the same films. "
        "All versions are in `model_versions`; the asset's data version is that of the champion.",
    )
    def model(
        context: dg.AssetExecutionContext, warehouse: Warehouse, settings: PipelineSettings, clock: Clock
    ) -> dg.MaterializeResult:
        with warehouse.connect() as connection:
            fingerprint, row = pending_fingerprint(connection, name), models.champion(connection, name)
        training: Training | None = None
        now = clock()
        if fingerprint is not None or not is_current(row):
            films = read_training_films(warehouse, settings.learns_from_others)
            training = _train(films, name, settings.horror_genres, row, now)
            log = context.log.warning if training.outcome == "skipped" else context.log.info
            log(f"{training.outcome}: {training.reason}")
            with warehouse.begin() as connection:
                if training.version is not None:
                    models.promote(connection, _row(name, training.version, now))
                if fingerprint is not None:
                    features.set_state(connection, name, fingerprint, now)
        if training is not None and training.version is not None:
            models.vacuum_versions(warehouse)
        with warehouse.connect() as connection:
            row = models.champion(connection, name)
        # A step that trained nothing still returns a result, because the predictions of the same run wait for it. The
        # unchanged data version shows that the champion is the same as before.
        version = dg.DataVersion(row["model_version"] if row else "no champion")
        return dg.MaterializeResult(metadata=_metadata(context, row, training), data_version=version)

    return model


def _train(
    films: "pd.DataFrame", name: str, genres: tuple[str, ...], row: dict[str, Any] | None, now: dt.datetime
) -> "Training":
    from horror_pipeline.modeling.specs import MODELS
    from horror_pipeline.modeling.training import train

    spec = MODELS[name]
    return train(spec, inputs_of(spec.stage, genres, spec.uses_history), films, load_champion(row), now, SEED)


def _row(name: str, version: "Version", now: dt.datetime) -> dict[str, Any]:
    from horror_pipeline.modeling import artifacts

    row = vars(version) | {"artifact": artifacts.dump(version.artifact)}
    return row | {"model_name": name, "trained_at": now, "library_versions": library_versions()}


def _metadata(
    context: dg.AssetExecutionContext, row: dict[str, Any] | None, training: "Training | None"
) -> dict[str, Any]:
    """Describe how the training ended, and the champion, whether it is new or not.

    Figures and charts are those of the best candidate. If nothing was trained, the figures are those of the champion,
    and the charts those of the last materialization.
    """
    metadata: dict[str, Any] = {"outcome": "unchanged", "reason": "nothing it learns from has changed"}
    if training is not None:
        metadata = {"outcome": training.outcome, "reason": training.reason}
    if training is not None and training.scores is not None and training.best is not None:
        metadata |= _figures(training.scores, training.best)
    elif row is not None:
        metadata |= _figures({**row["baseline_metrics"], row["algorithm"]: row["metrics"]}, row["algorithm"])
    if row is not None:
        metadata |= {key: row[key] for key in ("model_version", "algorithm", "training_rows")}
        metadata["trained_at"] = dg.MetadataValue.timestamp(row["trained_at"])
    if training is None or training.forward is None or training.best is None:
        return metadata | _last_charts(context)
    return metadata | _charts(context.asset_key.path[-1], training.forward, training.best, row)


def _figures(scores: dict[str, dict[str, Any]], algorithm: str) -> dict[str, Any]:
    """List a candidate's metrics, and every candidate's error for comparison."""
    figures: dict[str, Any] = {**rounded(scores[algorithm]["mean"])}
    figures |= {f"mae_{other}": round(metrics["mean"]["mae"], 4) for other, metrics in scores.items()}
    if interval := scores[algorithm].get("interval"):
        figures |= {"coverage": round(interval["coverage"], 3), "width": round(interval["width"], 3)}
    return figures


def _last_charts(context: dg.AssetExecutionContext) -> dict[str, Any]:
    """Return the charts of the last materialization, so that a run that changed nothing keeps them."""
    event = context.instance.get_latest_materialization_event(context.asset_key)
    if event is None or event.asset_materialization is None:
        return {}
    metadata = event.asset_materialization.metadata
    return {key: value for key, value in metadata.items() if isinstance(value, dg.MarkdownMetadataValue)}


def _charts(name: str, forward: "pd.DataFrame", best: str, row: dict[str, Any] | None) -> dict[str, Any]:
    """Chart the best candidate's backtest on later films, and the champion's most important features."""
    from horror_pipeline.modeling import chances, intervals
    from horror_pipeline.modeling import charts as plots
    from horror_pipeline.modeling.specs import MODELS

    spec = MODELS[name]
    charts = plots.of_walk(spec, intervals.with_bounds(spec, forward, best))
    walked = chances.of_walk(spec, forward, best)
    if not walked.empty:
        event = "among the most popular 1 %" if spec.is_popularity else f"rating of {chances.HIGH_RATING:.0f} or more"
        held = chances.reliability(walked["chance"], walked["came"])
        charts["chances"] = plots.reliability(event, held["chance"], held["came"])
    if row is not None:
        charts["importance"] = plots.importance(row["importance"])
    return {title.replace(" ", "_"): dg.MetadataValue.md(plots.markdown(title, svg)) for title, svg in charts.items()}


popularity_before_release = _asset("popularity_before_release")
popularity_after_release = _asset("popularity_after_release")
rating_before_release = _asset("rating_before_release")
rating_after_release = _asset("rating_after_release")
