"""What an asset tells of its table in the Dagster UI, taken from the table's one declaration.

What belongs here: translating `warehouse.tables` into Dagster's metadata, and what was told last. What does not: making
the metadata of a single run.
"""

from __future__ import annotations

from typing import Any

import dagster as dg
from sqlalchemy import Dialect, Table
from sqlalchemy.dialects import postgresql

POSTGRES: Dialect = postgresql.dialect()  # type: ignore[no-untyped-call]  # SQLAlchemy gives it no types

OWNERS = ["team:horror-pipeline"]


def column_schema(table: Table) -> dict[str, object]:
    """The table's columns as Dagster's definition metadata, for `metadata=` of an asset.

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


def told_before(context: dg.AssetExecutionContext) -> dict[str, Any]:
    """The metadata of the asset's last materialisation: still true where nothing was done anew, and a page not bare.

    Args:
        context: of the asset that is materialised.

    Returns:
        Values by key; empty before the first.
    """
    before = context.instance.get_latest_materialization_event(context.asset_key)
    if before is None or before.asset_materialization is None:
        return {}
    return dict(before.asset_materialization.metadata)
