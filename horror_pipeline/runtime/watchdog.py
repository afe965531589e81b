"""Watchdog: stops the children of `horror up` if `horror up` itself is killed.

Everything that a supervisor starts carries a mark in its environment, and so does whatever those processes start. The
watchdog, a process of its own, reads its standard input to the end. If the input is not the word `done`, the supervisor
was killed. The watchdog then stops every marked process, and the embedded Postgres unless somebody else uses it.
"""

from __future__ import annotations

import signal
import sys
from contextlib import suppress
from pathlib import Path

import psutil

from horror_pipeline.domain import SUPERVISOR_MARK

STOP_SECONDS = 8.0


def stop_marked(mark: str) -> None:
    """Stop every process with a supervisor's mark: by SIGTERM, and after some seconds by SIGKILL."""
    marked = _marked(mark)
    for process in marked:
        with suppress(psutil.Error):
            process.terminate()
    psutil.wait_procs(marked, timeout=STOP_SECONDS)
    left = _marked(mark)  # also what was started meanwhile
    for process in left:
        with suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(left, timeout=STOP_SECONDS)


def _marked(mark: str) -> list[psutil.Process]:
    marked = []
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):  # gone already, or another user's
            if process.environ().get(SUPERVISOR_MARK) == mark:
                marked.append(process)
    return marked


def main() -> None:
    """Wait for the end of standard input, and clean up if the supervisor was killed.

    The command-line arguments are the mark and, with the embedded Postgres, HORROR_HOME.
    """
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    if sys.stdin.read() == "done":
        return
    mark, *home = sys.argv[1:]
    stop_marked(mark)
    if home:
        from horror_pipeline.runtime import postgres

        postgres.stop_if_unused(Path(home[0]))


if __name__ == "__main__":
    main()
