"""Two workers and the host that serves Dagster; one of them loses power while it ingests."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import pytest
from sqlalchemy import URL, text

from horror_pipeline.warehouse.engine import opened
from horror_pipeline_tests.fleet import Fleet

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(shutil.which("redis-server") is None, reason="redis-server is not installed"),
]
# Slow enough for the worker to die half-way.
SETTINGS = {"HORROR_FIRST_YEAR": "2024", "HORROR_MIN_VOTES": "0", "TMDB_REQUESTS_PER_SECOND": "25"}


def count(url: URL, query: str) -> int:
    with opened(url) as engine, engine.connect() as connection:
        return int(connection.execute(text(query)).scalar_one())


def test_a_run_whose_worker_loses_power_is_retried_by_the_other(tmp_path: Path, database_url: URL) -> None:
    with Fleet(tmp_path, database_url, SETTINGS) as fleet:
        fleet.start_broker()
        fleet.start("control", "up")
        for host in ("first", "second"):
            fleet.start(host, "worker", "--runs", "1", "--wait", "60")
        fleet.wait(lambda: "logs in" in fleet.log("control"), 180, "the start")
        run_id = fleet.launch("ingest_catalogue", "2024")
        stored = "SELECT count(*) FROM raw.movie_details"
        fleet.wait(lambda: count(database_url, stored) > 20, 180, "the ingest's start")
        (victim,) = (host for host in ("first", "second") if "received" in fleet.log(host))
        read_before, killed_at = count(database_url, stored), time.time()
        fleet.kill(victim)
        fleet.wait(fleet.is_over, 180, "the retry")
        retry, lost = fleet.runs()
        assert (lost["runId"], lost["status"], retry["status"]) == (run_id, "FAILURE", "SUCCESS")
        assert "The process of this run died" in " ".join(fleet.run_log(run_id))
        assert lost["endTime"] - killed_at < 120
        assert retry["startTime"] >= lost["endTime"]
        assert count(database_url, "SELECT count(*) FROM movies") > read_before
