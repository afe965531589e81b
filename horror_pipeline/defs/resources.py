"""What assets work with: the warehouse, TMDB, the settings and the clock, handed out as plain objects.

An asset asks for `warehouse: Warehouse`, `tmdb: Tmdb`, `settings: PipelineSettings` or `clock: Clock`; a test passes
its own objects. Credentials are given as `dg.EnvVar`, so Dagster stores and shows only the name of the variable, never
its value.

Because this module has a `@dg.definitions` function, `load_from_defs_folder` would ignore any asset defined in it.
"""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import dagster as dg
from pydantic import Field
from sqlalchemy import URL, Engine

from horror_pipeline.demo.process import spawn
from horror_pipeline.orchestration.code_version import require_same_code
from horror_pipeline.orchestration.liveness import executing
from horror_pipeline.settings import TMDB_API_URL, TMDB_EXPORTS_URL, Settings, get_settings, postgres_url
from horror_pipeline.tmdb.client import TmdbClient
from horror_pipeline.warehouse import data_source, schema
from horror_pipeline.warehouse.engine import connect
from horror_pipeline.warehouse.locks import kept_data

DEMO_KEY = "demo"

UNLIMITED = 100_000.0
"""Requests per second to the demo TMDB, unless a setting asks for fewer."""

Warehouse = dg.ResourceParam[Engine]
Tmdb = dg.ResourceParam[TmdbClient]
PipelineSettings = dg.ResourceParam[Settings]
Clock = dg.ResourceParam[Callable[[], dt.datetime]]
"""Returns the present moment, UTC; the only way in which an asset learns the time."""


def utc_now() -> dt.datetime:
    """Return the present moment with its zone."""
    return dt.datetime.now(dt.UTC)


class WarehouseResource(dg.ConfigurableResource[Engine]):
    """The warehouse as a SQLAlchemy engine. Another schema version is refused, as is mixing demo data with TMDB's."""

    database_url: str | None = Field(
        None, description="Address of the warehouse. Without it, the settings or the embedded Postgres are used."
    )

    @contextmanager
    def yield_for_execution(self, context: dg.InitResourceContext) -> Iterator[Engine]:
        """Hand out an engine for one run, during which no data can be purged, and close its connections afterwards."""
        engine, settings = connect(self._url()), get_settings()
        with ExitStack() as stack:
            stack.callback(engine.dispose)
            schema.require_current_schema(engine)
            if context.run is not None and context.instance is not None:
                if settings.horror_run_launcher != "default":
                    require_same_code(engine)
                stack.enter_context(executing(engine, context.instance, context.run.run_id))
                stack.enter_context(kept_data(engine))
            with engine.begin() as connection:
                data_source.claim_source(
                    connection,
                    settings.is_demo,
                    settings.tmdb_api_url,
                    utc_now(),
                    gap_min_votes=settings.horror_gap_min_votes,
                )
            yield engine

    def _url(self) -> URL:
        setting = get_settings().database_url  # from the environment or `.env`
        if url := self.database_url or (setting.get_secret_value() if setting else None):
            return postgres_url(url)
        from horror_pipeline.runtime.environment import process_environment

        return process_environment().database_url


class TmdbResource(dg.ConfigurableResource[TmdbClient]):
    """A client of TMDB with one rate limit. Without a credential, it calls the demo, which runs in a child process."""

    api_key: str | None = Field(None, description="TMDB v3 key or v4 read access token. Without it, the demo is used.")
    api_url: str = Field(TMDB_API_URL, description="Base URL of TMDB's API.")
    exports_url: str = Field(TMDB_EXPORTS_URL, description="Base URL of TMDB's daily id exports.")
    requests_per_second: float = Field(UNLIMITED, description="Most requests per second, over all connections.")
    connections: int = Field(16, description="Connections kept open at once.")

    @contextmanager
    def yield_for_execution(self, context: dg.InitResourceContext) -> Iterator[TmdbClient]:
        """Hand out a client for one run."""
        setting = get_settings().tmdb_api_key  # from the environment or `.env`
        api_key = self.api_key or (setting.get_secret_value() if setting else None)
        with ExitStack() as stack:
            api_url, exports_url = self.api_url, self.exports_url
            if api_key is None and api_url == TMDB_API_URL:  # no running demo was configured
                demo = stack.enter_context(spawn())
                api_url, exports_url = demo.api_url, demo.exports_url
            client = TmdbClient(
                api_url=api_url,
                exports_url=exports_url,
                api_key=api_key or DEMO_KEY,
                requests_per_second=self.requests_per_second,
                connections=self.connections,
            )
            yield stack.enter_context(client)


def _from_environment(variable: str) -> dg.EnvVar | None:
    """Refer to a variable by its name if it is set; Dagster does not start a run that refers to an unset one."""
    return dg.EnvVar(variable) if os.environ.get(variable) else None


@dg.definitions
def resources() -> dg.Definitions:
    """Define the resources, and the executor of every run.

    A run executes all its steps in one process. With steps this short, that is six times as fast as Dagster's default.
    """
    settings = get_settings()
    is_paced = not settings.is_demo or "tmdb_requests_per_second" in settings.model_fields_set
    return dg.Definitions(
        resources={
            "warehouse": WarehouseResource(database_url=_from_environment("DATABASE_URL")),
            "tmdb": TmdbResource(
                api_key=_from_environment("TMDB_API_KEY"),
                api_url=settings.tmdb_api_url,
                exports_url=settings.tmdb_exports_url,
                requests_per_second=settings.tmdb_requests_per_second if is_paced else UNLIMITED,
                connections=settings.tmdb_connections,
            ),
            "settings": dg.ResourceDefinition(lambda _: get_settings(), description="The settings of the process."),
            "clock": dg.ResourceDefinition.hardcoded_resource(utc_now, "The wall clock."),
        },
        executor=dg.in_process_executor,
    )
