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
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy.engine import URL

from horror_pipeline.errors import WarehouseError
from horror_pipeline.runtime.postgres.cluster import Cluster, binary

__all__ = ["binary", "ensure_running", "is_running", "is_url_of", "pin", "release", "session", "stop"]


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
    cluster = Cluster(home.absolute())
    with _clear_errors(cluster), _starting(cluster):
        mine = os.open(cluster.run / "users.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        fcntl.flock(mine, fcntl.LOCK_SH)
    try:
        yield ensure_running(home)
    finally:
        with _clear_errors(cluster), _starting(cluster):
            os.close(mine)
            if not cluster.pinned.exists() and not _has_users(cluster):
                cluster.stop()


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
    cluster = Cluster(home.absolute())
    with _clear_errors(cluster), _starting(cluster):
        if not cluster.is_ready():
            cluster.start()
        return cluster.url()


def stop(home: Path) -> bool:
    """Unpin the server and stop it, whoever uses it.

    Returns:
        Whether it was running.
    """
    cluster = Cluster(home.absolute())
    if not cluster.run.exists():
        return False
    with _clear_errors(cluster), _starting(cluster):
        cluster.pinned.unlink(missing_ok=True)
        return cluster.stop()


def release(home: Path) -> bool:
    """Unpin the server, and stop it unless a `session` lasts: then its end stops it.

    Returns:
        Whether nothing runs any more.
    """
    cluster = Cluster(home.absolute())
    if not cluster.run.exists():
        return True
    with _clear_errors(cluster), _starting(cluster):
        cluster.pinned.unlink(missing_ok=True)
        if _has_users(cluster):
            return False
        cluster.stop()
        return True


def is_url_of(home: Path, url: URL) -> bool:
    """Whether a URL is that of this home's server, running or not: one that `horror env` once exported."""
    return url in Cluster(home.absolute()).urls()


def is_running(home: Path) -> bool:
    """Whether the server of this `HORROR_HOME` takes connections."""
    return Cluster(home.absolute()).is_ready()


def pin(home: Path) -> None:
    """Let the server stay when its last user leaves, until `stop` or `release`."""
    cluster = Cluster(home.absolute())
    with _clear_errors(cluster), _starting(cluster):
        cluster.pinned.touch()


# -- locks -------------------------------------------------------------------------------------------------------------


@contextmanager
def _clear_errors(cluster: Cluster) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise WarehouseError(
            f"cannot use HORROR_HOME ({cluster.home}): {error.strerror or error}; "
            "set HORROR_HOME to a folder you may write to, or set DATABASE_URL"
        ) from None


@contextmanager
def _starting(cluster: Cluster) -> Iterator[None]:
    """Hold the lock under which the server is started and stopped: one at a time, whatever the process."""
    cluster.run.mkdir(parents=True, exist_ok=True)
    with (cluster.run / "start.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _has_users(cluster: Cluster) -> bool:
    with (cluster.run / "users.lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        return False
