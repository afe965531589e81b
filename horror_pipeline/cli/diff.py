"""`horror diff`: what changed between two warehouses or two days, like diff(1)."""

from __future__ import annotations

import datetime as dt
import json
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict

from rich.console import Console
from sqlalchemy import URL

from horror_pipeline.cli.terminal import printable
from horror_pipeline.errors import HorrorError
from horror_pipeline.settings import Settings, postgres_url
from horror_pipeline.warehouse import differences
from horror_pipeline.warehouse.differences import Difference

SIGNS = {"added": "+", "removed": "-", "changed": "~"}


def differences_of(before: str, after: str, settings: Settings, examples: int) -> list[Difference]:
    """Compare two warehouses, given as database URLs, or two days of this one, given as ISO dates.

    Raises:
        HorrorError: the arguments are neither two URLs nor two dates, or a database cannot be used.
    """
    from horror_pipeline.runtime.environment import prepared
    from horror_pipeline.warehouse.engine import opened
    from horror_pipeline.warehouse.schema import require_current_schema

    with ExitStack() as stack:
        first, second = _day(before), _day(after)
        days = (first, second) if first and second else None
        if days:
            url = stack.enter_context(prepared(settings)).database_url
            engines = [stack.enter_context(opened(url))] * 2
            tables = differences.of_days()
        elif first or second or not all("://" in side for side in (before, after)):
            remedy = "give two database URLs, or two days like 2026-11-24"
            raise HorrorError("compare two warehouses or two days", remedy)
        else:
            engines = [stack.enter_context(opened(_url(side), "the database URL")) for side in (before, after)]
            for engine in engines:
                require_current_schema(engine)
            tables = differences.of_warehouses()
        # A transaction for each side sees one state of its database from first to last.
        options = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
        sides = [stack.enter_context(engine.connect().execution_options(**options)) for engine in engines]
        return [differences.compare(table, sides[0], sides[1], days, examples) for table in tables]


def print_differences(found: Sequence[Difference], output: str, out: Console) -> None:
    """Print the tables that differ, as text or as JSON."""
    unequal = [difference for difference in found if difference]
    if output == "json":
        json.dump([asdict(difference) for difference in unequal], sys.stdout, indent=1)
        sys.stdout.write("\n")
        return
    for difference in unequal:
        counts = f"{difference.added:,} added, {difference.removed:,} removed, {difference.changed:,} changed"
        out.print(f"{difference.table:<24} {counts}", markup=False)
        for example in difference.examples:
            key = ", ".join(f"{name}={value}" for name, value in example["key"].items())
            changes = "; ".join(f"{name} {old} → {new}" for name, (old, new) in example.get("values", {}).items())
            line = f"  {SIGNS[example['kind']]} {key}{': ' if changes else ''}{changes}"
            out.print(printable(line), markup=False, soft_wrap=True)
    out.print(f"{len(unequal)} of {len(found)} tables differ" if unequal else "nothing differs")


def _day(side: str) -> dt.date | None:
    try:
        return dt.date.fromisoformat(side)
    except ValueError:
        return None


def _url(side: str) -> URL:
    try:
        return postgres_url(side)
    except ValueError as error:
        raise HorrorError(f"one of the two arguments {error}") from None
