"""Predictions, forecasts and movers as a table for a terminal, or as CSV or JSON for another program."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from horror_pipeline.cli.terminal import printable
from horror_pipeline.errors import HorrorError
from horror_pipeline.orchestration.breakouts import share
from horror_pipeline.web.csv_format import write_csv

Row = Mapping[str, object]

MAX_TABLE_WIDTH = 10_000
"""Width in characters that no table reaches."""


def print_rows(rows: Sequence[Row], output: str, out: Console, table: Callable[[Sequence[Row]], Table]) -> None:
    """Print rows of a view.

    Args:
        rows: the rows, by column name.
        output: `table`, `csv` or `json`.
        out: the terminal, for a table; CSV and JSON go to standard output unchanged.
        table: lays the rows out for a terminal.
    """
    if output == "json":
        json.dump(rows, sys.stdout, indent=1, default=lambda moment: moment.isoformat())
        sys.stdout.write("\n")
    elif output == "csv":
        _print_csv(rows)
    elif rows:
        found = table(rows)
        size = out.measure(found, options=out.options.update(width=MAX_TABLE_WIDTH))
        # In a narrow terminal, titles are folded. Nothing is cut: the terminal wraps lines that are still too long.
        width = max(out.width, size.minimum) if out.is_terminal else size.maximum
        Console(file=out.file, width=width, force_terminal=out.is_terminal, highlight=False).print(found)
    else:
        out.print("There is nothing to print yet. First run: horror run")


def _print_csv(rows: Sequence[Row]) -> None:
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="strict")  # other programs get every letter, or an error
    if not rows:
        return
    try:
        write_csv(sys.stdout, list(rows[0]), ({key: _printable(value) for key, value in row.items()} for row in rows))
    except UnicodeEncodeError as error:
        problem = f"a title cannot be written to standard output, which is {error.encoding}"
        raise HorrorError(problem, "set PYTHONIOENCODING=utf-8") from None


def _printable(value: object) -> object:
    if isinstance(value, list):
        return [printable(str(item)) for item in value]
    return printable(value) if isinstance(value, str) else value


def _table_of_films() -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("Film", overflow="fold", min_width=16, max_width=60)
    table.add_column("Release", no_wrap=True)
    return table


def _film(row: Row) -> tuple[str, str]:
    """Return the cells of a film's title and release."""
    return escape(printable(str(row["title"]))), str(row["release_date"] or "unknown")


def _add_numbers(table: Table, name: str, style: str = "") -> None:
    """Add a column that is at least as wide as its name."""
    table.add_column(name, justify="right", no_wrap=True, min_width=len(name), style=style)


def _predictions_table(rows: Sequence[Row]) -> Table:
    table = _table_of_films()
    for target in ("Popularity", "Rating"):
        _add_numbers(table, target)
        _add_numbers(table, "80 %", "dim")
        _add_numbers(table, "now", "dim")
    for row in rows:
        table.add_row(
            *_film(row),
            _number(row["predicted_popularity"]),
            _interval(row["popularity_lower"], row["popularity_upper"]),
            _number(row["actual_popularity"]),
            _number(row["predicted_vote_average"]),
            _interval(row["vote_average_lower"], row["vote_average_upper"]),
            _number(row["actual_vote_average"]),
        )
    return table


def _forecasts_table(rows: Sequence[Row]) -> Table:
    days = rows[0]["horizon_days"]
    table = _table_of_films()
    _add_numbers(table, f"on {rows[0]['made_on']}")
    _add_numbers(table, f"in {days} days")
    _add_numbers(table, "80 %", "dim")
    for row in rows:
        table.add_row(
            *_film(row),
            _number(row["origin_popularity"]),
            _number(row["forecast_popularity"]),
            _interval(row["popularity_lower"], row["popularity_upper"]),
        )
    return table


def _movers_table(rows: Sequence[Row]) -> Table:
    span = "1 day before" if rows[0]["span_days"] == 1 else f"{rows[0]['span_days']} days before"
    table = _table_of_films()
    for name in (span, f"on {rows[0]['snapshot_date']}", "such films", "rank", "larger than", "unusual"):
        _add_numbers(table, name)
    table.add_column("")
    for row in rows:
        table.add_row(
            *_film(row),
            *(_number(row[name]) for name in ("popularity_before", "popularity", "popularity_usual")),
            f"{row['popularity_rank_before']}→{row['popularity_rank']}",
            *(_share(row[name]) for name in ("change_percentile", "breakout_score")),
            "breakout" if row["is_breakout"] else "",
        )
    return table


def _share(value: object) -> str:
    return share(value) if isinstance(value, float) else "–"


def _number(value: object) -> str:
    return f"{value:.1f}" if isinstance(value, int | float) else "–"


def _interval(lower: object, upper: object) -> str:
    return f"{_number(lower)}–{_number(upper)}" if lower is not None and upper is not None else ""


print_predictions = partial(print_rows, table=_predictions_table)
"""Print rows of `latest_predictions`."""

print_forecasts = partial(print_rows, table=_forecasts_table)
"""Print rows of `latest_forecasts`, of one horizon."""

print_movers = partial(print_rows, table=_movers_table)
"""Print rows of `latest_movers`, of one span."""
