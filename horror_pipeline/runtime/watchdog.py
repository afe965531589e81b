"""The last to leave: ends what `horror up` started when `horror up` itself is killed and can end nothing any more.

What belongs here: that, with the standard library alone, as this file is run by itself (`python -I -S guardian.py`).
What does not: starting or restarting anything.

It reads lines on standard input: `+N` and `-N` add and drop the process group N, `done` says that all is well. When the
input ends without `done`, the process at its other end was killed: every group left is ended, politely and then by
force, and the command given as arguments takes this process's place.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterable

STOP_SECONDS = 8.0


def end_groups(groups: Iterable[int], seconds: float = STOP_SECONDS, wait: Callable[[], None] = lambda: None) -> None:
    """End process groups: SIGTERM, and SIGKILL for what is left after some seconds.

    Args:
        groups: ids of process groups.
        seconds: how long they have to end by themselves.
        wait: reaps children of ours, so that a dead one does not count as alive.
    """
    left = [group for group in groups if _signal(group, signal.SIGTERM)]
    deadline = time.monotonic() + seconds
    while left and time.monotonic() < deadline:
        time.sleep(0.05)
        wait()
        left = [group for group in left if is_alive(group)]
    for group in left:
        _signal(group, signal.SIGKILL)


def is_alive(group: int) -> bool:
    """Whether any process of the group is left."""
    return _signal(group, 0)


def _signal(group: int, number: int) -> bool:
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):  # macOS answers the second for a group of zombies
        return False
    return True


def main() -> None:
    """Guard until standard input ends."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    groups: set[int] = set()
    for line in sys.stdin:
        if line == "done\n":
            return
        if line.endswith("\n"):
            (groups.add if line[0] == "+" else groups.discard)(int(line[1:]))
    end_groups(groups)
    if sys.argv[1:]:
        os.execv(sys.argv[1], sys.argv[1:])  # noqa: S606 - a command line of ours


if __name__ == "__main__":
    main()
