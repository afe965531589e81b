"""Every answer to generated requests is what the schema promises, and none is a 500."""

from __future__ import annotations

from typing import Any

import pytest
import schemathesis
from fastapi import FastAPI
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import Case
from schemathesis.core.result import Ok
from sqlalchemy import Engine

from horror_pipeline_tests.web import rows


@pytest.fixture
def filled(engine: Engine) -> None:
    rows.add_source(engine)
    for tmdb_id in range(1, 4):
        rows.add_film(engine, tmdb_id)
        rows.add_prediction(engine, tmdb_id)
        rows.add_snapshots(engine, tmdb_id, {rows.TODAY: 1.0})
        rows.add_outcome(engine, tmdb_id)
        rows.add_forecast(engine, tmdb_id)
        rows.add_mover(engine, tmdb_id)
    rows.add_forecast_score(engine, 7, rows.TODAY)
    rows.add_model(engine)


@pytest.mark.usefixtures("filled")
def test_answers_are_what_the_schema_promises(app: FastAPI) -> None:
    schema = schemathesis.openapi.from_asgi("/openapi.json", app)
    operations = [found.ok() for found in schema.get_all_operations() if isinstance(found, Ok)]
    assert {operation.path for operation in operations} == set(app.openapi()["paths"])

    for operation in operations:

        @given(case=operation.as_strategy())
        @settings(
            max_examples=8,
            derandomize=True,
            deadline=None,
            database=None,
            phases=[Phase.explicit, Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        def answers_as_promised(case: Case[Any]) -> None:
            case.call_and_validate()

        answers_as_promised()
