"""The asset `movie_features`."""

import datetime as dt
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import dagster as dg

from horror_pipeline.defs.resources import Clock, Warehouse
from horror_pipeline.orchestration.frames import read_frame
from horror_pipeline.orchestration.learning import is_training_up_to_date, records
from horror_pipeline.orchestration.metadata import skip
from horror_pipeline.warehouse import features, snapshot_stats

if TYPE_CHECKING:
    import pandas as pd


@dg.asset(
    key="movie_features",
    # History shows popularity before release, and when TMDB last changed its popularity scale.
    deps=["movies", dg.AssetDep("movie_snapshots", partition_mapping=dg.LastPartitionMapping())],
    group_name="features",
    kinds={"pandas", "postgres"},
    code_version="1",
    output_required=False,
)
def movie_features(
    context: dg.AssetExecutionContext, warehouse: Warehouse, clock: Clock
) -> Iterator[dg.MaterializeResult]:
    """One row per film: its features, and the popularity and rating to predict, as of the newest observation of films.

    Features known before release use no votes or ratings. They use only popularity that was observed before the
    release, and only other films that were released on an earlier day.

    If neither the films nor the code has changed since the last training, nothing is written and no model is trained.
    Popularity observed before TMDB last changed its scale is set to unknown, so models never mix two scales.
    """
    with warehouse.connect().execution_options(isolation_level="REPEATABLE READ") as connection:
        if is_training_up_to_date(connection):
            return skip(context, "nothing the models learn from has changed since the last training")
        fingerprint = features.training_fingerprint(connection)
        scale_since = snapshot_stats.latest_scale_break(connection)
        movies = read_frame(connection, features.films_to_describe(scale_since))
    from horror_pipeline.transform.features import FEATURES, build_features

    on_earlier_scale = _drop_earlier_scale(movies, scale_since)
    as_of: dt.datetime = movies["observed_at"].max().to_pydatetime() if len(movies) else clock()
    frame = build_features(movies, as_of)
    del movies
    flags = [feature.name for feature in FEATURES if feature.kind == "flag"]
    frame[flags] = frame[flags].astype("boolean")
    with warehouse.begin() as connection:
        written = features.replace_features(connection, records(frame), as_of)
        features.set_state(connection, features.FEATURES_STEP, fingerprint, clock())
    figures: dict[str, Any] = {"new": written.new, "changed": written.changed, "features": len(FEATURES)}
    figures |= {"popularity_on_earlier_scale": on_earlier_scale, "as_of": dg.MetadataValue.timestamp(as_of)}
    yield dg.MaterializeResult(metadata=_film_figures(frame) | figures, data_version=dg.DataVersion(fingerprint))


def _drop_earlier_scale(movies: "pd.DataFrame", scale_since: dt.date | None) -> int:
    """Set popularity to NaN if it was observed before the present scale began; return the number of such films."""
    if scale_since is None:
        return 0
    is_earlier = movies["observed_at"] < dt.datetime.combine(scale_since, dt.time(), dt.UTC)
    movies.loc[is_earlier, "popularity"] = float("nan")
    return int(is_earlier.sum())


def _film_figures(frame: "pd.DataFrame") -> dict[str, Any]:
    upcoming = int(frame["stage"].eq("before_release").sum())
    return {
        "dagster/row_count": len(frame),
        "released": len(frame) - upcoming,
        "upcoming": upcoming,
        "runtime_unknown": float(frame["runtime_minutes"].isna().mean()) if len(frame) else 0.0,
    }
