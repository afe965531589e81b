"""The made-up TMDB in a child process, so that client and server do not share an interpreter lock.

The child reads a pipe from its parent: when the parent ends, for whatever reason, the pipe closes and the child ends.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime as dt
import json
import subprocess
import sys

from horror_pipeline.errors import HorrorError


class DemoProcess:
    """A running demo TMDB in a child process; a context manager that stops the child on exit.

    Attributes:
        port: the port it listens on.
        pid: the process id of the child.
        api_url: the value for `TMDB_API_URL`.
        exports_url: the value for `TMDB_EXPORTS_URL`.
    """

    def __init__(self, process: subprocess.Popen[str], ready: dict[str, str]) -> None:
        self._process = process
        self.pid = process.pid
        self.port = int(ready["port"])
        self.api_url = ready["api_url"]
        self.exports_url = ready["exports_url"]

    def stop(self) -> None:
        """Stop the child and wait for it; a second call does nothing."""
        _end(self._process)

    def __enter__(self) -> DemoProcess:
        """Return the process, which already accepts requests."""
        return self

    def __exit__(self, *exception: object) -> None:
        """Stop the child."""
        self.stop()


def spawn(port: int = 0, *, today: dt.date | None = None, scale: float = 1.0) -> DemoProcess:
    """Start the made-up TMDB as a child process that ends with this one; it accepts requests when this returns.

    Args:
        port: the port to listen on; 0 picks a free one.
        today: the day it plays; None follows the clock, UTC.
        scale: the share of the films to make, as in `Catalogue`.

    Raises:
        HorrorError: the child cannot listen on the port, or does not start.
    """
    command = [sys.executable, "-P", "-m", "horror_pipeline.demo", "--port", str(port), "--scale", str(scale)]
    if today is not None:
        command += ["--today", today.isoformat()]
    # In a session of its own the child does not receive Ctrl-C; the parent stops it when it no longer needs it.
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
        raise HorrorError(
            ready.get("problem", "the demo TMDB did not start"), ready.get("remedy", "run `horror demo` to see why")
        )
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
    """Run the child: write the URLs as one line of JSON, then serve until standard input ends."""
    from horror_pipeline.demo.server import serve, utc_today

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--today", type=dt.date.fromisoformat)
    options = parser.parse_args()
    day: dt.date | None = options.today
    try:
        server = serve(options.port, today=(lambda: day) if day else utc_today, scale=options.scale)
    except HorrorError as error:
        _write({"problem": error.problem, "remedy": error.remedy})
        return 1
    with server:
        _write({"port": server.port, "api_url": server.api_url, "exports_url": server.exports_url})
        with contextlib.suppress(KeyboardInterrupt):
            sys.stdin.read()
    return 0


def _write(message: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()
