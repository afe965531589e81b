"""Assets of predictions: a batch for every film, how earlier batches held, rating classes and groups of films.

What belongs here: joining the warehouse with `modeling`. What does not: SQL, learning.
"""

import datetime as dt
from typing import TYPE_CHECKING, Any

import dagster as dg
from sqlalchemy import Engine

from horror_pipeline.defs.models import SEED, load_champion
from horror_pipeline.defs.partitions import days, days_of
from horror_pipeline.defs.resources import Clock
from horror_pipeline.orchestration.learning import finish, inputs_of, news, read_features, records, rounded
from horror_pipeline.orchestration.metadata import OWNERS, column_schema, told_before
from horror_pipeline.settings import Settings
from horror_pipeline.warehouse import features, models, outcomes, predictions, tables

if TYPE_CHECKING:
    import pandas as pd

    from horror_pipeline.modeling.training import Champion

MODEL_NAMES = ("popularity_before_release", "popularity_after_release", "rating_before_release", "rating_after_release")
MIN_VOTES_JUDGED = 10

MOST_LIVE_ERROR = 1.5
"""Live error, as a multiple of the one a model promised, above which something has changed."""

FEWEST_JUDGED = 30
MOST_SCALE_SHIFT = 2.0
"""Factor by which the typical film's popularity may move in a month before the scale itself must have changed."""

LIVE_ERROR_IS_AS_PROMISED = dg.AssetCheckSpec(
    "live_error_is_as_promised",
    asset="prediction_outcomes",
    description=f"No model's error on what happened is above {MOST_LIVE_ERROR} times the one it promised.",
)
POPULARITY_SCALE_HOLDS = dg.AssetCheckSpec(
    "popularity_scale_holds",
    asset="prediction_outcomes",
    description=f"The typical film's popularity is within a factor of {MOST_SCALE_SHIFT} of that when predicted.",
)


@dg.asset(
    key="model_predictions",
    deps=["movie_features", *MODEL_NAMES],
    group_name="predictions",
    kinds={"scikitlearn", "postgres"},
    owners=OWNERS,
    code_version="1",
    metadata=column_schema(tables.model_predictions),
)
def model_predictions(
    context: dg.AssetExecutionContext,
    warehouse: dg.ResourceParam[Engine],
    settings: dg.ResourceParam[Settings],
    clock: dg.ResourceParam[Clock],
) -> dg.MaterializeResult:  # type: ignore[type-arg]  # Dagster does not know the parametrised one
    """Popularity and mean vote of every film, with 80 % intervals, by the current champions.

    Released films are predicted by the models that may use votes, upcoming ones by those that know only what is known
    before release. A batch is written only when a champion or the data changed. What the values actually were at that
    moment stands beside each prediction. Of batches older than a week the last of each day is kept.
    """
    with warehouse.connect() as connection:
        rows = {name: models.champion(connection, name) for name in MODEL_NAMES}
        versions = "|".join(f"{row['model_version']}" if row else "" for row in rows.values())
        seen = features.state(connection, features.FEATURES_STEP)
        same = seen == features.last_trained_fingerprint(connection)
        if same and versions == features.state(connection, "champions"):
            context.log.info("neither a champion nor the data changed since the last batch")
            return dg.MaterializeResult(metadata={"rows_written": 0})
    champions = {name: load_champion(row) for name, row in rows.items()}
    for name, champion in champions.items():
        if champion is None or champion.artifact is None:
            context.log.warning(f"{name} has no usable champion: {champion.refusal if champion else 'never trained'}")
    now = clock()
    batch = _batch(read_features(warehouse), champions, now)
    with warehouse.begin() as connection:
        written = predictions.write_batch(connection, records(batch)) if versions.strip("|") else 0
        thinned = predictions.thin_batches(connection, now, settings.horror_retention_days)
        if seen is not None:
            features.set_state(connection, features.PREDICTIONS_STEP, seen, now)
        features.set_state(connection, "champions", versions, now)
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": written,
            "rows_written": written,
            "rows_thinned": thinned,
            **{f"films_{stage}": int(count) for stage, count in batch["stage"].value_counts().items()},
        }
    )


