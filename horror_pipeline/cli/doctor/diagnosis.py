"""Diagnosis records and how they are printed. The checks live in `machine` and `databases`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from rich.console import Console
from rich.markup import escape

from horror_pipeline.errors import HorrorError


class Severity(StrEnum):
    """How bad a diagnosis is."""

    GOOD = "good"
    NOTE = "note"
    WARNING = "warning"
    FATAL = "fatal"


SIGNS = {
    Severity.GOOD: "[green]✓[/]",
    Severity.NOTE: "[blue]i[/]",
    Severity.WARNING: "[yellow]![/]",
    Severity.FATAL: "[bold red]✗[/]",
}


@dataclass(frozen=True)
class Diagnosis:
    """The result of one check.

    Attributes:
        subject: what was checked, in a word or two.
        severity: how bad it is; with a fatal diagnosis the pipeline cannot run.
        problem: what was found, good or bad, in one line without credentials.
        remedy: what to do about it; empty when nothing need be done.
    """

    subject: str
    severity: Severity
    problem: str
    remedy: str = ""

    @property
    def is_fatal(self) -> bool:
        """Whether this problem keeps the pipeline from running."""
        return self.severity is Severity.FATAL


def guarded(subject: str, check: Callable[[], Iterable[Diagnosis]]) -> Iterator[Diagnosis]:
    """Yield the check's diagnoses; if it raises, yield a fatal one instead, so that the other checks still run."""
    try:
        yield from check()
    except HorrorError as error:
        yield Diagnosis(subject, Severity.FATAL, error.problem, error.remedy)
    except Exception as error:  # an unknown failure: its text may hold a credential
        problem = f"could not be checked: {type(error).__name__}"
        yield Diagnosis(subject, Severity.FATAL, problem, "see the other lines; if they are all good, report this")


def print_diagnoses(diagnoses: Sequence[Diagnosis], console: Console) -> None:
    """Print a line for each diagnosis with its remedy below it, and then whether the pipeline can run."""
    width = max(len(diagnosis.subject) for diagnosis in diagnoses)
    for diagnosis in diagnoses:
        sign = SIGNS[diagnosis.severity]
        console.print(f"{sign} {diagnosis.subject:<{width}}  {escape(diagnosis.problem)}", soft_wrap=True)
        if diagnosis.remedy:
            console.print(f"  {'':<{width}}  → {escape(diagnosis.remedy)}", soft_wrap=True)
    found = {diagnosis.severity for diagnosis in diagnoses}
    if Severity.FATAL in found:
        console.print(f"\n[bold red]It cannot run[/]: fix what is marked {SIGNS[Severity.FATAL]} first.")
    elif Severity.WARNING in found:
        console.print(f"\nIt can run, but look at what is marked {SIGNS[Severity.WARNING]}.")
    else:
        console.print("\n[green]All is well.[/]")
