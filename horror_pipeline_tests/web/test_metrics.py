"""`/metrics`: what monitoring reads, with the database and without."""

from __future__ import annotations

import subprocess
import sys
from datetime import timedelta

import psutil
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import Engine, event, insert

from horror_pipeline.warehouse import tables
from horror_pipeline.web import metrics
from horror_pipeline_tests.web import rows
from horror_pipeline_tests.web.rows import NOW, TODAY

Figures = dict[tuple[str, ...], float]


def read(client: TestClient) -> Figures:
    """Every sample by its name and the values of its labels, as Prometheus reads them."""
    answer = client.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=")
    families = text_string_to_metric_families(answer.text)
    return {(sample.name, *sample.labels.values()): sample.value for family in families for sample in family.samples}


def test_monitoring_reads_runs_ages_requests_rejections_and_skill(client: TestClient, engine: Engine) -> None:
    for run_id, outcome in (("a", "success"), ("b", "success"), ("c", "failure")):
        row = {"run_id": run_id, "job_name": "ingest_catalogue", "outcome": outcome, "ended_at": NOW}
        with engine.begin() as connection:
            connection.execute(insert(tables.finished_runs), row)
    counts = {"asset": "raw/movie_details", "requests": 150, "retries": 7, "refusals": 2}
    with engine.begin() as connection:
        connection.execute(insert(tables.request_counts), counts)
    rows.add_film(engine, 1, observed_at=NOW - timedelta(hours=1))
    rows.add_snapshots(engine, 1, {TODAY: 1.0})
    rows.add_forecast_score(engine, 7, TODAY, mae=0.7)
    rows.add_forecast_score(engine, 7, TODAY - timedelta(days=31), mae=0.1)
    rows.add_forecast_score(engine, 1, TODAY, mae=0.2, is_backtest=True)
    rejected = {"source_table": "raw.movie_details", "reason": "no id", "payload": {"title": "Hidden"}}
    with engine.begin() as connection:
        for key in ("1", "2"):
            values = rejected | {"record_key": key, "rejected_at": NOW}
            connection.execute(insert(tables.rejected_records), values)

    figures = read(client)

    assert figures["horror_database_up",] == 1
    assert figures["horror_runs_total", "ingest_catalogue", "success"] == 2
    assert figures["horror_runs_total", "ingest_catalogue", "failure"] == 1
    assert figures["horror_runs_total", "ingest_catalogue", "canceled"] == 0
    asked = [figures[f"horror_tmdb_{name}_total", "raw/movie_details"] for name in ("requests", "retries", "refusals")]
    assert asked == [150, 7, 2]
    hour_ago = (NOW - timedelta(hours=1)).timestamp()
    assert figures["horror_newest_data_timestamp_seconds", "movies"] == hour_ago
    midnight = NOW.replace(hour=0).timestamp()
    assert figures["horror_newest_data_timestamp_seconds", "movie_snapshots"] == midnight
    assert figures["horror_rejected_records", "raw.movie_details"] == 2
    skills = {name[1]: value for name, value in figures.items() if name[0] == "horror_forecast_skill"}
    assert skills == {"7": pytest.approx(0.3)}  # live ones of the newest 30 days alone


def test_reading_is_one_query(app: FastAPI, engine: Engine) -> None:
    statements = []
    listen = event.listen
    listen(Engine, "before_cursor_execute", note := lambda *call: statements.append(call[2]))
    try:
        with TestClient(app) as client:
            assert client.get("/metrics").status_code == 200
    finally:
        event.remove(Engine, "before_cursor_execute", note)
    assert len(statements) == 2, "the preparation of the transaction and one query"


def test_without_a_database_what_is_known_is_answered(offline_client: TestClient) -> None:
    figures = read(offline_client)

    assert figures["horror_database_up",] == 0
    assert figures["horror_process_memory_bytes", "dashboard"] > 1e6
    assert {name for name, *_ in figures} == {"horror_database_up", "horror_process_memory_bytes"}


def test_under_horror_up_the_memory_of_its_other_processes_is_told_without_their_arguments() -> None:
    command = [sys.executable, "-c", "print(flush=True); input()", "dagster-daemon", "s3cret"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as child:  # noqa: S603
        assert child.stdout is not None and child.stdin is not None
        child.stdout.readline()
        found = metrics.memory(psutil.Process(child.pid), psutil.Process())
        others = metrics.memory(psutil.Process(), psutil.Process())
        child.stdin.close()
    assert [labels for _, labels, _ in found] == [["dashboard"]]
    assert [labels for _, labels, _ in others] == [["daemon"]]
    assert others[0][2] > 1e6
