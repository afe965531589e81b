"""One prepared environment for the life of a process, for code that Dagster runs outside of a `horror` command."""

from __future__ import annotations

import atexit
from contextlib import ExitStack
from threading import RLock

from horror_pipeline.runtime.environment import Environment, prepared
from horror_pipeline.settings import get_settings

_lock = RLock()
_environment: Environment | None = None


def process_environment() -> Environment:
    """Prepare the environment on the first call, and let go of it when the process ends.

    Where the warehouse is the embedded Postgres, the process becomes one of its users: the last of them to end stops
    it, so a `dg dev` leaves no server behind.

    Raises:
        HorrorError: something could not be made ready; the message says what to do.
    """
    global _environment
    with _lock:
        if _environment is None:
            stack = ExitStack()
            _environment = stack.enter_context(prepared(get_settings()))
            atexit.register(stack.close)
        return _environment
