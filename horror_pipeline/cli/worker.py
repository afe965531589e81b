"""`horror worker`: this machine executes the runs that Dagster's daemon hands to Celery."""

from __future__ import annotations

import os
import sys
import time
from contextlib import ExitStack

from horror_pipeline.cli.exec import retried, run_child
from horror_pipeline.cli.terminal import print_note
from horror_pipeline.errors import SettingsError
from horror_pipeline.runtime.environment import Environment, prepared
from horror_pipeline.runtime.run_launcher import require_extra
from horror_pipeline.settings import Settings

PAUSE_SECONDS = 2.0


def serve_runs(settings: Settings, runs: int, wait_seconds: float) -> None:
    """Check that this host may execute runs, then run Celery's worker until it is asked to stop.

    Raises:
        HorrorError: the settings name another launcher, or the code or the schema is of another version.
    """
    if settings.horror_run_launcher != "celery":
        raise SettingsError(
            f"HORROR_RUN_LAUNCHER is {settings.horror_run_launcher}, which sends no runs to workers",
            "set HORROR_RUN_LAUNCHER=celery and CELERY_BROKER_URL here and where `horror up` runs",
        )
    require_extra("celery")
    command = [sys.executable, "-m", "celery", "--app", "horror_pipeline.runtime.celery", "worker"]
    command += ["--hostname", f"horror-{os.getpid()}@%h"]  # unique, as one machine may run several workers
    command += ["--concurrency", str(runs), "--loglevel", "INFO", "--without-gossip", "--without-mingle"]
    with ExitStack() as stack:
        _check(retried(lambda: stack.enter_context(prepared(settings)), wait_seconds, print_note))
        # When the broker is lost, Celery's worker ends as soon as its runs have ended.
        while code := run_child(command):
            print_note(f"Celery's worker ended with exit code {code}; starting it again")
            time.sleep(PAUSE_SECONDS)


def _check(environment: Environment) -> None:
    import dagster as dg

    from horror_pipeline.orchestration.code_version import require_same_code
    from horror_pipeline.orchestration.liveness import reap_dead_runs
    from horror_pipeline.warehouse.engine import opened

    with opened(environment.database_url) as engine, dg.DagsterInstance.get() as instance:
        require_same_code(engine)
        reap_dead_runs(instance, engine)
