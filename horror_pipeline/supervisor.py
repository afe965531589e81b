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
from dataclasses import dataclass, field
from pathlib import Path

from horror_pipeline.errors import HorrorError

PR_SET_PDEATHSIG = 1
MOST_RESTARTS, RESTART_WINDOW_SECONDS = 5, 60.0
STOP_SECONDS = 8.0


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

    def start(self, variables: Mapping[str, str], folder: Path) -> None:
        """Start it in a session of its own, with default signals, and bound to this process's life."""
        parent = os.getpid()

        def prepare() -> None:
            # A shell that starts us in the background has SIGINT ignored, and children would inherit that.
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            if sys.platform == "linux":
                ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
                if os.getppid() != parent:
                    os._exit(1)

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

    def last_lines(self, count: int = 15) -> str:
        """The end of its log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-count:])


class Supervisor:
    """Runs children until told to stop; one that keeps dying ends them all.

    Args:
        variables: environment variables for the children.
        folder: their working directory.
        say: receives each line meant for the person at the terminal.
    """

    def __init__(self, variables: Mapping[str, str], folder: Path, say: Callable[[str], None]) -> None:
        self.variables, self.folder, self.say = variables, folder, say
        self.children: list[Child] = []
        self._groups_left: list[subprocess.Popen[bytes]] = []
        self._stopping = False

    def start(self, child: Child, timeout: float = 90.0) -> None:
        """Start a child and wait until it answers.

        Raises:
            HorrorError: it died or did not answer in time; the message ends with its last lines.
        """
        child.start(self.variables, self.folder)
        self.children.append(child)
        deadline = time.monotonic() + timeout
        while child.ready is not None and not child.ready():
            assert child.process is not None  # noqa: S101 - for the type checker: start() set it
            if child.process.poll() is not None or time.monotonic() > deadline:
                raise HorrorError(f"{child.name} did not start; the end of {child.log}:\n{child.last_lines()}")
            if self._stopping:
                return
            time.sleep(0.1)

    def request_stop(self, *_: object) -> None:
        """Ask `watch` to return; also a signal handler."""
        self._stopping = True

    def watch(self) -> None:
        """Return when asked to stop. A child that dies is said and started again.

        Raises:
            HorrorError: a child died too often in a short time; the message ends with its last lines.
        """
        while not self._stopping:
            for child in self.children:
                if child.process is not None and child.process.poll() is not None and not self._stopping:
                    self._restart(child)
            time.sleep(0.2)

    def _restart(self, child: Child) -> None:
        assert child.process is not None  # noqa: S101 - for the type checker: watch() saw it
        now = time.monotonic()
        child.deaths.append(now)
        while now - child.deaths[0] > RESTART_WINDOW_SECONDS:
            child.deaths.popleft()
        if len(child.deaths) > MOST_RESTARTS:
            raise HorrorError(f"{child.name} keeps dying; the end of {child.log}:\n{child.last_lines()}")
        self.say(f"{child.name} ended with {_how(child.process.returncode)}; starting it again (log: {child.log})")
        # What it had started lives on: a run's worker finishes its run although the code server died.
        self._groups_left.append(child.process)
        child.start(self.variables, self.folder)

    def stop(self) -> None:
        """End every child and what it started: politely, then after a few seconds by force."""
        running = [child.process for child in reversed(self.children) if child.process is not None] + self._groups_left
        for process in running:
            _end_group(process.pid, signal.SIGTERM)
        deadline = time.monotonic() + STOP_SECONDS
        while time.monotonic() < deadline and any(_alive(process) for process in running):
            time.sleep(0.1)
        for process in running:
            _end_group(process.pid, signal.SIGKILL)
            process.wait()


def _alive(process: subprocess.Popen[bytes]) -> bool:
    """Whether the process or anything in its group still runs."""
    process.poll()
    try:
        os.killpg(process.pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # macOS answers so for a group of zombies
        return process.poll() is None
    return True


def _end_group(group: int, number: signal.Signals) -> None:
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        return  # it is gone already, which is what was wanted
    except PermissionError:
        return  # macOS answers so for a group of zombies


def _how(code: int) -> str:
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
