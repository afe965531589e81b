"""The four models as assets: trained when the features changed, champion only if better.

What belongs here: joining the warehouse with `modeling.train`, and what the UI shows of it. What does not: learning.
"""

from typing import TYPE_CHECKING, Any

import dagster as dg
from sqlalchemy import Engine

from horror_pipeline.defs.resources import Clock
from horror_pipeline.modeling.artifacts import library_versions
from horror_pipeline.orchestration.learning import finish, inputs_of, news, read_features, rounded
from horror_pipeline.orchestration.metadata import OWNERS, column_schema, told_before
from horror_pipeline.warehouse import models, tables

if TYPE_CHECKING:
    from horror_pipeline.modeling.artifacts import Artifact
    from horror_pipeline.modeling.training import Champion, Training

SEED = 0

CHARTS = (
    "predicted_against_real",
    "residuals_over_time",
    "coverage_by_decile",
    "importance",
)
"""Metadata that holds a picture."""

DESCRIPTIONS = {
    "popularity_before_release": "How popular an upcoming film will be once it is out, from what is known before: "
    "date, genres, language, title, length, credits. Little of popularity can be known then: read the interval and "
    "the rank, not the figure.",
    "popularity_after_release": "How popular a released film is expected to be given its votes and age. Votes are an "
    "input of TMDB's popularity, so this explains more than it foretells; what differs from it is the news.",
    "rating_before_release": "The mean vote an upcoming film will have, from what is known before it is out.",
    "rating_after_release": "The mean vote expected of a released film given how many voted and what it is. Ratings of "
    "few votes are mostly noise and count for little.",
}


def load_champion(row: dict[str, Any] | None) -> "Champion | None":
    """The stored champion of a model, its artefact read back where that is safe; None where there is none."""
    from horror_pipeline.modeling import artifacts
    from horror_pipeline.modeling.training import Champion

    if row is None:
        return None
    artifact: Artifact | None = None
    refusal: str | None = "the champion's artefact is gone"
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
        deps=["movie_features"],
        group_name="models",
        kinds={"scikitlearn", "postgres"},
        owners=OWNERS,
        code_version="1",
        description=f"{DESCRIPTIONS[name]}\n\nCandidates are scored on films released later than those they learnt "
        "from; one becomes champion only if it beats the baselines and the champion on the same films. Versions are in "
        "`model_versions`.",
        metadata=column_schema(tables.model_versions),
    )
    def model(
        context: dg.AssetExecutionContext, warehouse: dg.ResourceParam[Engine], clock: dg.ResourceParam[Clock]
    ) -> dg.MaterializeResult:  # type: ignore[type-arg]  # Dagster does not know the parametrised one
        with warehouse.connect() as connection:
            fingerprint, row = news(connection, name), models.champion(connection, name)
        if fingerprint is None and (row is None or row["library_versions"] == library_versions()):
            context.log.info("nothing it learns from has changed since it was last trained")
            return dg.MaterializeResult(metadata=_shown(context, warehouse, name, None))
        training = _train(context, warehouse, clock, name, row, fingerprint)
        return dg.MaterializeResult(metadata=_shown(context, warehouse, name, training))

    return model


def _train(
    context: dg.AssetExecutionContext,
    warehouse: Engine,
    clock: Clock,
    name: str,
    row: dict[str, Any] | None,
    fingerprint: str | None,
) -> "Training":
    from horror_pipeline.modeling.specs import MODELS
    from horror_pipeline.modeling.training import train

    spec, now = MODELS[name], clock()
    training = train(spec, inputs_of(spec.stage), read_features(warehouse), load_champion(row), now, SEED)
    with warehouse.begin() as connection:
        if training.version is not None:
            models.promote(connection, _row(name, training, now))
        if fingerprint is not None:
            finish(connection, name, fingerprint, now)
    if training.version is not None:
        models.vacuum_versions(warehouse)
    tell = context.log.warning if training.outcome == "skipped" else context.log.info
    tell(f"{training.outcome}: {training.reason}")
    return training


def _row(name: str, training: "Training", now: Any) -> dict[str, Any]:
    from horror_pipeline.modeling import artifacts

    version = training.version
    assert version is not None  # noqa: S101  # the caller asked
    return {
        "model_version": version.model_version,
        "model_name": name,
        "algorithm": version.algorithm,
        "trained_at": now,
        "training_rows": version.training_rows,
        "data_fingerprint": version.data_fingerprint,
        "metrics": version.metrics,
        "baseline_metrics": version.baseline_metrics,
        "importance": version.importance,
        "library_versions": library_versions(),
        "artifact": artifacts.dump(version.artifact),
    }


def _shown(
    context: dg.AssetExecutionContext, warehouse: Engine, name: str, training: "Training | None"
) -> dict[str, Any]:
    """What the UI shows: how the training ended, and the champion in figures and pictures, whether it is new or not."""
    with warehouse.connect() as connection:
        row = models.champion(connection, name)
    told: dict[str, Any] = {"outcome": "unchanged", "reason": "nothing it learns from changed"}
    if training is not None:
        told = {"outcome": training.outcome, "reason": training.reason}
    if training is not None and training.scores is not None and training.best is not None:
        told |= _figures(training.scores, training.best)
    elif row is not None:
        told |= _figures({**row["baseline_metrics"], row["algorithm"]: row["metrics"]}, row["algorithm"])
    if row is not None:
        told |= {key: row[key] for key in ("model_version", "algorithm", "training_rows")}
        told["trained_at"] = dg.MetadataValue.timestamp(row["trained_at"])
    if training is None or training.forward is None:
        return told | {key: value for key, value in told_before(context).items() if key in CHARTS}
    return told | _charts(name, training, row)


def _figures(scores: dict[str, dict[str, Any]], algorithm: str) -> dict[str, Any]:
    """A candidate's metrics, and every candidate's error beside them."""
    told: dict[str, Any] = {**rounded(scores[algorithm]["mean"])}
    told |= {f"mae_{other}": round(found["mean"]["mae"], 4) for other, found in scores.items()}
    if interval := scores[algorithm].get("interval"):
        told |= {"coverage": round(interval["coverage"], 3), "width": round(interval["width"], 3)}
    return told


def _charts(name: str, training: "Training", row: dict[str, Any] | None) -> dict[str, Any]:
    """The best candidate on later films, and what matters to the champion."""
    from horror_pipeline.modeling import charts as plots
    from horror_pipeline.modeling import intervals
    from horror_pipeline.modeling.specs import MODELS

    if training.forward is None or training.best is None:
        return {}
    spec = MODELS[name]
    charts = plots.of_walk(spec, intervals.with_bounds(spec, training.forward, training.best))
    if row is not None:
        charts["importance"] = plots.importance(row["importance"])
    return {title.replace(" ", "_"): dg.MetadataValue.md(plots.markdown(title, svg)) for title, svg in charts.items()}


popularity_before_release = _asset("popularity_before_release")
popularity_after_release = _asset("popularity_after_release")
rating_before_release = _asset("rating_before_release")
rating_after_release = _asset("rating_after_release")
