"""Keeping the processes of `horror up` alive, and ending them all together.

What belongs here: starting, watching, restarting and stopping child processes. What does not: what they are.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from horror_pipeline.errors import HorrorError
from horror_pipeline.runtime import guardian

PR_SET_PDEATHSIG = 1
MOST_RESTARTS, RESTART_WINDOW_SECONDS = 5, 60.0
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.25, 4.0
LOG_BYTES = 10_000_000
"""A log longer than this is set aside when its process is started; one older log is kept."""


@dataclass
class Child:
    """One process to keep alive.

    Attributes:
        name: what a person calls it.
        command: its command line.
        log: file that receives what it prints.
        ready: tells whether it answers; None: it needs no wait.
    """

    name: str
    command: Sequence[str]
    log: Path
    ready: Callable[[], bool] | None = None
    process: subprocess.Popen[bytes] | None = None
    deaths: deque[float] = field(default_factory=deque)
    due: float | None = None

    def start(self, variables: Mapping[str, str], folder: Path) -> None:
        """Start it in a session of its own, with default signals, and bound to this process's life."""
        parent = os.getpid()
        libc = ctypes.CDLL(None) if sys.platform == "linux" else None

        def prepare() -> None:
            # A shell that starts us in the background has SIGINT ignored, and children would inherit that.
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            if libc is not None:
                libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
                if os.getppid() != parent:
                    os._exit(1)

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
                preexec_fn=prepare,
            )
        self.due = None

    def is_dead(self) -> bool:
        """Whether it was started and has ended."""
        return self.process is not None and self.process.poll() is not None

    def last_lines(self, count: int = 15) -> str:
        """The end of its log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-count:])


class Supervisor:
    """Runs children until told to stop; one that keeps dying ends them all.

    Should this process be killed, a guardian of a few megabytes ends whatever it had started.

    Args:
        variables: environment variables for the children.
        folder: their working directory.
        say: receives each line meant for the person at the terminal.
        last_command: what the guardian runs after having ended the rest; nothing by default.
    """

    def __init__(
        self, variables: Mapping[str, str], folder: Path, say: Callable[[str], None], last_command: Sequence[str] = ()
    ) -> None:
        self.variables, self.folder, self.say, self.last_command = variables, folder, say, last_command
        self.children: list[Child] = []
        # What a dead child had started lives on: a run's worker finishes its run although the code server died.
        self._groups: set[int] = set()
        self._guardian: subprocess.Popen[str] | None = None
        self._stopping = False

    def start(self, child: Child, timeout: float = 90.0) -> None:
        """Start a child and wait until it answers.

        Raises:
            HorrorError: it died or did not answer in time; the message ends with its last lines.
        """
        self.children.append(child)
        self._launch(child)
        deadline = time.monotonic() + timeout
        while child.ready is not None and not child.ready():
            if child.is_dead() or time.monotonic() > deadline:
                raise HorrorError(f"{child.name} did not start; the end of {child.log}:\n{child.last_lines()}")
            if self._stopping:
                return
            time.sleep(0.1)

    def request_stop(self, *_: object) -> None:
        """Ask `watch` to return; also a signal handler."""
        self._stopping = True

    def watch(self, tend: Callable[[], None] = lambda: None) -> None:
        """Return when asked to stop. A child that dies is said and started again.

        Args:
            tend: called several times a second, for what is kept alive in another way.

        Raises:
            HorrorError: a child died too often in a short time; the message ends with its last lines.
        """
        while not self._stopping:
            tend()
            self._guard()
            for child in self.children:
                if child.is_dead():
                    self._restart_when_due(child)
            self._forget_empty_groups()
            time.sleep(0.2)

    def _launch(self, child: Child) -> None:
        self._guard()  # first: nothing is ever without it
        child.start(self.variables, self.folder)
        assert child.process is not None  # noqa: S101 - for the type checker: start() set it
        self._groups.add(child.process.pid)
        self._tell(f"+{child.process.pid}")

    def _restart_when_due(self, child: Child) -> None:
        assert child.process is not None  # noqa: S101 - for the type checker: it is dead
        now = time.monotonic()
        if child.due is None:
            child.deaths.append(now)
            while now - child.deaths[0] > RESTART_WINDOW_SECONDS:
                child.deaths.popleft()
            if len(child.deaths) > MOST_RESTARTS:
                raise HorrorError(f"{child.name} keeps dying; the end of {child.log}:\n{child.last_lines()}")
            self.say(f"{child.name} ended with {_how(child.process.returncode)}; starting it again (log: {child.log})")
            pause = FIRST_PAUSE_SECONDS * 2 ** (len(child.deaths) - 1)
            child.due = now + min(pause, LONGEST_PAUSE_SECONDS)
        if now >= child.due:
            self._launch(child)

    def stop(self) -> None:
        """End every child and what it started: politely, then after a few seconds by force."""
        guardian.end_groups(self._groups, wait=self._reap)
        self._groups.clear()
        self._reap()
        if self._guardian is not None:
            self._tell("done")
            _close(self._guardian)
            self._guardian.wait()
            self._guardian = None

    def _reap(self) -> None:
        for child in self.children:
            child.is_dead()

    def _forget_empty_groups(self) -> None:
        for group in [group for group in self._groups if not guardian.is_alive(group)]:
            self._groups.discard(group)
            self._tell(f"-{group}")

    def _guard(self) -> None:
        """Start the guardian, or another one in place of one that died."""
        if self._guardian is not None:
            if self._guardian.poll() is None:
                return
            _close(self._guardian)
        self._guardian = subprocess.Popen(  # noqa: S603 - a fixed command line of ours
            [sys.executable, "-I", "-S", guardian.__file__, *self.last_command],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            text=True,
            cwd="/",
            start_new_session=True,
        )
        for group in self._groups:
            self._tell(f"+{group}")

    def _tell(self, line: str) -> None:
        assert self._guardian is not None and self._guardian.stdin is not None  # noqa: S101 - for the type checker
        try:
            self._guardian.stdin.write(f"{line}\n")
            self._guardian.stdin.flush()
        except BrokenPipeError:
            if line != "done":
                self._guard()  # it was killed; the next one is told of every group


def _close(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None  # noqa: S101 - for the type checker: it is a pipe
    with suppress(BrokenPipeError):
        process.stdin.close()


def _how(code: int) -> str:
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
