"""`horror up`: run Dagster's code server, UI and daemon, and the dashboard, until it is stopped."""

from __future__ import annotations

import fcntl
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import psutil
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

DAEMON = "Dagster daemon"

POOL_SECONDS = 30
"""Age at which the UI replaces its database connections. All idle connections die when Postgres restarts or a hosted
database suspends. The UI does not notice this, and would answer one request with an error."""

MOST_DAEMON_BYTES = 1_000_000_000
"""Memory above which the daemon is restarted while no run is under way. It starts with some 150 MB, and may grow for
months."""

MEMORY_SECONDS = 60.0
"""How often the daemon's memory is measured."""


def serve(environment: Environment, out: Console) -> None:
    """Serve until SIGINT, SIGTERM or SIGHUP; leave no process behind.

    Raises:
        HorrorError: a process does not start or keeps dying.
    """
    settings = environment.settings
    say = partial(out.print, markup=False, soft_wrap=True)
    # The children run in a folder without `.env`, because Dagster would let that file override what is exported here.
    embedded_home = settings.horror_home if environment.is_embedded else None
    supervisor = Supervisor(environment.variables(), settings.dagster_home, say, embedded_home)
    for number in ENDING:
        signal.signal(number, supervisor.request_stop)
    try:
        code_server, *others = children(settings)
        supervisor.start(code_server)
        supervisor.start(*others)
        say(f"Dagster UI  {local_url(settings.horror_web_host, settings.horror_ui_port)}")
        say(f"dashboard   {local_url(settings.horror_web_host, settings.horror_web_port)}")
        say(f"logs in {settings.log_dir}; Ctrl-C stops everything")
        daemon = next(child for child in others if child.name == DAEMON)
        renew = renewing(daemon, MOST_DAEMON_BYTES, _is_idle, say)

        def on_tick() -> None:
            if embedded_home is not None:
                _keep_embedded(settings, say)
            renew()

        supervisor.watch(on_tick)
        say("stopping …")
    finally:
        supervisor.stop()


@contextmanager
def reserved(settings: Settings) -> Iterator[None]:
    """Make sure, before anything is started, that nobody else serves this home or uses these ports.

    Two of one home would launch runs on each other's code server. The kernel frees the lock of a killed process.

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


def workspace_file(settings: Settings) -> Path:
    """Return the file by which the UI and the daemon of this home find the code server."""
    return settings.dagster_home / "workspace.yaml"


def children(settings: Settings) -> Sequence[Child]:
    """Return the processes of `horror up`: the code server, and those that are started once it answers."""
    code_port = free_port()
    workspace = workspace_file(settings)
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
            DAEMON,
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


def _keep_embedded(settings: Settings, say: Callable[[str], None]) -> None:
    """Restart the embedded Postgres if it was killed; its data recovers by itself."""
    if not postgres.is_running(settings.horror_home):
        say(f"the embedded Postgres is gone; starting it again (log: {settings.log_dir / 'postgres.log'})")
        postgres.ensure_running(settings.horror_home)


def renewing(
    child: Child, most_bytes: int, is_idle: Callable[[], bool], say: Callable[[str], None]
) -> Callable[[], None]:
    """Return a function that ends a child that has grown too large; the supervisor then restarts it.

    Args:
        child: the child.
        most_bytes: the memory that the child may use.
        is_idle: returns whether the child may be ended now.
        say: receives a line for the person at the terminal.
    """
    next_look = time.monotonic() + MEMORY_SECONDS

    def on_tick() -> None:
        nonlocal next_look
        if child.process is None or child.is_dead() or time.monotonic() < next_look:
            return
        next_look = time.monotonic() + MEMORY_SECONDS
        used = psutil.Process(child.process.pid).memory_info().rss
        if used > most_bytes and is_idle():
            say(f"{child.name} has grown to {used / 1e6:,.0f} MB; restarting it now that no run is under way")
            child.process.terminate()

    return on_tick


def _is_idle() -> bool:
    import dagster as dg

    from horror_pipeline.defs.schedules import ACTIVE

    with dg.DagsterInstance.get() as instance:
        return not instance.get_run_records(dg.RunsFilter(statuses=ACTIVE), limit=1)
