"""SQL of `model_versions`: the registry of fitted models."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, Engine, select, text, update

from horror_pipeline.warehouse.bulk import copy_upsert
from horror_pipeline.warehouse.tables import model_versions


def champion(connection: Connection, model_name: str) -> dict[str, Any] | None:
    """Return the champion of a model, which is the version that predicts, with its artifact; None if there is none."""
    statement = select(model_versions).where(model_versions.c.model_name == model_name, model_versions.c.is_champion)
    row = connection.execute(statement).mappings().one_or_none()
    return None if row is None else dict(row)


def promote(connection: Connection, row: Mapping[str, Any]) -> None:
    """Make a version the champion of its model; its row is given without `is_champion`.

    The former champion keeps its metrics and loses its artifact.
    """
    is_former = (model_versions.c.model_name == row["model_name"]) & model_versions.c.is_champion
    connection.execute(update(model_versions).where(is_former).values(is_champion=False, artifact=None))
    copy_upsert(connection, model_versions, [{**row, "is_champion": True}])


def vacuum_versions(engine: Engine) -> None:
    """Free the space of deleted artifacts, so that the next artifact reuses it."""
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM model_versions"))
