"""`horror exec`: run a command, such as a service of the image, with databases ready and their addresses exported."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from types import FrameType
from typing import NoReturn, TypeVar

from horror_pipeline.cli.terminal import print_note
from horror_pipeline.errors import HorrorError, WarehouseError
from horror_pipeline.runtime.environment import prepared
from horror_pipeline.runtime.signals import ENDING
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
    """Repeat an attempt for as long as it raises WarehouseError and there is time left; return its result.

    Args:
        attempt: what to do.
        seconds: how long to keep trying; 0 tries once.
        say: receives one line each time the reason for waiting changes.
        clock: returns seconds; only differences count.
        sleep: waits a number of seconds.

    Raises:
        WarehouseError: the last attempt failed.
    """
    deadline, pause, reason = clock() + seconds, FIRST_PAUSE_SECONDS, ""
    while True:
        try:
            return attempt()
        except WarehouseError as error:
            if clock() + pause > deadline:
                raise
            if str(error) != reason:
                reason = str(error)
                say(f"waiting for the database: {reason}")
        sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE_SECONDS)


def exec_with_environment(command: Sequence[str], settings: Settings, wait_seconds: float) -> NoReturn:
    """Replace this process by the command, with the variables that it needs exported.

    With the embedded Postgres, this process instead stays as the command's parent, to stop the server afterwards.

    Raises:
        HorrorError: something could not be made ready, or there is no such command.
        SystemExit: with the command's exit code, when it ran as a child.
    """
    with ExitStack() as stack:
        environment = retried(lambda: stack.enter_context(prepared(settings)), wait_seconds, print_note)
        try:
            if environment.is_embedded:
                raise SystemExit(run_child(command))
            _obey_signals()
            os.execvp(command[0], list(command))  # noqa: S606 - what the caller asked for
        except (FileNotFoundError, PermissionError) as error:
            raise HorrorError(f"cannot run {command[0]}: {error.strerror}") from None


def _obey_signals() -> None:
    """Let SIGINT and SIGTERM end the command, even if this process ignores them, as in the background of scripts."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)


def run_child(command: Sequence[str]) -> int:
    """Run the command to its end and pass signals on to it. Return its exit code, or 128 + n if signal n ended it."""
    # Signals are held back until there is a child to pass them on to.
    held = signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)

    def prepare() -> None:
        _obey_signals()
        signal.pthread_sigmask(signal.SIG_SETMASK, held)

    try:
        child = subprocess.Popen(list(command), preexec_fn=prepare)  # noqa: S603 - what the caller asked for

        def pass_on(number: int, _: FrameType | None) -> None:
            child.send_signal(number)

        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal sends Ctrl-C to the child itself
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, pass_on)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, held)
    with child:
        code = child.wait()
    return code if code >= 0 else 128 - code
