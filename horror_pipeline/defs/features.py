"""The asset `movie_features`: what a model may know of each film, as of a moment.

What belongs here: joining the warehouse with `transform.features`. What does not: the features themselves.
"""

import datetime as dt
from typing import TYPE_CHECKING

import dagster as dg
from sqlalchemy import Engine

from horror_pipeline.defs.resources import Clock
from horror_pipeline.orchestration.learning import records
from horror_pipeline.orchestration.metadata import OWNERS, column_schema
from horror_pipeline.warehouse import features, snapshot_stats, tables

if TYPE_CHECKING:
    import pandas as pd


@dg.asset(
    key="movie_features",
    # History tells where TMDB's popularity scale last broke.
    deps=["movies", dg.AssetDep("movie_snapshots", partition_mapping=dg.LastPartitionMapping())],
    group_name="features",
    kinds={"pandas", "postgres"},
    owners=OWNERS,
    code_version="1",
    metadata=column_schema(tables.movie_features),
)
def movie_features(
    context: dg.AssetExecutionContext, warehouse: dg.ResourceParam[Engine], clock: dg.ResourceParam[Clock]
) -> dg.MaterializeResult:  # type: ignore[type-arg]  # Dagster does not know the parametrised one
    """One row per film: what a model may know of it, as of the moment its votes were last observed.

    Features known before release hold nothing of votes, ratings or popularity; history counts only films released
    strictly earlier. What the models are to predict stands beside the features, from the same moment. Nothing is
    written while the catalogue has not changed. Where TMDB has changed its popularity scale, popularity observed before
    that is unknown: models learn from one side of the break. Where nothing was released for three months the catalogue
    stands still, like a recording: ages count to its newest release.
    """
    with warehouse.connect().execution_options(isolation_level="REPEATABLE READ") as connection:
        fingerprint = features.training_fingerprint(connection)
        if fingerprint == features.state(connection, features.FEATURES_STEP):
            context.log.info("the catalogue has not changed since the features were made")
            return dg.MaterializeResult(metadata={"new": 0, "changed": 0, "is_unchanged": True})
        names, films = features.films_to_describe(connection)
        scale_since = snapshot_stats.latest_scale_break(connection)
    import pandas as pd

    from horror_pipeline.transform.features import FEATURES, build_features, catalogue_as_of

    movies = pd.DataFrame(films, columns=names)
    del films
    on_earlier_scale = _drop_earlier_scale(movies, scale_since)
    observed_at: dt.datetime = movies["observed_at"].max().to_pydatetime() if len(movies) else clock()
    as_of = catalogue_as_of(movies, observed_at)
    if as_of != observed_at:
        context.log.info(f"nothing was released since {as_of:%Y-%m-%d}: films are described as of that day")
    frame = build_features(movies, as_of)
    flags = [feature.name for feature in FEATURES if feature.kind == "flag"]
    frame[flags] = frame[flags].astype("boolean")
    with warehouse.begin() as connection:
        written = features.replace_features(connection, records(frame), observed_at)
        features.set_state(connection, features.FEATURES_STEP, fingerprint, clock())
    upcoming = int(frame["stage"].eq("before_release").sum())
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": len(frame),
            "new": written.new,
            "changed": written.changed,
            "released": len(frame) - upcoming,
            "upcoming": upcoming,
            "popularity_on_earlier_scale": on_earlier_scale,
            "features": len(FEATURES),
            "as_of": dg.MetadataValue.timestamp(as_of),
            "runtime_unknown": float(frame["runtime_minutes"].isna().mean()) if len(frame) else 0.0,
        }
    )


def _drop_earlier_scale(movies: "pd.DataFrame", scale_since: dt.date | None) -> int:
    """Make popularity unknown where it was observed before the present scale's first day; how many that was."""
    if scale_since is None:
        return 0
    is_earlier = movies["observed_at"] < dt.datetime.combine(scale_since, dt.time(), dt.UTC)
    movies.loc[is_earlier, "popularity"] = float("nan")
    return int(is_earlier.sum())
