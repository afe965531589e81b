"""What `horror up` serves: Dagster's code server, UI and daemon, and the dashboard, supervised as one.

What belongs here: which processes, their command lines and when each is ready. What does not: supervising.
"""

from __future__ import annotations

import fcntl
import json
import signal
import socket
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from horror_pipeline.errors import HorrorError
from horror_pipeline.runtime import postgres
from horror_pipeline.runtime.environment import MODULE, PROJECT_ROOT, Environment
from horror_pipeline.runtime.processes import Child, Supervisor
from horror_pipeline.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Sequence

POOL_SECONDS = 30
"""Age at which the UI opens its database connections anew. It does not notice that one has died while idle, as all do
when Postgres restarts or a hosted one falls asleep, and answers once with an error."""


def serve(environment: Environment, out: Console) -> None:
    """Serve until SIGINT or SIGTERM; leave no process behind.

    Raises:
        HorrorError: a process would not start or keeps dying.
    """
    settings = environment.settings
    _reap()
    # Children run where no `.env` lies: Dagster would let it override what is exported here.
    last_command = _stop_embedded(settings) if environment.is_embedded else ()
    say = partial(out.print, markup=False, soft_wrap=True)
    supervisor = Supervisor(environment.variables(), settings.dagster_home, say, last_command)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, supervisor.request_stop)
    try:
        for child in children(settings):
            supervisor.start(child)
        say(f"Dagster UI  {url(settings, settings.horror_ui_port)}")
        say(f"dashboard   {url(settings, settings.horror_web_port)}")
        say(f"logs in {settings.log_dir}; Ctrl-C stops everything")
        supervisor.watch(_keep_embedded(settings, say) if environment.is_embedded else lambda: None)
        say("stopping …")
    finally:
        supervisor.stop()


@contextmanager
def reserved(settings: Settings) -> Iterator[None]:
    """Make sure, before anything is started, that this home and these ports are served by nobody else.

    Two at once would hand each other's runs the wrong code server, and take them for dead. The kernel frees the lock
    of a killed process.

    Raises:
        HorrorError: another `horror up` serves this home, or a port is in use; names what to do.
    """
    with (settings.dagster_home / "up.lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise HorrorError(
                f"another `horror up` serves {settings.horror_home}; stop it, or set HORROR_HOME to another folder"
            ) from None
        for port, name in ((settings.horror_ui_port, "HORROR_UI_PORT"), (settings.horror_web_port, "HORROR_WEB_PORT")):
            require_free_port(settings.horror_web_host, port, name)
        yield


def children(settings: Settings) -> Sequence[Child]:
    """The processes of `horror up`, in the order they are started."""
    code_port = free_port()
    workspace = settings.dagster_home / "workspace.yaml"
    workspace.write_text(
        f"load_from:\n  - grpc_server: {{host: 127.0.0.1, port: {code_port}, location_name: {MODULE}}}\n"
    )
    bin_, logs, host = Path(sys.executable).parent, settings.log_dir, settings.horror_web_host
    return [
        Child(
            "Dagster code server",
            # Not `dagster code-server`: its proxy outlives the server behind it, and then nothing can be launched
            # until somebody reloads the location by hand. This one dies as a whole and is started again.
            [str(bin_ / "dagster"), "api", "grpc", "-h", "127.0.0.1", "-p", str(code_port), "-m", MODULE]
            + ["-d", str(PROJECT_ROOT)],
            logs / "code-server.log",
            lambda: _listens("127.0.0.1", code_port),
        ),
        Child(
            "Dagster UI",
            [str(bin_ / "dagster-webserver"), "-h", host, "-p", str(settings.horror_ui_port), "-w", str(workspace)]
            + ["--db-pool-recycle", str(POOL_SECONDS)],
            logs / "webserver.log",
            answers(f"{url(settings, settings.horror_ui_port)}/server_info"),
        ),
        Child(
            "Dagster daemon",
            [str(bin_ / "dagster-daemon"), "run", "-w", str(workspace)],
            logs / "daemon.log",
            daemon_is_healthy(f"{url(settings, settings.horror_ui_port)}/graphql"),
        ),
        Child(
            "dashboard",
            [sys.executable, "-m", "horror_pipeline.web", "--host", host, "--port", str(settings.horror_web_port)]
            + ["--poll-interval-ms", str(settings.poll_interval_ms)],
            logs / "web.log",
            lambda: _listens(_connectable(host), settings.horror_web_port),
        ),
    ]


def _keep_embedded(settings: Settings, say: Callable[[str], None]) -> Callable[[], None]:
    """What starts the embedded Postgres again when it was killed; it recovers by itself."""

    def tend() -> None:
        if not postgres.is_running(settings.horror_home):
            say(f"the embedded Postgres is gone; starting it again (log: {settings.log_dir / 'postgres.log'})")
            postgres.ensure_running(settings.horror_home)

    return tend


def _stop_embedded(settings: Settings) -> list[str]:
    """What stops the embedded Postgres if nobody uses it any more: whoever leaves last does."""
    leave = (
        "import pathlib, sys; from horror_pipeline.runtime import postgres as e\nwith e.session(pathlib.Path(sys.argv[1])): 0"
    )
    return [sys.executable, "-c", leave, str(settings.horror_home)]


def _reap() -> None:
    import dagster as dg

    from horror_pipeline.orchestration.liveness import reap_dead_runs

    with dg.DagsterInstance.get() as instance:
        reap_dead_runs(instance, also_untagged=True)


def url(settings: Settings, port: int) -> str:
    """Where a person finds what listens on the port."""
    return f"http://{_connectable(settings.horror_web_host)}:{port}"


def _connectable(host: str) -> str:
    return "127.0.0.1" if host in ("0.0.0.0", "::") else host  # noqa: S104 - compared, not listened on


def require_free_port(host: str, port: int, name: str) -> None:
    """Make sure a port can be listened on.

    Raises:
        HorrorError: it is in use; names the setting to change.
    """
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise HorrorError(
                f"port {port} on {host} cannot be used ({error.strerror}); stop what uses it or set {name} to another"
            ) from None


def free_port() -> int:
    """A port of the loopback address that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _listens(host: str, port: int) -> bool:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.settimeout(1)
        return probe.connect_ex((host, port)) == 0


def answers(address: str) -> Callable[[], bool]:
    """A probe that tells whether the URL answers 200."""

    def probe() -> bool:
        try:
            with urllib.request.urlopen(address, timeout=2) as response:  # noqa: S310 - an http URL of ours
                return bool(response.status == 200)
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return False

    return probe


def daemon_is_healthy(graphql: str) -> Callable[[], bool]:
    """A probe that tells whether every required daemon of the instance is healthy, by GraphQL."""
    query = json.dumps({"query": "{instance{daemonHealth{allDaemonStatuses{daemonType required healthy}}}}"}).encode()

    def probe() -> bool:
        request = urllib.request.Request(graphql, data=query, headers={"Content-Type": "application/json"})  # noqa: S310
        try:
            with urllib.request.urlopen(request, timeout=2) as response:  # noqa: S310 - an http URL of ours
                data = json.load(response)["data"]
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return False
        statuses = data["instance"]["daemonHealth"]["allDaemonStatuses"]
        return all(status["healthy"] for status in statuses if status["required"])

    return probe
