from __future__ import annotations

import datetime as dt

import pytest
from sqlalchemy import Engine

from horror_pipeline.errors import HorrorError
from horror_pipeline.orchestration import code_version as module
from horror_pipeline.orchestration.code_version import code_version, note_code_version, require_same_code
from horror_pipeline.warehouse.data_source import claim_source

NOON = dt.datetime(2026, 11, 22, 12, tzinfo=dt.UTC)


@pytest.fixture
def warehouse(engine: Engine) -> Engine:
    with engine.begin() as connection:
        claim_source(connection, True, "http://127.0.0.1:1/3", NOON)
    return engine


def test_where_nobody_has_started_a_run_every_version_may_begin(engine: Engine) -> None:
    note_code_version(engine)  # there is nothing yet to note it beside
    require_same_code(engine)


def test_the_same_code_may_execute_runs(warehouse: Engine) -> None:
    note_code_version(warehouse)
    require_same_code(warehouse)


def test_other_code_is_refused_by_a_sentence_that_names_both_versions(
    warehouse: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = code_version()
    note_code_version(warehouse)
    monkeypatch.setattr(module, "code_version", lambda: "0.0.9 (abc)")
    with pytest.raises(HorrorError) as raised:
        require_same_code(warehouse)
    assert str(raised.value).startswith(f"this host has horror_pipeline 0.0.9 (abc), but runs are launched by {ours}; ")
