from __future__ import annotations

import datetime as dt
import logging

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import ProgrammingError

from horror_pipeline.domain import READER_ROLE
from horror_pipeline.errors import SchemaError
from horror_pipeline.warehouse import partitions, schema, tables
from horror_pipeline.warehouse.engine import connect


def test_upgrading_twice_changes_nothing(engine: Engine) -> None:
    before = schema.schema_revision(engine)
    schema.upgrade(engine)
    assert schema.schema_revision(engine) == before
    schema.require_current_schema(engine)


@pytest.mark.parametrize(
    ("statement", "advice"),
    [
        (f"DROP TABLE {schema.VERSION_TABLE}", "the database is empty; run: horror db upgrade"),
        (f"DELETE FROM {schema.VERSION_TABLE}", "the database is empty; run: horror db upgrade"),
        (f"UPDATE {schema.VERSION_TABLE} SET version_num = '9999'", "install that version of horror-pipeline"),
    ],
)
def test_a_database_of_another_version_is_refused_with_the_remedy(engine: Engine, statement: str, advice: str) -> None:
    with engine.begin() as connection:
        connection.execute(text(statement))
    with pytest.raises(SchemaError) as refused:
        schema.require_current_schema(engine)
    assert advice in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_newer_database_is_not_downgraded(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text(f"UPDATE {schema.VERSION_TABLE} SET version_num = '9999'"))
    with pytest.raises(SchemaError):
        schema.upgrade(engine)
    assert schema.schema_revision(engine) == "9999"


def test_the_reader_sees_public_tables_and_nothing_else(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text(f"SET ROLE {READER_ROLE}"))
        connection.execute(text("SELECT * FROM movies, latest_predictions, latest_forecasts, forecast_accuracy"))
        for forbidden in ("SELECT * FROM raw.movie_details", "DELETE FROM movies", "CREATE TABLE mine (i int)"):
            with pytest.raises(ProgrammingError, match="permission denied"), connection.begin_nested():
                connection.execute(text(forbidden))


def test_the_reader_sees_tables_and_months_made_later(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE later (i int)"))
        partitions.ensure_months(connection, tables.popularity_forecasts, [dt.date(2026, 11, 20)])
        connection.execute(text(f"SET ROLE {READER_ROLE}"))
        for name in ("later", "popularity_forecasts", "popularity_forecasts_2026_11"):
            assert connection.execute(text(f"SELECT count(*) FROM {name}")).scalar() == 0


def test_a_login_that_may_not_create_roles_still_upgrades_and_is_told(
    engine: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    admin = engine.execution_options(isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(text("CREATE ROLE plain LOGIN"))
        connection.execute(text("CREATE DATABASE of_plain OWNER plain"))
    plain = connect(engine.url.set(username="plain", database="of_plain"))
    with caplog.at_level(logging.WARNING):
        schema.upgrade(plain)
    schema.require_current_schema(plain)
    plain.dispose()
    assert "horror db upgrade" in caplog.text
