from __future__ import annotations

import re
from pathlib import Path

import pytest
from sqlalchemy import URL

from horror_pipeline.cli.worker import serve_runs
from horror_pipeline.errors import HorrorError, SettingsError
from horror_pipeline.orchestration import code_version
from horror_pipeline.settings import Settings, load_settings
from horror_pipeline.warehouse.engine import opened


def settings_of(home: Path, url: URL, monkeypatch: pytest.MonkeyPatch) -> Settings:
    address, dagster = (
        url.set(drivername="postgresql", database=name).render_as_string(hide_password=False)
        for name in (url.database, f"{url.database}_dagster")
    )
    for name, value in {
        "HORROR_HOME": str(home),
        "DATABASE_URL": address,
        "DAGSTER_DATABASE_URL": dagster,
        "HORROR_RUN_LAUNCHER": "celery",
        "CELERY_BROKER_URL": "redis://127.0.0.1:1/0",
    }.items():
        monkeypatch.setenv(name, value)
    return load_settings()


def test_a_worker_says_that_nothing_is_handed_to_it(tmp_path: Path) -> None:
    settings = Settings(_env_file=None, horror_home=tmp_path)
    with pytest.raises(SettingsError, match=r"sends no runs to workers; set HORROR_RUN_LAUNCHER=celery"):
        serve_runs(settings, 1, 0)


def test_a_worker_with_other_code_does_not_start(
    tmp_path: Path, database_url: URL, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings_of(tmp_path, database_url, monkeypatch)
    with opened(database_url) as engine, engine.begin() as connection:
        connection.exec_driver_sql("INSERT INTO data_source VALUES (true, 'x', now(), 50, '0.0.9 (abc)')")
    with pytest.raises(
        HorrorError, match=rf"{re.escape(code_version.code_version())}, but runs are launched by 0\.0\.9"
    ):
        serve_runs(settings, 1, 0)


def test_a_worker_with_another_schema_does_not_start(
    tmp_path: Path, database_url: URL, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings_of(tmp_path, database_url, monkeypatch)
    with opened(database_url) as engine, engine.begin() as connection:
        connection.exec_driver_sql("UPDATE schema_version SET version_num = '0000'")
    with pytest.raises(HorrorError, match="schema version 0000"):
        serve_runs(settings, 1, 0)
