from __future__ import annotations

import time
from datetime import timedelta
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine, text

from horror_pipeline.web.app import create_app
from horror_pipeline.web.health import head_revision
from horror_pipeline_tests.web import rows
from horror_pipeline_tests.web.rows import NOW, TODAY


@pytest.mark.parametrize("path", ["/health", "/api/health"])
def test_fresh_data_in_our_schema_is_healthy(client: TestClient, engine: Engine, path: str) -> None:
    rows.add_film(engine, 1, observed_at=NOW - timedelta(hours=3))

    answer = client.get(path)

    assert answer.status_code == 200
    assert answer.json() == {
        "status": "ok",
        "reason": None,
        "database": "ok",
        "schema_version": head_revision(),
        "expected_schema_version": head_revision(),
        "newest_data_at": "2026-11-22T09:00:00Z",
        "data_age_seconds": 10_800,
    }
    assert answer.headers["cache-control"] == "no-store"
    assert "etag" not in answer.headers


def test_data_older_than_two_days_is_unhealthy(client: TestClient, engine: Engine) -> None:
    rows.add_film(engine, 1, observed_at=NOW - timedelta(days=2, minutes=1))

    answer = client.get("/health")

    assert answer.status_code == 503
    assert answer.json()["reason"].startswith("the newest data is 2 days old")


def test_a_recent_snapshot_is_recent_data(client: TestClient, engine: Engine) -> None:
    rows.add_film(engine, 1, observed_at=NOW - timedelta(days=9))
    rows.add_snapshots(engine, 1, {TODAY: 1.0})

    assert client.get("/health").status_code == 200


def test_no_data_is_unhealthy(client: TestClient) -> None:
    answer = client.get("/health")

    assert answer.status_code == 503
    assert answer.json()["reason"] == "no film has been collected yet; run `make run`"


def test_another_schema_version_is_unhealthy(client: TestClient, engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("UPDATE schema_version SET version_num = '9999'"))

    answer = client.get("/health")

    assert answer.status_code == 503
    assert answer.json()["schema_version"] == "9999"
    assert "horror db upgrade" in answer.json()["reason"]


def test_a_database_that_was_never_set_up_is_unhealthy(client: TestClient, engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("DROP TABLE schema_version"))

    answer = client.get("/health")

    assert answer.status_code == 503
    assert "make run" in answer.json()["reason"]


def test_without_a_database_health_and_api_say_so_and_the_page_still_opens() -> None:
    app = create_app("postgresql://reader:secret@127.0.0.1:1/nowhere", clock=lambda: NOW)
    with TestClient(app) as client:
        started = time.monotonic()
        health, summary, page = client.get("/health"), client.get("/api/summary"), client.get("/")

    assert time.monotonic() - started < 3
    assert (health.status_code, health.json()["database"]) == (503, "away")
    assert (summary.status_code, summary.json()["reason"]) == (503, "cannot reach the database")
    assert "secret" not in health.text + summary.text
    assert page.status_code == 200


def test_the_expected_schema_is_the_newest_migration() -> None:
    versions = Path(__file__).parents[2] / "horror_pipeline" / "warehouse" / "migrations" / "versions"
    newest = max(path.name[:4] for path in versions.glob("[0-9]*.py"))

    assert head_revision() == newest
