"""Metadata of assets in the Dagster UI: column schemas from the declarations of tables, and figures of a run."""

from __future__ import annotations

from collections.abc import Mapping

import dagster as dg
from sqlalchemy import Dialect, Engine, Table
from sqlalchemy.dialects import postgresql

from horror_pipeline.tmdb.client import ClientStats
from horror_pipeline.warehouse import raw

POSTGRES: Dialect = postgresql.dialect()  # type: ignore[no-untyped-call]  # SQLAlchemy gives it no types

Figures = Mapping[str, int | float | str]


def column_schema(table: Table) -> dict[str, object]:
    """Describe the table's columns as Dagster's definition metadata of an asset.

    Args:
        table: a table of `warehouse.tables`.

    Returns:
        `dagster/column_schema` and `dagster/table_name`.
    """
    columns = [
        dg.TableColumn(
            name=column.name,
            type=column.type.compile(dialect=POSTGRES).lower(),
            description=column.comment,
            constraints=dg.TableColumnConstraints(nullable=bool(column.nullable), unique=False),
            tags={"primary_key": ""} if column.primary_key else None,
        )
        for column in table.columns
    ]
    return {
        "dagster/column_schema": dg.TableSchema(
            columns=columns, constraints=dg.TableConstraints(other=[str(table.comment)]) if table.comment else None
        ),
        "dagster/table_name": table.fullname if table.schema else f"public.{table.name}",
    }


def row_count(warehouse: Engine, table: Table) -> dict[str, int]:
    """Count the rows of the whole table, as metadata of a materialization."""
    with warehouse.connect() as connection:
        return {"dagster/row_count": raw.count_rows(connection, table)}


def request_figures(stats: ClientStats) -> dict[str, int | float]:
    """Summarize the requests to TMDB of a whole run, not of one partition, as metadata of a materialization."""
    return {
        "requests": stats.requests,
        "retries": stats.retries,
        "rate_limited": stats.rate_limited,
        "requests_per_second": round(stats.requests / stats.seconds, 2) if stats.seconds > 0 else 0.0,
    }


def rounded(values: Mapping[str, float]) -> dict[str, float]:
    """Round figures to three decimals for display."""
    return {name: round(value, 3) for name, value in values.items()}


def skip(context: dg.AssetExecutionContext, reason: str) -> None:
    """Record on the asset's page that the run materialized nothing, and why; the asset then yields no result."""
    context.log.info(reason)
    context.log_event(dg.AssetObservation(context.asset_key, metadata={"skipped": reason}))