def _batch(films: "pd.DataFrame", champions: "dict[str, Champion | None]", now: dt.datetime) -> "pd.DataFrame":
    """The rows of `model_predictions` for every film."""
    import pandas as pd

    from horror_pipeline.modeling.prediction import predict
    from horror_pipeline.modeling.specs import MODELS

    batch = pd.DataFrame(
        {
            "predicted_at": now,
            "tmdb_id": films["tmdb_id"],
            "stage": films["stage"],
            "actual_popularity": films["popularity"],
            "actual_vote_average": films["vote_average"],
            "actual_vote_count": films["vote_count"].astype("Int64"),
        }
    )
    for target in ("popularity", "vote_average"):
        found = []
        for spec in (spec for spec in MODELS.values() if spec.target == target):
            champion, rows = champions[spec.name], films[films["stage"] == spec.stage]
            if champion is not None and champion.artifact is not None and len(rows):
                found.append(predict(spec, champion.artifact, rows).assign(version=champion.model_version))
        columns = ["predicted", "lower", "upper", "version"]
        values = pd.concat(found).reindex(films.index) if found else pd.DataFrame(index=films.index, columns=columns)
        batch[f"predicted_{target}"] = values["predicted"]
        batch[f"{target}_lower"], batch[f"{target}_upper"] = values["lower"], values["upper"]
        batch[f"{target}_model_version"] = values["version"]
    return batch


CATCH_UP_DAYS = 7
"""How far before the days of a run outcomes that are missing are made up for."""


@dg.asset(
    key="prediction_outcomes",
    partitions_def=days,
    backfill_policy=dg.BackfillPolicy.single_run(),
    deps=["movie_snapshots", dg.AssetDep("model_predictions")],
    group_name="predictions",
    kinds={"postgres"},
    owners=OWNERS,
    code_version="1",
    check_specs=[LIVE_ERROR_IS_AS_PROMISED, POPULARITY_SCALE_HOLDS],
    metadata=column_schema(tables.prediction_outcomes),
)
def prediction_outcomes(context: dg.AssetExecutionContext, warehouse: dg.ResourceParam[Engine]) -> dg.MaterializeResult:  # type: ignore[type-arg]  # Dagster does not know the parametrised one
    """What was predicted 1, 7 and 30 days ago, and before release, against what the day's snapshot says.

    Predictions made before release are judged once the film is out. Ratings are judged where the day's listing gives
    votes.
    """
    live = Judgement([])
    shift: tuple[int, float | None] = (0, None)
    _catch_up(context, warehouse)
    for day in days_of(context):
        with warehouse.begin() as connection:
            written = outcomes.replace_outcomes(connection, day)
            figures = outcomes.accuracy(connection, day, MIN_VOTES_JUDGED)
            shift = outcomes.popularity_shift(connection, day)
        live = Judgement(figures)
        context.add_asset_metadata(
            {"dagster/partition_row_count": written, **live.metadata()}, partition_key=day.isoformat()
        )
    with warehouse.connect() as connection:
        promised = {
            name: row["metrics"]["mean"]["mae"] for name in MODEL_NAMES if (row := models.champion(connection, name))
        }
    return dg.MaterializeResult(check_results=[live.check(promised), _scale_check(*shift)])


def _catch_up(context: dg.AssetExecutionContext, warehouse: Engine) -> None:
    """Hold predictions against the days just before, where a run stored their history and failed for other days."""
    first = min(days_of(context))
    with warehouse.begin() as connection:
        written = {
            day: outcomes.replace_outcomes(connection, day)
            for day in outcomes.days_left_out(connection, first, CATCH_UP_DAYS)
        }
    for day, rows in written.items():
        if rows:
            figures = {"dagster/partition_row_count": rows}
            context.log_event(dg.AssetMaterialization(context.asset_key, metadata=figures, partition=str(day)))


class Judgement:
    """A day's outcomes, by horizon, stage and target.

    Args:
        figures: rows of `outcomes.accuracy`.
    """

    def __init__(self, figures: list[dict[str, Any]]) -> None:
        """Keep the figures."""
        self.figures = figures

    def metadata(self) -> dict[str, Any]:
        """Films, MAE, drift and coverage of each model and horizon."""
        told: dict[str, Any] = {}
        for row in self.figures:
            name = f"{_model_name(row['target'], row['stage'])}_{row['horizon']}"
            told[f"{name}_films"] = int(row["films"])
            told |= rounded({f"{name}_{measure}": float(row[measure]) for measure in ("mae", "drift", "coverage")})
        return told

    def check(self, promised: dict[str, float]) -> dg.AssetCheckResult:
        """Whether every model is as good as it said."""
        worst: dict[str, Any] = {}
        for row in self.figures:
            name = _model_name(row["target"], row["stage"])
            if (
                row["films"] >= FEWEST_JUDGED
                and name in promised
                and float(row["mae"]) > MOST_LIVE_ERROR * promised[name]
            ):
                worst[f"{name}_{row['horizon']}"] = f"MAE {float(row['mae']):.3f}, promised {promised[name]:.3f}"
        return dg.AssetCheckResult(
            check_name=LIVE_ERROR_IS_AS_PROMISED.name,
            passed=not worst,
            severity=dg.AssetCheckSeverity.ERROR,
            metadata=worst or {"judged": len(self.figures)},
        )


