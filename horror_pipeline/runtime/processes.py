"""Supervision of the processes of `horror up`: start them, restart what dies, and stop them all together."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import uuid
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from horror_pipeline.domain import SUPERVISOR_MARK
from horror_pipeline.errors import HorrorError
from horror_pipeline.runtime import watchdog

MOST_RESTARTS, RESTART_WINDOW_SECONDS = 5, 60.0
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.25, 4.0
LOG_BYTES = 10_000_000
"""A longer log is set aside when its process is started; one older log is kept."""


@dataclass
class Child:
    """One process to keep alive.

    Attributes:
        name: what a person calls it.
        command: its command line.
        log: file that receives its output.
        is_ready: returns whether the process answers; without it, a started process counts as ready.
    """

    name: str
    command: Sequence[str]
    log: Path
    is_ready: Callable[[], bool] | None = None
    process: subprocess.Popen[bytes] | None = None
    deaths: deque[float] = field(default_factory=deque)
    restart_at: float | None = None

    def start(self, variables: Mapping[str, str], folder: Path) -> None:
        """Start the process in a session of its own, so that it does not receive the terminal's signals."""
        if self.log.exists() and self.log.stat().st_size > LOG_BYTES:
            self.log.replace(self.log.with_suffix(".log.1"))
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(  # noqa: S603 - a fixed command line of ours
                list(self.command),
                env={**os.environ, **variables},
                cwd=folder,
                stdout=log,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        self.restart_at = None

    def is_dead(self) -> bool:
        """Whether the process was started and has ended."""
        return self.process is not None and self.process.poll() is not None

    def last_lines(self) -> str:
        """Return the last lines of the log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-15:])


class Supervisor:
    """Runs children until asked to stop. If one keeps dying, or if this process is killed, all of them are stopped.

    Args:
        variables: environment variables for the children.
        folder: their working directory.
        say: receives each line meant for the person at the terminal.
        embedded_home: HORROR_HOME, if the watchdog has to stop the embedded Postgres as well.
    """

    def __init__(
        self, variables: Mapping[str, str], folder: Path, say: Callable[[str], None], embedded_home: Path | None = None
    ) -> None:
        self.mark = uuid.uuid4().hex
        self.variables = {**variables, SUPERVISOR_MARK: self.mark}
        self.folder, self.say, self.embedded_home = folder, say, embedded_home
        self.children: list[Child] = []
        self._watchdog: subprocess.Popen[str] | None = None
        self._is_stopping = False

    def start(self, *children: Child, timeout: float = 90.0) -> None:
        """Start all of these children, and then wait until each of them answers.

        Raises:
            HorrorError: a child died or did not answer in time; the message ends with the last lines of its log.
        """
        self._ensure_watchdog()  # before any child, so that no child is ever without a watchdog
        for child in children:
            self.children.append(child)
            child.start(self.variables, self.folder)
        deadline = time.monotonic() + timeout
        for child in children:
            while child.is_ready is not None and not child.is_ready() and not self._is_stopping:
                if child.is_dead() or time.monotonic() > deadline:
                    raise HorrorError(f"{child.name} did not start; the end of {child.log}:\n{child.last_lines()}")
                time.sleep(0.1)

    def request_stop(self, *_: object) -> None:
        """Ask `watch` to return. The arguments are ignored, so that this can be a signal handler."""
        self._is_stopping = True

    def watch(self, on_tick: Callable[[], None] = lambda: None) -> None:
        """Restart every child that dies, and return when asked to stop.

        Args:
            on_tick: called several times a second, to keep alive what is not a child, such as the embedded Postgres.

        Raises:
            HorrorError: a child died too often in a short time; the message ends with the last lines of its log.
        """
        while not self._is_stopping:
            on_tick()
            self._ensure_watchdog()
            for child in self.children:
                if child.process is not None and child.is_dead():
                    self._restart_when_due(child, child.process.returncode)
            time.sleep(0.2)

    def _restart_when_due(self, child: Child, exit_code: int) -> None:
        now = time.monotonic()
        if child.restart_at is None:
            child.deaths.append(now)
            while now - child.deaths[0] > RESTART_WINDOW_SECONDS:
                child.deaths.popleft()
            if len(child.deaths) > MOST_RESTARTS:
                raise HorrorError(f"{child.name} keeps dying; the end of {child.log}:\n{child.last_lines()}")
            how = f"signal {signal.Signals(-exit_code).name}" if exit_code < 0 else f"exit code {exit_code}"
            self.say(f"{child.name} ended with {how}; starting it again (log: {child.log})")
            pause = FIRST_PAUSE_SECONDS * 2 ** (len(child.deaths) - 1)
            child.restart_at = now + min(pause, LONGEST_PAUSE_SECONDS)
        if now >= child.restart_at:
            child.start(self.variables, self.folder)

    def stop(self) -> None:
        """Stop every child and whatever the children started: by SIGTERM, and after some seconds by SIGKILL."""
        watchdog.stop_marked(self.mark)
        for child in self.children:
            child.is_dead()  # polls, so that `Popen` knows that the process has ended
        if self._watchdog is not None:
            with suppress(BrokenPipeError):
                self._watchdog.communicate("done")
            self._watchdog = None

    def _ensure_watchdog(self) -> None:
        """Start the watchdog, or another one in place of one that died."""
        if self._watchdog is not None:
            if self._watchdog.poll() is None:
                return
            self._watchdog.communicate()
        home = [] if self.embedded_home is None else [str(self.embedded_home)]
        self._watchdog = subprocess.Popen(  # noqa: S603 - a fixed command line of ours
            [sys.executable, "-P", "-m", watchdog.__name__, self.mark, *home],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            text=True,
            cwd="/",
            start_new_session=True,
        )
