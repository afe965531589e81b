"""The embedded Postgres: a real server from an installed wheel, used when `DATABASE_URL` is not set.

Its data is in `HORROR_HOME/postgres`, its log in `HORROR_HOME/logs/postgres.log`. It listens on a Unix socket in a
folder that only its user may enter, never on TCP, so it asks for no password. Commands that run at the same time share
it: each holds a shared lock while it runs, and the last one to leave stops the server unless it was pinned. The kernel
frees the lock of a killed command, and Postgres recovers from being killed, so nothing has to be repaired by hand.

`cluster` handles Postgres's programs and files, and `account` the user they run as. Neither knows what is stored.
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
from horror_pipeline.runtime.signals import postponed_signals

__all__ = ["binary", "ensure_running", "is_running", "is_url_of", "pin", "session", "stop_if_unused"]


@contextmanager
def session(home: Path) -> Iterator[URL]:
    """Use the server: start it if need be, and stop it at the end if nobody else uses it and it is not pinned.

    Args:
        home: `HORROR_HOME`.

    Yields:
        The URL of the warehouse database.

    Raises:
        WarehouseError: the server cannot be started.
    """
    with _locked(home) as cluster:
        lock = os.open(cluster.users_lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        fcntl.flock(lock, fcntl.LOCK_SH)
    try:
        yield ensure_running(home)
    finally:
        os.close(lock)
        stop_if_unused(home)


def ensure_running(home: Path) -> URL:
    """Start the server unless it runs already; create it on first use, with the databases `horror` and `dagster`.

    The server runs until the last `session` ends or, if it is pinned, until it is unpinned and no `session` is left.

    Args:
        home: `HORROR_HOME`.

    Returns:
        The URL of the warehouse database.

    Raises:
        WarehouseError: the server cannot be started.
    """
    with _locked(home) as cluster:
        if not cluster.is_ready():
            cluster.start()
        return cluster.url()


def stop_if_unused(home: Path, *, unpin: bool = False) -> bool:
    """Stop the server, unless it is pinned or a `session` still uses it.

    Args:
        home: `HORROR_HOME`.
        unpin: whether to undo `pin` first.

    Returns:
        Whether the server is stopped. If not, the last session stops it at its end, unless it is pinned.
    """
    if not Cluster(home).run.exists():
        return True
    with _locked(home) as cluster:
        if unpin:
            cluster.pinned.unlink(missing_ok=True)
        if cluster.pinned.exists() or _has_users(cluster):
            return False
        cluster.stop()
        return True


def pin(home: Path) -> None:
    """Keep the server running when its last user leaves, until `stop_if_unused` is told to unpin it."""
    with _locked(home) as cluster:
        cluster.pinned.touch()


def is_url_of(home: Path, url: URL) -> bool:
    """Whether a URL is that of this home's server, running or not, as `horror env` exports it."""
    return url in Cluster(home).urls()


def is_running(home: Path) -> bool:
    """Whether the server of this `HORROR_HOME` takes connections."""
    return Cluster(home).is_ready()


@contextmanager
def _locked(home: Path) -> Iterator[Cluster]:
    """Hold the lock for starting and stopping the server, and postpone signals so that neither is left half done."""
    cluster = Cluster(home)
    try:
        cluster.run.mkdir(parents=True, exist_ok=True)
        with postponed_signals(), (cluster.run / "start.lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield cluster
    except OSError as error:
        raise WarehouseError(
            f"cannot use HORROR_HOME ({cluster.home}): {error.strerror or error}",
            "set HORROR_HOME to a folder you may write to, or set DATABASE_URL",
        ) from None


def _has_users(cluster: Cluster) -> bool:
    with cluster.users_lock.open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        return False
