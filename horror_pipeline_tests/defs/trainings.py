"""Running the assets of learning over films of a test's own, against an empty warehouse."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import dagster as dg
import pandas as pd
from sqlalchemy import URL, Engine, text

from horror_pipeline.defs import features, models, predictions
from horror_pipeline.modeling.specs import MODELS
from horror_pipeline.orchestration.missing import range_tags
from horror_pipeline.settings import Settings
from horror_pipeline.warehouse import bulk, tables
from horror_pipeline.warehouse.engine import connect
from horror_pipeline_tests.modeling.films import AS_OF

TRAINING = (
    features.movie_features,
    *(getattr(models, name) for name in MODELS),
    predictions.model_predictions,
    predictions.rating_class,
    predictions.movie_clusters,
    predictions.similar_movies,
)
LEARNT = ("movie_features", "model_versions", "model_predictions", "rating_class", "movie_clusters", "similar_movies")


class Learning:
    """Runs the assets against one warehouse; `now` is the clock."""

    def __init__(self, engine: Engine, instance: dg.DagsterInstance) -> None:
        self.engine, self.instance, self.now = engine, instance, AS_OF
        self.settings = Settings(_env_file=None)
        self.materialized: dict[str, dict[str, Any]] = {}

    def run(self, *assets: dg.AssetsDefinition, days: tuple[str, str] | None = None) -> dict[str, dict[str, Any]]:
        self.last = dg.materialize(
            assets or TRAINING,
            instance=self.instance,
            tags=range_tags(*days) if days else {},
            resources={"warehouse": self.engine, "settings": self.settings, "clock": lambda: self.now},
        )
        self.materialized = {
            event.asset_key.to_user_string(): {
                name: entry.value for name, entry in event.materialization.metadata.items()
            }
            for event in self.last.get_asset_materialization_events()
            if event.asset_key is not None
        }
        skipped = {
            event.asset_key.to_user_string(): {
                name: entry.value for name, entry in event.asset_observation_data.asset_observation.metadata.items()
            }
            for event in self.last.get_asset_observation_events()
            if event.asset_key is not None
        }
        return self.materialized | skipped

    def store(self, films: pd.DataFrame, observed_at: dt.datetime = AS_OF) -> None:
        rows: Any = films.assign(
            is_adult=False, first_seen_at=AS_OF, observed_at=observed_at, details_fetched_at=AS_OF
        ).to_dict("records")
        with self.engine.begin() as connection:
            bulk.copy_upsert(connection, tables.movies, rows)

    def store_others(self, films: pd.DataFrame) -> None:
        """Store films of other genres, as listed."""
        listed = films.drop(columns=["runtime_minutes", "directors", "collection_id"])
        rows: Any = listed.assign(observed_at=AS_OF, listed_year=2020).to_dict("records")
        with self.engine.begin() as connection:
            bulk.copy_upsert(connection, tables.other_movies, rows)

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with self.engine.connect() as connection:
            return [tuple(row) for row in connection.execute(text(query))]

    def value(self, query: str) -> Any:
        return self.rows(query)[0][0]

    def stored(self) -> dict[str, list[tuple[Any, ...]]]:
        return {table: self.rows(f"SELECT xmin::text, * FROM {table} ORDER BY 2, 3") for table in LEARNT}


@contextmanager
def learning(url: URL) -> Iterator[Learning]:
    """Runs in a warehouse; nobody is connected to it when the block ends, so it can be copied."""
    with dg.DagsterInstance.ephemeral() as instance:
        engine = connect(url)
        yield Learning(engine, instance)
        engine.dispose()
