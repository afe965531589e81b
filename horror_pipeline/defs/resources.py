"""What assets work with: the warehouse, TMDB, the settings and the clock, as plain objects.

What belongs here: building those objects from the settings, once a run. What does not: using them. This module holds
the `@dg.definitions` of the resources and therefore no asset: `load_from_defs_folder` would drop it.

An asset asks for `warehouse: dg.ResourceParam[Engine]`, `tmdb: dg.ResourceParam[TmdbClient]`,
`settings: dg.ResourceParam[Settings]` or `clock: dg.ResourceParam[Clock]`; a test passes its own. The credential is
never a resource field, so Dagster never stores it.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import dagster as dg
from sqlalchemy import Engine

from horror_pipeline.demo.process import spawn
from horror_pipeline.errors import SettingsError
from horror_pipeline.orchestration.liveness import process_tags
from horror_pipeline.settings import Settings, get_settings, postgres_url
from horror_pipeline.tmdb.client import TmdbClient
from horror_pipeline.warehouse import data_source, schema
from horror_pipeline.warehouse.engine import connect

DEMO_KEY = "demo"

Clock = Callable[[], dt.datetime]
"""The present moment, UTC; the only way an asset learns the time."""


def utc_now() -> dt.datetime:
    """The present moment with its zone."""
    return dt.datetime.now(dt.UTC)


class WarehouseResource(dg.ConfigurableResource[Engine]):
    """The warehouse as a SQLAlchemy engine. Refuses another schema version, and demo data beside TMDB's."""

    @contextmanager
    def yield_for_execution(self, context: dg.InitResourceContext) -> Iterator[Engine]:
        """Hand out an engine for one run and close its connections after it."""
        if context.run is not None and context.instance is not None:
            context.instance.add_run_tags(context.run.run_id, process_tags(context.run.run_id))
        settings = get_settings()
        if settings.database_url is None:
            raise SettingsError('DATABASE_URL is not set in this shell; run: eval "$(horror env)"')
        engine = connect(postgres_url(settings.database_url.get_secret_value()))
        try:
            schema.require_current_schema(engine)
            with engine.begin() as connection:
                data_source.claim_source(
                    connection,
                    settings.is_demo,
                    settings.tmdb_api_url,
                    utc_now(),
                    gap_min_votes=settings.horror_gap_min_votes,
                )
            yield engine
        finally:
            engine.dispose()


UNLIMITED = 100_000.0
"""Requests per second to the demo, which nobody pays for, unless a setting asks for fewer."""


class TmdbResource(dg.ConfigurableResource[TmdbClient]):
    """TMDB under one rate limit; without a credential the made-up one, served by a child process of the run."""

    @contextmanager
    def yield_for_execution(self, context: dg.InitResourceContext) -> Iterator[TmdbClient]:
        """Hand out a client for one run."""
        settings = get_settings()
        with ExitStack() as stack:
            if settings.tmdb_source != "tmdb":
                api_url, exports_url, pace = settings.tmdb_api_url, settings.tmdb_exports_url, UNLIMITED
                if "tmdb_requests_per_second" in settings.model_fields_set:
                    pace = settings.tmdb_requests_per_second
                if settings.tmdb_source == "own_demo":
                    demo = stack.enter_context(spawn())
                    api_url, exports_url = demo.api_url, demo.exports_url
                client = TmdbClient(
                    api_url=api_url,
                    exports_url=exports_url,
                    api_key=DEMO_KEY,
                    requests_per_second=pace,
                    connections=settings.tmdb_connections,
                )
            else:
                client = TmdbClient.from_settings(settings)
            yield stack.enter_context(client)


class SettingsResource(dg.ConfigurableResource[Settings]):
    """The settings of the process."""

    def create_resource(self, context: dg.InitResourceContext) -> Settings:
        """Hand out the settings."""
        return get_settings()


class ClockResource(dg.ConfigurableResource[Clock]):
    """The wall clock."""

    def create_resource(self, context: dg.InitResourceContext) -> Clock:
        """Hand out the function that tells the time."""
        return utc_now


@dg.definitions
def resources() -> dg.Definitions:
    """The resources and the executor of every run.

    One process runs a whole job: six times cheaper than Dagster's default for steps as small as ours.
    """
    return dg.Definitions(
        resources={
            "warehouse": WarehouseResource(),
            "tmdb": TmdbResource(),
            "settings": SettingsResource(),
            "clock": ClockResource(),
        },
        executor=dg.in_process_executor,
    )
