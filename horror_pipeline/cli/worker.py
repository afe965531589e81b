"""`horror worker`: this machine executes the runs that Dagster's daemon hands to Celery."""

from __future__ import annotations

import os
import sys
from typing import NoReturn

from horror_pipeline.cli.exec import exec_with_environment
from horror_pipeline.cli.terminal import print_note
from horror_pipeline.errors import SettingsError
from horror_pipeline.runtime.environment import Environment
from horror_pipeline.runtime.run_launcher import require_extra
from horror_pipeline.settings import Settings


def serve_runs(settings: Settings, runs: int, wait_seconds: float) -> NoReturn:
    """Become Celery's worker, once this host is known to fit the others.

    Raises:
        HorrorError: the settings name another launcher, or the code or the schema is of another version.
    """
    if settings.horror_run_launcher != "celery":
        raise SettingsError(
            f"HORROR_RUN_LAUNCHER is {settings.horror_run_launcher}, which hands no run to a worker",
            "set HORROR_RUN_LAUNCHER=celery and CELERY_BROKER_URL here and where `horror up` runs",
        )
    require_extra("celery")
    command = [sys.executable, "-m", "celery", "--app", "horror_pipeline.runtime.celery", "worker"]
    name = f"horror-{os.getpid()}@%h"  # several may be on one machine
    options = [
        "--hostname",
        name,
        "--concurrency",
        str(runs),
        "--loglevel",
        "INFO",
        "--without-gossip",
        "--without-mingle",
    ]
    exec_with_environment([*command, *options], settings, wait_seconds, print_note, _check)


def _check(environment: Environment) -> None:
    import dagster as dg

    from horror_pipeline.orchestration.code_version import require_same_code
    from horror_pipeline.orchestration.liveness import reap_dead_runs
    from horror_pipeline.warehouse.engine import opened

    with opened(environment.database_url) as engine, dg.DagsterInstance.get() as instance:
        require_same_code(engine)
        reap_dead_runs(instance, engine)
