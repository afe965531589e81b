"""An advisory lock for each run under way, which shows every host whether the run's process is alive.

The lock belongs to a database session of the process that executes the run, so the server frees it when the process
ends for any reason.
"""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError

from horror_pipeline.warehouse.locks import RUN_LOCK

LOG = logging.getLogger(__name__)

CONFIRM_SECONDS = 2.0
LOST_SECONDS = 60.0
"""A process that cannot confirm its lock for this long kills itself, because its run may have been retried by then."""

_NOTICE_LOST_CLIENTS = text(
    "SELECT set_config('tcp_keepalives_idle', '15', false), set_config('tcp_keepalives_interval', '5', false), "
    "set_config('tcp_keepalives_count', '3', false)"
)
"""Without these settings, the server would need two hours to free the lock of a machine that lost power."""

_KEY = "CAST(:key AS integer), hashtext(:run_id)"


def end_process() -> None:
    """Kill this process, so that it does not do any more of the run's work."""
    os.kill(os.getpid(), signal.SIGKILL)


@contextmanager
def held_run(
    engine: Engine, run_id: str, is_wanted: Callable[[], bool], give_up: Callable[[], None] = end_process
) -> Iterator[None]:
    """Hold a run's lock while the block executes the run; wait first if another process holds the lock.

    Args:
        engine: the warehouse.
        run_id: the run.
        is_wanted: returns whether the run should still be executed. It is called whenever the lock has been
            acquired, because another process may have ended the run in the meantime.
        give_up: called if the run should no longer be executed, or if the lock was lost and cannot be acquired again.
    """
    keeper = _Keeper(engine, run_id, is_wanted, give_up)
    keeper.confirm()
    keeper.start()
    try:
        yield
    finally:
        keeper.stop()


class _Keeper(threading.Thread):
    """Confirms the lock every few seconds, and acquires it again after the connection was lost."""

    def __init__(self, engine: Engine, run_id: str, is_wanted: Callable[[], bool], give_up: Callable[[], None]) -> None:
        super().__init__(name="run lock", daemon=True)
        self.engine, self.run_id, self.is_wanted, self.give_up = engine, run_id, is_wanted, give_up
        self.connection: Connection | None = None
        self.is_over = threading.Event()

    def run(self) -> None:
        confirmed = time.monotonic()
        while not self.is_over.wait(CONFIRM_SECONDS):
            try:
                self.confirm()
                confirmed = time.monotonic()
            except Exception as error:  # any error: without the lock, the process must end soon
                LOG.warning("the lock of run %s cannot be confirmed: %s", self.run_id, type(error).__name__)
                self._let_go()
                if time.monotonic() - confirmed > LOST_SECONDS:
                    LOG.critical("the lock of run %s is lost; its process ends", self.run_id)
                    self.give_up()
                    return

    def confirm(self) -> None:
        """Make sure that the lock is held."""
        if self.connection is not None:
            self.connection.execute(text("SELECT 1"))
            return
        self.connection = self.engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        self.connection.execute(_NOTICE_LOST_CLIENTS)
        self.connection.execute(text(f"SELECT pg_advisory_lock({_KEY})"), {"key": RUN_LOCK, "run_id": self.run_id})
        if not self.is_wanted():
            LOG.critical("run %s was ended by another process; this one ends too", self.run_id)
            self.give_up()

    def stop(self) -> None:
        self.is_over.set()
        if self.is_alive():
            self.join()
        self._let_go()

    def _let_go(self) -> None:
        """Close the session, which frees the lock."""
        if self.connection is not None:
            with suppress(DBAPIError):
                self.connection.invalidate()
                self.connection.close()
            self.connection = None


@contextmanager
def nobody_executes(engine: Engine, run_id: str) -> Iterator[bool]:
    """Yield whether the run's lock was free; if it was, no process can acquire it until the block ends."""
    with engine.begin() as connection:
        statement = text(f"SELECT pg_try_advisory_xact_lock({_KEY})")
        yield bool(connection.scalar(statement, {"key": RUN_LOCK, "run_id": run_id}))
