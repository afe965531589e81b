"""Running the ingestion assets against a TMDB in memory and an empty warehouse."""

from __future__ import annotations

import datetime as dt
from typing import Any

import dagster as dg
from sqlalchemy import Engine, text

from horror_pipeline.defs import movies, raw
from horror_pipeline.orchestration.missing import range_tags
from horror_pipeline.settings import Settings
from horror_pipeline_tests.tmdb.fake import FakeTmdb, make_client

NOW = dt.datetime(2026, 11, 22, 12, tzinfo=dt.UTC)
CATALOGUE = (raw.discover_pages, raw.movie_details, movies.movies)


class Ingest:
    """Materialises assets; `now` is the clock, `tmdb` what the client talks to."""

    def __init__(self, engine: Engine, tmdb: FakeTmdb, instance: dg.DagsterInstance) -> None:
        self.engine, self.tmdb, self.now = engine, tmdb, NOW
        self.client = make_client(tmdb)
        self.settings = Settings(_env_file=None)
        self.instance = instance

    def run(
        self,
        *assets: dg.AssetsDefinition,
        first: str = "2020",
        last: str = "2021",
        tags: dict[str, str] | None = None,
        succeeds: bool = True,
    ) -> dg.ExecuteInProcessResult:
        result = dg.materialize(
            assets or CATALOGUE,
            instance=self.instance,
            tags=range_tags(first, last) if tags is None else tags,
            resources={
                "warehouse": self.engine,
                "tmdb": self.client,
                "settings": self.settings,
                "clock": lambda: self.now,
            },
            raise_on_error=False,
        )
        assert result.success is succeeds, [event.message for event in result.all_events if event.is_failure]
        return result

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with self.engine.connect() as connection:
            return [tuple(row) for row in connection.execute(text(query))]

    def value(self, query: str) -> Any:
        return self.rows(query)[0][0]


def figures(result: dg.ExecuteInProcessResult, key: str, partition: str) -> dict[str, Any]:
    """The metadata of an asset's materialisation, as plain values."""
    (found,) = [
        event.step_materialization_data.materialization
        for event in result.all_events
        if event.is_step_materialization
        and event.asset_key is not None
        and event.asset_key.to_user_string() == key
        and event.partition == partition
    ]
    return {name: entry.value for name, entry in found.metadata.items()}


def checks(result: dg.ExecuteInProcessResult) -> dict[str, dg.AssetCheckEvaluation]:
    """The asset checks of a run by name."""
    return {one.check_name: one for one in result.get_asset_check_evaluations()}
