"""The made-up TMDB in a child process, so that client and server do not share an interpreter lock.

The child reads a pipe from its parent: when the parent ends, for whatever reason, the pipe closes and the child ends.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from horror_pipeline.errors import HorrorError


@dataclass(frozen=True)
class DemoProcess:
    """A running demo TMDB in a child process.

    Attributes:
        pid: the process id of the child.
        port: the port it listens on.
        api_url: the value for `TMDB_API_URL`.
        exports_url: the value for `TMDB_EXPORTS_URL`.
    """

    pid: int
    port: int
    api_url: str
    exports_url: str


@contextmanager
def spawn(port: int = 0, *, today: dt.date | None = None, scale: float = 1.0) -> Iterator[DemoProcess]:
    """Start the made-up TMDB as a child process that accepts requests at once; stop it at the end of the block.

    Args:
        port: the port to listen on; 0 picks a free one.
        today: the day that the demo takes for today; None follows the UTC clock.
        scale: the share of the films to make, as in `Catalogue`.

    Raises:
        HorrorError: the child cannot listen on the port, or does not start.
    """
    command = [sys.executable, "-P", "-m", "horror_pipeline.demo", "--port", str(port), "--scale", str(scale)]
    if today is not None:
        command += ["--today", today.isoformat()]
    # In its own session, the child does not receive Ctrl-C. The parent stops the child at the end of the block.
    child = subprocess.Popen(  # noqa: S603  # fixed arguments, no shell
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8", start_new_session=True
    )
    with child:
        assert child.stdin is not None and child.stdout is not None  # noqa: S101  # pipes, as asked for
        try:
            ready = json.loads(child.stdout.readline() or "{}")
            if "port" not in ready:
                default = "the demo TMDB did not start", "run `horror demo` to see why"
                raise HorrorError(ready.get("problem", default[0]), ready.get("remedy", default[1]))
            yield DemoProcess(child.pid, **ready)
        finally:
            child.stdin.close()
            try:
                child.wait(timeout=5)
            except subprocess.TimeoutExpired:
                child.kill()


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
        with suppress(KeyboardInterrupt):
            sys.stdin.read()
    return 0


def _write(message: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()
