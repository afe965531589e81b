"""The Postgres storage that `dagster.yaml` names: located in the way the `horror` command does, but only on first use.

`dg list defs` reads the project's `dagster.yaml` and stores nothing, so it must not need a database. `dg dev` stores
runs, so it must find the database, and start the embedded Postgres, without a variable being set. Dagster's own storage
can do neither: it takes its address from a variable, and connects when it is created.
"""

from __future__ import annotations

import json
import os
import weakref
from threading import RLock
from typing import Any

import dagster as dg
from dagster_postgres import (
    DagsterPostgresStorage,
    PostgresEventLogStorage,
    PostgresRunStorage,
    PostgresScheduleStorage,
)

from horror_pipeline.domain import TMDB_POOL
from horror_pipeline.runtime.environment import MODULE, process_environment

_lock = RLock()


def storage_url() -> str:
    """Return the address of Dagster's database: `DAGSTER_PG_URL`, or what the settings of this process say."""
    if url := os.environ.get("DAGSTER_PG_URL"):
        return url
    return process_environment().dagster_url.render_as_string(hide_password=False)


class _OpensOnUse:
    """Delay a storage's constructor, which connects, until one of its attributes is needed."""

    _is_open = False
    _given_to: weakref.ref[dg.DagsterInstance] | None = None

    def __init__(self) -> None:
        """Do not call the storage's constructor yet, because it connects."""

    def __getattr__(self, name: str) -> Any:
        """Open the storage. Python calls this for attributes that are not set, as before the constructor has run."""
        if name.startswith("__"):
            raise AttributeError(name)
        with _lock:
            if not self._is_open:
                self._is_open = True
                try:
                    super().__init__(storage_url())  # type: ignore[call-arg]  # the storage's, next in the MRO
                except BaseException:
                    self._is_open = False
                    raise
                if self._given_to is not None and (instance := self._given_to()) is not None:
                    self.register_instance(instance)
        return object.__getattribute__(self, name)

    def register_instance(self, instance: dg.DagsterInstance) -> None:
        """Pass the instance on to the storage, now or once it is open."""
        self._given_to = weakref.ref(instance)
        if self._is_open:
            super().register_instance(instance)  # type: ignore[misc]

    def dispose(self) -> None:
        """Close the storage if it was opened."""
        if self._is_open:
            super().dispose()  # type: ignore[misc]


class _RunStorage(_OpensOnUse, PostgresRunStorage):
    def add_run(self, dagster_run: dg.DagsterRun) -> dg.DagsterRun:
        """Store a run together with the code location that defines its job.

        Dagster omits the code location of a run that is executed by the process that launched it, such as
        `horror run`. Without the code location, Dagster's UI cannot execute the run again.
        """
        if dagster_run.remote_job_origin is None and not dagster_run.job_name.startswith("__ephemeral"):
            dagster_run = dagster_run._replace(remote_job_origin=_origin(dagster_run.job_name))
        return super().add_run(dagster_run)


def _origin(job_name: str) -> Any:
    """Build the reference to a job of our code location, as Dagster stores it."""
    location = {"__class__": "RegisteredRepositoryLocationOrigin", "location_name": MODULE}
    repository = {
        "__class__": "ExternalRepositoryOrigin",
        "repository_location_origin": location,
        "repository_name": "__repository__",
    }
    origin = {"__class__": "ExternalPipelineOrigin", "external_repository_origin": repository}
    return dg.deserialize_value(json.dumps({**origin, "pipeline_name": job_name}))


class _EventLogStorage(_OpensOnUse, PostgresEventLogStorage):
    def get_concurrency_keys(self) -> set[str]:
        """Return the pools that have a limit, and first give TMDB's pool its limit if it has none.

        Dagster itself sets the limit only after it has decided which queued runs may start, so in a fresh database all
        of the first runs would start at once.
        """
        if TMDB_POOL not in (pools := super().get_concurrency_keys()):
            self.initialize_concurrency_limit_to_default(TMDB_POOL)
            pools = super().get_concurrency_keys()
        return pools


class _ScheduleStorage(_OpensOnUse, PostgresScheduleStorage):
    pass


class PipelineStorage(DagsterPostgresStorage):
    """Runs, events and schedules in the database that the `horror` command uses for Dagster."""

    def __init__(self, inst_data: Any = None) -> None:
        # The parent's constructor is not called, because it connects.
        self._given = inst_data
        self._runs, self._events, self._schedules = _RunStorage(), _EventLogStorage(), _ScheduleStorage()

    @property
    def inst_data(self) -> Any:
        """Return what `dagster.yaml` says of this storage."""
        return self._given

    @property
    def run_storage(self) -> PostgresRunStorage:
        """Return the storage of runs."""
        return self._runs

    @property
    def event_log_storage(self) -> PostgresEventLogStorage:
        """Return the storage of events."""
        return self._events

    @property
    def schedule_storage(self) -> PostgresScheduleStorage:
        """Return the storage of schedules and sensors."""
        return self._schedules

    @classmethod
    def config_type(cls) -> dict[str, Any]:
        """Accept no configuration, because the address is not written in `dagster.yaml`."""
        return {}

    @classmethod
    def from_config_value(cls, inst_data: Any, config_value: Any) -> PipelineStorage:
        """Make the storage that `dagster.yaml` names."""
        return cls(inst_data)
