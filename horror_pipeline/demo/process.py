"""The made-up TMDB in a process of its own, which ends with the one that started it.

What belongs here: the child process, from both sides. What does not: HTTP.

A process of its own has an interpreter lock of its own: client and server do not slow each other down. It is bound to
its parent by a pipe: when the parent ends, however it ends, the pipe closes and so does the server.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime as dt
import json
import subprocess
import sys
from types import TracebackType

from horror_pipeline.demo.catalogue import DEMO_SEED
from horror_pipeline.errors import HorrorError


class DemoProcess:
    """A running demo TMDB in a child process; a context manager that stops it at its end.

    Attributes:
        port: where it listens.
        pid: the child's process id.
        api_url: what to use as `TMDB_API_URL`.
        exports_url: what to use as `TMDB_EXPORTS_URL`.
    """

    def __init__(self, process: subprocess.Popen[str], ready: dict[str, object]) -> None:
        self._process = process
        self.pid = process.pid
        self.port = int(str(ready["port"]))
        self.api_url = str(ready["api_url"])
        self.exports_url = str(ready["exports_url"])

    def stop(self) -> None:
        """End the child and wait for it; a second call does nothing."""
        _end(self._process)

    def __enter__(self) -> DemoProcess:
        """The process itself; it answers already."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop it."""
        self.stop()


def spawn(port: int = 0, *, today: dt.date | None = None, seed: int = DEMO_SEED, scale: float = 1.0) -> DemoProcess:
    """Start the made-up TMDB as a child process; it answers when this returns and ends when this process does.

    Args:
        port: 0 takes any free one.
        today: the day it plays; None is the clock's, UTC.
        seed: another seed, other films.
        scale: share of the films to make, as `server.serve`.

    Raises:
        HorrorError: it cannot listen on the port, or cannot be started at all.
    """
    command = [sys.executable, "-P", "-m", "horror_pipeline.demo"]
    command += ["--port", str(port), "--seed", str(seed), "--scale", str(scale)]
    if today is not None:
        command += ["--today", today.isoformat()]
    # A session of its own: Ctrl-C is for the parent, which stops the child when it no longer needs it.
    process = subprocess.Popen(  # noqa: S603  # fixed arguments, no shell
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8", start_new_session=True
    )
    try:
        assert process.stdout is not None  # noqa: S101  # a pipe, as asked for
        ready = json.loads(process.stdout.readline() or "{}")
    except BaseException:
        _end(process)
        raise
    if "port" not in ready:
        _end(process)
        raise HorrorError(str(ready.get("error", "the demo TMDB did not start; run `horror demo` to see why")))
    return DemoProcess(process, ready)


def _end(process: subprocess.Popen[str]) -> None:
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with contextlib.suppress(OSError):
                pipe.close()
    try:
        process.wait(timeout=5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def main() -> int:
    """The child's side: tell the URLs as one line of JSON, then serve until standard input ends."""
    from horror_pipeline.demo.server import serve, utc_today

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--seed", type=int, default=DEMO_SEED)
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--today", type=dt.date.fromisoformat)
    options = parser.parse_args()
    day: dt.date | None = options.today
    try:
        server = serve(options.port, today=(lambda: day) if day else utc_today, seed=options.seed, scale=options.scale)
    except HorrorError as error:
        _tell({"error": str(error)})
        return 1
    with server:
        _tell({"port": server.port, "api_url": server.api_url, "exports_url": server.exports_url})
        with contextlib.suppress(KeyboardInterrupt):
            sys.stdin.read()
    return 0


def _tell(message: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()