def _model_name(target: str, stage: str) -> str:
    return f"{'rating' if target == 'vote_average' else target}_{stage}"


def _scale_check(films: int, shift: float | None) -> dg.AssetCheckResult:
    broke = films >= FEWEST_JUDGED and shift is not None and not 1 / MOST_SCALE_SHIFT <= shift <= MOST_SCALE_SHIFT
    return dg.AssetCheckResult(
        check_name=POPULARITY_SCALE_HOLDS.name,
        passed=not broke,
        severity=dg.AssetCheckSeverity.ERROR,
        metadata={"films": films, **({} if shift is None else {"median_ratio": round(shift, 4)})},
    )


@dg.asset(
    key="rating_class",
    deps=["movie_features"],
    group_name="predictions",
    kinds={"scikitlearn", "postgres"},
    owners=OWNERS,
    code_version="1",
    metadata=column_schema(tables.rating_class),
)
def rating_class(
    context: dg.AssetExecutionContext, warehouse: dg.ResourceParam[Engine], clock: dg.ResourceParam[Clock]
) -> dg.MaterializeResult:  # type: ignore[type-arg]  # Dagster does not know the parametrised one
    """Whether a film belongs to the better rated half, as told from what is known before release.

    Fitted on released films with ten votes or more; accuracy, AUC and confusion counts are of the newest fifth of them,
    by a classifier that had not seen them.
    """
    with warehouse.connect() as connection:
        fingerprint = news(connection, "rating_class")
    if fingerprint is None:
        context.log.info("the features have not changed since the last time")
        return dg.MaterializeResult(metadata={**told_before(context), "rows_written": 0})
    from horror_pipeline.modeling.rating_class import Classification, classify

    now, films = clock(), read_features(warehouse)
    found = classify(inputs_of("before_release"), films, SEED)
    with warehouse.begin() as connection:
        finish(connection, "rating_class", fingerprint, now)
        if isinstance(found, Classification):
            rows = ({**row, "model_version": found.version} for row in records(found.films))
            predictions.replace_classes(connection, rows, now)
    if not isinstance(found, Classification):
        context.log.warning(found)
        return dg.MaterializeResult(metadata={"reason": found})
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": len(found.films),
            "rows_written": len(found.films),
            "threshold": found.threshold,
            **rounded(found.metrics),
            "confusion": dg.MetadataValue.md(_confusion(found.metrics)),
        }
    )


def _confusion(metrics: dict[str, float]) -> str:
    """The confusion counts as a table."""
    count = {name: int(metrics[name]) for name in ("true_high", "false_high", "true_low", "false_low")}
    return (
        "| | said high | said low |\n|---|---|---|\n"
        f"| is high | {count['true_high']} | {count['false_low']} |\n"
        f"| is low | {count['false_high']} | {count['true_low']} |"
    )


@dg.asset(
    key="movie_clusters",
    deps=["movie_features"],
    group_name="predictions",
    kinds={"scikitlearn", "postgres"},
    owners=OWNERS,
    code_version="1",
    metadata=column_schema(tables.movie_clusters),
)
def movie_clusters(
    context: dg.AssetExecutionContext, warehouse: dg.ResourceParam[Engine], clock: dg.ResourceParam[Clock]
) -> dg.MaterializeResult:  # type: ignore[type-arg]  # Dagster does not know the parametrised one
    """Groups of similar films by genres, language, season and title, each named after what stands out in it."""
    with warehouse.connect() as connection:
        fingerprint = news(connection, "movie_clusters")
    if fingerprint is None:
        context.log.info("the features have not changed since the last time")
        return dg.MaterializeResult(metadata={**told_before(context), "rows_written": 0})
    from horror_pipeline.modeling.clusters import Clustering, cluster

    now = clock()
    found = cluster(inputs_of("before_release"), read_features(warehouse), SEED)
    with warehouse.begin() as connection:
        finish(connection, "movie_clusters", fingerprint, now)
        if isinstance(found, Clustering):
            predictions.replace_clusters(connection, records(found.films), now)
    if not isinstance(found, Clustering):
        context.log.warning(found)
        return dg.MaterializeResult(metadata={"reason": found})
    profiles = [f"| {row['cluster']} | {row['name']} | {row['films']} |" for row in records(found.profiles)]
    table = "\n".join(["| group | what stands out | films |", "|---|---|---|", *profiles])
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": len(found.films),
            "rows_written": len(found.films),
            "profiles": dg.MetadataValue.md(table),
        }
    )
