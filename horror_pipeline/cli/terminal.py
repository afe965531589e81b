"""The command's standard output and error: consoles, one line per error, and text that is safe to print."""

from __future__ import annotations

import io
import os
import re
import sys
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from horror_pipeline.errors import HorrorError
from horror_pipeline.settings import Settings

PIPED_WIDTH = 120
"""Width in characters of output that does not go to a terminal and therefore has no width of its own."""

_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]+")

out = Console(highlight=False, width=None if sys.stdout and sys.stdout.isatty() else PIPED_WIDTH)
err = Console(stderr=True, highlight=False)


def printable(text: str) -> str:
    """Return the text without line breaks, terminal escapes and marks that reverse the direction of writing."""
    return _CONTROLS.sub(" ", text)


def open_standard_streams() -> None:
    """Discard what goes to a closed standard output or error, and write `?` for letters that the encoding lacks."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, Path(os.devnull).open("w"))  # noqa: SIM115 - open as long as the process
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def discard_output() -> None:
    """Discard what is still buffered for standard output, because it cannot be written."""
    with Path(os.devnull).open("w") as nowhere:
        os.dup2(nowhere.fileno(), sys.stdout.fileno())


def print_error(error: HorrorError) -> None:
    """Print problem and remedy on standard error, as one line unless the problem quotes a log."""
    first, *quoted = str(error).split("\n")
    err.print(f"[bold red]horror:[/] {escape(printable(first))}", soft_wrap=True)
    for line in quoted:
        print_note(printable(line))


def print_note(line: str) -> None:
    """Print one line on standard error as it is: brackets are not markup, and a long line is not folded."""
    err.print(line, markup=False, soft_wrap=True)


def print_source(settings: Settings) -> None:
    """Say that every film is invented, if the demo is used."""
    if settings.is_demo:
        out.print(
            "[bold yellow]DEMO DATA[/]: TMDB_API_KEY is not set, so every film below is invented. "
            "None of it is TMDB data.",
            soft_wrap=True,
        )
