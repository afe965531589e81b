"""`horror up`: the processes that it serves (Dagster's code server, UI and daemon, and the dashboard) as one."""

from __future__ import annotations

import fcntl
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from rich.console import Console

from horror_pipeline.errors import HorrorError
from horror_pipeline.runtime import postgres
from horror_pipeline.runtime.environment import MODULE, PROJECT_ROOT, Environment
from horror_pipeline.runtime.ports import (
    answers,
    connectable,
    daemon_is_healthy,
    free_port,
    listens,
    local_url,
    require_free_port,
)
from horror_pipeline.runtime.processes import Child, Supervisor
from horror_pipeline.runtime.signals import ENDING
from horror_pipeline.settings import Settings

POOL_SECONDS = 30
"""Age at which the UI replaces its database connections. It does not notice that one has died while idle, as all do
when Postgres restarts or a hosted one suspends, and then answers once with an error."""


def serve(environment: Environment, out: Console) -> None:
    """Serve until SIGINT, SIGTERM or SIGHUP; leave no process behind.

    Raises:
        HorrorError: a process does not start or keeps dying.
    """
    settings = environment.settings
    say = partial(out.print, markup=False, soft_wrap=True)
    # The children's folder holds no `.env`: Dagster would let it override what is exported here.
    embedded_home = settings.horror_home if environment.is_embedded else None
    supervisor = Supervisor(environment.variables(), settings.dagster_home, say, embedded_home)
    for number in ENDING:
        signal.signal(number, supervisor.request_stop)
    try:
        for child in children(settings):
            supervisor.start(child)
        say(f"Dagster UI  {local_url(settings.horror_web_host, settings.horror_ui_port)}")
        say(f"dashboard   {local_url(settings.horror_web_host, settings.horror_web_port)}")
        say(f"logs in {settings.log_dir}; Ctrl-C stops everything")
        supervisor.watch(_keep_embedded(settings, say) if environment.is_embedded else lambda: None)
        say("stopping …")
    finally:
        supervisor.stop()


@contextmanager
def reserved(settings: Settings) -> Iterator[None]:
    """Make sure, before anything is started, that nobody else serves this home or uses these ports.

    Two at once would give each other's runs the wrong code server. The kernel frees the lock of a killed process.

    Raises:
        HorrorError: another `horror up` serves this home, or a port is in use.
    """
    with (settings.dagster_home / "up.lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise HorrorError(
                f"another `horror up` serves {settings.horror_home}", "stop it, or set HORROR_HOME to another folder"
            ) from None
        for port, name in ((settings.horror_ui_port, "HORROR_UI_PORT"), (settings.horror_web_port, "HORROR_WEB_PORT")):
            require_free_port(settings.horror_web_host, port, name)
        yield


def children(settings: Settings) -> Sequence[Child]:
    """Return the processes of `horror up`, in the order in which they are started."""
    code_port = free_port()
    workspace = settings.dagster_home / "workspace.yaml"
    workspace.write_text(
        f"load_from:\n  - grpc_server: {{host: 127.0.0.1, port: {code_port}, location_name: {MODULE}}}\n"
    )
    programs, logs, host = Path(sys.executable).parent, settings.log_dir, settings.horror_web_host
    ui_url = local_url(host, settings.horror_ui_port)
    return [
        Child(
            "Dagster code server",
            # Not `dagster code-server`: its proxy outlives the server behind it, and then nothing can be launched
            # until somebody reloads the location by hand. This one dies as a whole and is started again.
            [str(programs / "dagster"), "api", "grpc", "-h", "127.0.0.1", "-p", str(code_port), "-m", MODULE]
            + ["-d", str(PROJECT_ROOT)],
            logs / "code-server.log",
            lambda: listens("127.0.0.1", code_port),
        ),
        Child(
            "Dagster UI",
            [str(programs / "dagster-webserver"), "-h", host, "-p", str(settings.horror_ui_port), "-w", str(workspace)]
            + ["--db-pool-recycle", str(POOL_SECONDS)],
            logs / "webserver.log",
            lambda: answers(f"{ui_url}/server_info"),
        ),
        Child(
            "Dagster daemon",
            [str(programs / "dagster-daemon"), "run", "-w", str(workspace)],
            logs / "daemon.log",
            lambda: daemon_is_healthy(f"{ui_url}/graphql"),
        ),
        Child(
            "dashboard",
            [sys.executable, "-m", "horror_pipeline.web", "--host", host, "--port", str(settings.horror_web_port)]
            + ["--poll-interval-ms", str(settings.poll_interval_ms)],
            logs / "web.log",
            lambda: listens(connectable(host), settings.horror_web_port),
        ),
    ]


def _keep_embedded(settings: Settings, say: Callable[[str], None]) -> Callable[[], None]:
    """Return what starts the embedded Postgres again if it was killed; it recovers by itself."""

    def on_tick() -> None:
        if not postgres.is_running(settings.horror_home):
            say(f"the embedded Postgres is gone; starting it again (log: {settings.log_dir / 'postgres.log'})")
            postgres.ensure_running(settings.horror_home)

    return on_tick
