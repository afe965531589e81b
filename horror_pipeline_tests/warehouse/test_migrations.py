from __future__ import annotations

import datetime as dt

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Engine, Table, inspect, text

from horror_pipeline.warehouse import partitions, schema, tables, views


def test_the_migrations_create_what_the_tables_declare(engine: Engine) -> None:
    with engine.connect() as connection:
        options = {"include_schemas": True, "version_table": schema.VERSION_TABLE, "compare_server_default": True}
        difference = compare_metadata(MigrationContext.configure(connection, opts=options), tables.metadata)
    assert difference == []


def test_every_column_is_explained_in_the_database_too(engine: Engine) -> None:
    for table in tables.TABLES.values():
        found = {column["name"]: column["comment"] for column in inspect(engine).get_columns(table.name, table.schema)}
        assert found == {column.name: column.comment for column in table.columns}


def test_the_schema_can_be_taken_back_and_made_again(engine: Engine) -> None:
    with engine.begin() as connection:
        command.downgrade(schema._alembic(connection), "base")
        assert inspect(connection).get_table_names() == [schema.VERSION_TABLE]
    schema.upgrade(engine)
    schema.require_current_schema(engine)


def test_the_views_are_those_declared(engine: Engine) -> None:
    with engine.begin() as connection:
        schemas = "WHERE schemaname IN ('public', 'raw')"
        stored = connection.execute(text(f"SELECT schemaname, viewname, definition FROM pg_views {schemas}")).all()
        for schema_name, name, definition in stored:
            qualified = name if schema_name == "public" else f"{schema_name}.{name}"
            connection.execute(text(f"CREATE TEMPORARY VIEW declared AS {views.VIEWS[qualified]}"))
            assert connection.execute(text("SELECT pg_get_viewdef('declared'::regclass)")).scalar() == definition
            connection.execute(text("DROP VIEW declared"))
    assert len(stored) == len(views.VIEWS)


@pytest.mark.parametrize("table", tables.BY_MONTH)
def test_a_month_has_what_its_table_declares(engine: Engine, table: Table) -> None:
    with engine.begin() as connection:
        [month] = partitions.ensure_months(connection, table, [dt.date(2026, 11, 20)])
        bounds = "SELECT pg_get_expr(relpartbound, oid) FROM pg_class WHERE relname = :name"
        assert connection.execute(text(bounds), {"name": month}).scalar() == (
            "FOR VALUES FROM ('2026-11-01') TO ('2026-12-01')"
        )
        inspector = inspect(connection)
        stored = {column["name"]: (column["nullable"], column["comment"]) for column in inspector.get_columns(month)}
        assert stored == {column.name: (column.nullable, column.comment) for column in table.columns}
        assert inspector.get_pk_constraint(month)["constrained_columns"] == [key.name for key in table.primary_key]
        indexed = {tuple(index["column_names"]) for index in inspector.get_indexes(month)}
        assert indexed == {tuple(column.name for column in index.columns) for index in table.indexes}


def test_the_first_migration_is_frozen_before_there_is_a_second() -> None:
    first, *later = sorted((schema.MIGRATIONS / "versions").glob("0*.py"))
    assert not later or "metadata" not in first.read_text()
