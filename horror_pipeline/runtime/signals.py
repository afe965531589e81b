"""Signals that end a command: turned into an orderly end, and postponed while something must not be left half done."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


_arrived: list[int] = []


def end_in_order() -> None:
    """Let SIGTERM and SIGHUP end this process as Ctrl-C does, unless the parent process had them ignored."""
    for number in ENDING:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _interrupt)


def _interrupt(number: int, _: object) -> None:
    _arrived.append(number)
    if number == signal.SIGHUP:
        os.kill(os.getpid(), signal.SIGTERM)  # which Dagster expects while it executes a run
    else:
        raise KeyboardInterrupt


def raise_if_interrupted() -> None:
    """Raise KeyboardInterrupt if a signal has arrived: Python ignores one that is raised while it collects garbage.

    Raises:
        KeyboardInterrupt: a signal has arrived.
    """
    if _arrived:
        raise KeyboardInterrupt


@contextmanager
def postponed_signals() -> Iterator[None]:
    """Hold back the signals that would end this process; they take effect when the block ends."""
    if threading.current_thread() is not threading.main_thread():  # only the main thread receives signals
        yield
        return
    arrived: list[int] = []
    previous = {number: signal.getsignal(number) for number in ENDING}
    for number, handler in previous.items():
        if handler is not signal.SIG_IGN and handler is not None:
            signal.signal(number, lambda number, _: arrived.append(number))
    try:
        yield
    finally:
        for number, handler in previous.items():
            if handler is not None:
                signal.signal(number, handler)
        for late in arrived:
            os.kill(os.getpid(), late)
