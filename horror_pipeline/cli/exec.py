"""Becoming another command once everything it needs is ready: what the image starts its services with.

What belongs here: waiting for a database that is still starting, and handing this process over. What does not: making
things ready, which is `environment`.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from types import FrameType
from typing import NoReturn, TypeVar

from horror_pipeline.errors import HorrorError, WarehouseError
from horror_pipeline.runtime.environment import prepared
from horror_pipeline.settings import Settings

Result = TypeVar("Result")

FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.5, 5.0


def retried(
    attempt: Callable[[], Result],
    seconds: float,
    say: Callable[[str], None],
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Result:
    """Call until the warehouse lets it succeed, or the time is up.

    Args:
        attempt: what to do.
        seconds: how long to go on; 0 tries once.
        say: receives one line when there is something to wait for.
        clock: seconds from any origin.
        sleep: waits so many seconds.

    Raises:
        WarehouseError: the last one met.
    """
    deadline, pause, told = clock() + seconds, FIRST_PAUSE_SECONDS, ""
    while True:
        try:
            return attempt()
        except WarehouseError as error:
            if clock() + pause > deadline:
                raise
            if str(error) != told:
                told = str(error)
                say(f"waiting for the database: {told}")
        sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE_SECONDS)


def become(command: Sequence[str], settings: Settings, wait_seconds: float, say: Callable[[str], None]) -> NoReturn:
    """Replace this process by the command, with the variables it needs exported.

    With the embedded Postgres this process stays as its parent, as the server has to be stopped afterwards.

    Raises:
        HorrorError: nothing could be made ready, or there is no such command.
        SystemExit: with the command's exit code, when it ran as a child.
    """
    with ExitStack() as stack:
        environment = retried(lambda: stack.enter_context(prepared(settings)), wait_seconds, say)
        # A script that starts us in the background has SIGINT ignored; Dagster's processes would then be deaf to
        # SIGTERM as well, which they treat alike. A command has to end when it is told to, whoever started us.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)
        try:
            if environment.is_embedded:
                raise SystemExit(_run_child(command))
            os.execvp(command[0], list(command))  # noqa: S606 - what the caller asked for
        except (FileNotFoundError, PermissionError) as error:
            raise HorrorError(f"cannot run {command[0]}: {error.strerror}") from None


def _run_child(command: Sequence[str]) -> int:
    """Run to its end; signals meant for us are the child's. Returns its exit code, 128 + n for signal n."""
    # Held back until there is somebody to pass them on to: one that came between would end us and leave the child.
    held = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM, signal.SIGHUP))

    def unhold() -> None:
        signal.pthread_sigmask(signal.SIG_SETMASK, held)

    try:
        child = subprocess.Popen(list(command), preexec_fn=unhold)  # noqa: S603 - what the caller asked for

        def pass_on(number: int, _: FrameType | None) -> None:
            child.send_signal(number)

        # The terminal sends Ctrl-C to the child itself.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, pass_on)
    finally:
        unhold()
    with child:
        code = child.wait()
    return code if code >= 0 else 128 - code
