"""What differs between two warehouses, or two days of one."""

from __future__ import annotations

import datetime as dt
import json

import pytest
from rich.console import Console
from sqlalchemy import Engine, insert

from horror_pipeline.cli.diff import print_differences
from horror_pipeline.warehouse import tables
from horror_pipeline.warehouse.differences import Difference, compare, of_days, of_warehouses
from horror_pipeline_tests.web import rows

DAY, NEXT = rows.TODAY, rows.TODAY + dt.timedelta(days=1)


def differences(before: Engine, after: Engine, days: tuple[dt.date, dt.date] | None = None) -> dict[str, Difference]:
    with before.connect() as old, after.connect() as new:
        found = [compare(compared, old, new, days) for compared in (of_days() if days else of_warehouses())]
    return {difference.table: difference for difference in found if difference}


def test_rows_of_two_warehouses_are_paired_by_key_and_instants_are_not_compared(
    engine: Engine, module_engine: Engine, capsys: pytest.CaptureFixture[str]
) -> None:
    long = "A plot that is longer than a terminal is wide. " * 3
    for tmdb_id in (1, 2, 3, 4, 5, 6):
        rows.add_film(engine, tmdb_id, overview=f"{long}One end.")
        rows.add_film(
            module_engine,
            10 * tmdb_id if tmdb_id > 4 else tmdb_id,
            title="Other" if tmdb_id == 3 else "",
            overview=f"{long}{'Another' if tmdb_id == 3 else 'One'} end.",
            observed_at=rows.NOW,
        )
    for step, fingerprint in (("b", "x"), ("B", "x"), ("a", "x")):  # in whatever order the database sorts letters
        for side, digest in ((engine, fingerprint), (module_engine, "y" if step == "B" else fingerprint)):
            with side.begin() as connection:
                row = {"step": step, "fingerprint": digest, "completed_at": rows.NOW}
                connection.execute(insert(tables.training_state), row)
    found = differences(engine, module_engine)
    assert set(found) == {"movies", "training_state"}
    assert (found["movies"].added, found["movies"].removed, found["movies"].changed) == (2, 2, 1)
    changed = next(example for example in found["movies"].examples if example["kind"] == "changed")
    assert changed["key"] == {"tmdb_id": "3"}
    assert changed["values"]["title"] == ["Film 3", "Other"]
    assert [end[-12:] for end in changed["values"]["overview"]] == ["de. One end.", "Another end."]
    assert (found["training_state"].added, found["training_state"].changed) == (0, 1)
    assert differences(engine, engine) == {}
    print_differences(list(found.values()), "text", Console(width=200))
    printed = capsys.readouterr().out
    assert "movies                   2 added, 2 removed, 1 changed" in printed
    assert "  - tmdb_id=5" in printed and "  ~ step=B: fingerprint x → y" in printed
    print_differences(list(found.values()), "json", Console())
    assert json.loads(capsys.readouterr().out)[0]["removed"] == 2


def test_rows_of_two_days_are_paired_by_film(engine: Engine) -> None:
    rows.add_snapshots(engine, 1, {DAY: 2.0, NEXT: 2.0})
    rows.add_snapshots(engine, 2, {DAY: 2.0, NEXT: 3.0})
    rows.add_snapshots(engine, 3, {DAY: 2.0})
    rows.add_prediction(engine, 1, rows.NOW - dt.timedelta(hours=2), predicted_popularity=9.0)
    rows.add_prediction(engine, 1, rows.NOW)
    rows.add_prediction(engine, 1, rows.NOW + dt.timedelta(days=1))
    for day in (DAY, NEXT):
        rows.add_forecast(engine, 1, made_on=day)
    found = differences(engine, engine, (DAY, NEXT))
    assert set(found) == {"movie_snapshots"}
    assert [(example["kind"], example["key"]) for example in found["movie_snapshots"].examples] == [
        ("changed", {"tmdb_id": "2"}),
        ("removed", {"tmdb_id": "3"}),
    ]
    assert found["movie_snapshots"].examples[0]["values"] == {"popularity": ["2", "3"]}
