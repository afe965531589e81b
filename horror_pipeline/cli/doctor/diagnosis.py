"""What `horror doctor` tells: findings, each with its remedy, and how they are printed.

What belongs here: that. What does not: looking.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from rich.console import Console
from rich.markup import escape

from horror_pipeline.errors import HorrorError


class State(StrEnum):
    """How bad a finding is."""

    GOOD = "good"
    NOTE = "note"
    WARNING = "warning"
    FATAL = "fatal"


SIGNS = {
    State.GOOD: "[green]✓[/]",
    State.NOTE: "[blue]i[/]",
    State.WARNING: "[yellow]![/]",
    State.FATAL: "[bold red]✗[/]",
}


@dataclass(frozen=True)
class Finding:
    """One thing looked at.

    Attributes:
        subject: what was looked at, in a word or two.
        state: how bad it is; with a fatal one the pipeline cannot run.
        text: what was found, in one line, without credentials.
        remedy: what to do about it; '' when nothing need be done.
    """

    subject: str
    state: State
    text: str
    remedy: str = ""

    @property
    def is_fatal(self) -> bool:
        """Whether the pipeline cannot run with it."""
        return self.state is State.FATAL


def whatever_happens(subject: str, look: Callable[[], Iterable[Finding]]) -> Iterator[Finding]:
    """What a look finds; that it broke off, when it did, so that the rest is still looked at."""
    try:
        yield from look()
    except Exception as error:  # whatever is broken, the rest is still looked at
        line = next(iter(str(error).splitlines()), "") if isinstance(error, HorrorError) else type(error).__name__
        yield Finding(
            subject,
            State.FATAL,
            f"could not be examined: {line}",
            "see the other findings; if they are well, report this",
        )


def print_findings(findings: list[Finding], console: Console) -> None:
    """Print one line each, its remedy below it, and a verdict."""
    width = max(len(finding.subject) for finding in findings)
    for finding in findings:
        line = f"{SIGNS[finding.state]} {finding.subject:<{width}}  {escape(finding.text)}"
        console.print(line, soft_wrap=True)
        if finding.remedy:
            console.print(f"  {'':<{width}}  → {escape(finding.remedy)}", soft_wrap=True)
    count = {state: sum(finding.state is state for finding in findings) for state in State}
    if count[State.FATAL]:
        console.print(f"\n[bold red]It cannot run[/]: mend what is marked {SIGNS[State.FATAL]} first.")
    elif count[State.WARNING]:
        console.print(f"\nIt can run; what is marked {SIGNS[State.WARNING]} wants a look.")
    else:
        console.print("\n[green]All is well.[/]")
