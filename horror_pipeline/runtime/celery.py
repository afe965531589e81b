"""Celery as the run launcher and as the worker: one configuration for both sides of the broker.

`celery -A horror_pipeline.runtime.celery worker` executes the pipeline's runs; `horror worker` starts that command.
"""

from __future__ import annotations

from typing import Any

from dagster_celery.launcher import CeleryRunLauncher
from dagster_celery.tasks import create_execute_job_task

from horror_pipeline.errors import SettingsError
from horror_pipeline.settings import get_settings

LONGEST_RUN_SECONDS = 5 * 3600
"""Time after which the broker gives an unfinished run to another worker. It exceeds the longest time that Dagster lets
a run take, `run_monitoring.max_runtime_seconds`, so that no run is executed twice at once."""

PAUSES = {"interval_start": 0.5, "interval_step": 0.5, "interval_max": 5}
"""Seconds between attempts to reach the broker."""

CONFIGURATION: dict[str, Any] = {
    # A worker takes no more runs than it can execute at once, and leaves the rest to other workers.
    "task_acks_late": True,
    "worker_prefetch_multiplier": 1,
    "broker_transport_options": {"visibility_timeout": LONGEST_RUN_SECONDS, **PAUSES},
    # Runs report to Dagster's storage. Results kept by Celery would be one more service that can fail.
    "task_ignore_result": True,
    # While the broker cannot be reached, workers wait for it, and the daemon tries for a minute to hand over a run.
    "broker_connection_retry_on_startup": True,
    "broker_connection_max_retries": None,
    "broker_connection_timeout": 60,
    "task_publish_retry_policy": {"max_retries": 15, **PAUSES},
    # Dagster writes to its event log; the worker's own log is for its start, its end and its broker.
    "worker_hijack_root_logger": False,
    "worker_redirect_stdouts": False,
}


class CeleryLauncher(CeleryRunLauncher):
    """Hands each run as a whole to one of the workers."""

    def __init__(self, inst_data: Any = None, **_: Any) -> None:
        settings = get_settings()
        if settings.celery_broker_url is None:
            raise SettingsError("CELERY_BROKER_URL is not set", "set it to the broker, like redis://localhost:6379/0")
        super().__init__(
            default_queue="dagster",
            broker=settings.celery_broker_url.get_secret_value(),
            backend="disabled://",
            config_source=CONFIGURATION,
            inst_data=inst_data,
        )

    @classmethod
    def config_type(cls) -> Any:
        """Accept no configuration in `dagster.yaml`, because the settings hold all of it."""
        return {}

    @property
    def supports_check_run_worker_health(self) -> bool:
        """Return False: the lock that each run holds in the warehouse shows its health, with or without a broker."""
        return False

    def get_run_worker_debug_info(self, run: Any, include_container_logs: bool | None = True) -> None:
        """Return None, because Celery is configured to keep no results."""


def __getattr__(name: str) -> Any:
    """Create the Celery app when the worker reads this module's attribute `app`."""
    if name != "app":
        raise AttributeError(name)
    app = CeleryLauncher().celery
    create_execute_job_task(app)
    return app
