from __future__ import annotations

import datetime as dt
import io
import json

import pytest
from rich.console import Console

from horror_pipeline.cli.predictions import print_movers, print_predictions

ROW = {
    "tmdb_id": 1,
    "title": "[bold]Night of the Brackets[/]",
    "release_date": dt.date(2027, 10, 31),
    "genres": ["Horror", "Comedy"],
    "predicted_popularity": 12.34,
    "popularity_lower": 4.0,
    "popularity_upper": 30.0,
    "actual_popularity": None,
    "predicted_vote_average": 6.04,
    "vote_average_lower": 5.0,
    "vote_average_upper": 7.1,
    "actual_vote_average": None,
}


def test_json_keeps_nulls_and_writes_dates_as_iso(capsys: pytest.CaptureFixture[str]) -> None:
    print_predictions([ROW], "json", Console())
    (row,) = json.loads(capsys.readouterr().out)
    assert row["release_date"] == "2027-10-31"
    assert row["actual_popularity"] is None
    assert row["genres"] == ["Horror", "Comedy"]


def test_csv_has_a_header_and_one_line_a_film(capsys: pytest.CaptureFixture[str]) -> None:
    print_predictions([ROW], "csv", Console())
    header, line = capsys.readouterr().out.splitlines()
    assert header.startswith("tmdb_id,title,release_date")
    assert line == "1,[bold]Night of the Brackets[/],2027-10-31,Horror|Comedy,12.34,4.0,30.0,,6.04,5.0,7.1,"


def test_a_title_is_never_read_as_markup() -> None:
    text = io.StringIO()
    print_predictions([ROW], "table", Console(file=text, width=160))
    assert "[bold]Night of the Brackets[/]" in text.getvalue()
    assert "4.0–30.0" in text.getvalue()


@pytest.mark.parametrize(("width", "lines"), [(50, 9), (80, 7), (200, 3)])
def test_a_narrow_terminal_folds_titles_and_loses_no_figure(width: int, lines: int) -> None:
    text = io.StringIO()
    print_predictions([ROW | {"title": "Night " * 16}], "table", Console(file=text, width=width, force_terminal=True))
    assert text.getvalue().count("\n") == lines
    for word in ("Popularity", "Rating", "2027-10-31", "12.3", "4.0–30.0", "5.0–7.1"):
        assert word in text.getvalue()
    assert text.getvalue().count("Night") == 16


def test_an_empty_warehouse_says_what_to_run() -> None:
    text = io.StringIO()
    print_predictions([], "table", Console(file=text))
    assert "horror run" in text.getvalue()


@pytest.mark.parametrize("title", ["=1+1", "+1", "-1", "@SUM(A1)"])
def test_no_cell_of_a_csv_is_a_formula(title: str, capsys: pytest.CaptureFixture[str]) -> None:
    print_predictions([ROW | {"title": title, "predicted_popularity": -1.5}], "csv", Console())
    line = capsys.readouterr().out.splitlines()[1]
    assert line.startswith(f"1,'{title},") and ",-1.5," in line  # numbers stay numbers


@pytest.mark.parametrize("output", ["table", "csv", "json"])
def test_no_title_controls_the_terminal(output: str, capsys: pytest.CaptureFixture[str]) -> None:
    text = io.StringIO()
    title = "Two\nlines\x1b[2J\x9b31m\x07\u202egnp"
    print_predictions([ROW | {"title": title}], output, Console(file=text, width=160))
    printed = text.getvalue() + capsys.readouterr().out
    assert not set("\x1b\x9b\x07\u202e") & set(printed)
    assert "Two\nlines" not in printed


def test_movers_are_printed_beside_what_such_films_did(capsys: pytest.CaptureFixture[str]) -> None:
    row = {
        "title": "Saw",
        "release_date": None,
        "snapshot_date": "2026-11-22",
        "span_days": 7,
        "popularity_before": 3.0,
    }
    row |= {"popularity": 9.0, "popularity_usual": 3.2, "popularity_rank_before": 20, "popularity_rank": 4}
    of_change = {"change_percentile": 0.99999, "breakout_score": 0.995, "is_breakout": True}
    print_movers([row | of_change], "table", Console(width=120))
    printed = capsys.readouterr().out.splitlines()
    assert "7 days before" in printed[0]
    assert printed[1].split() == ["Saw", "unknown", "3.0", "9.0", "3.2", "20→4", "99.99", "%", "99.5", "%", "breakout"]
