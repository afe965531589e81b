"""SQL of `model_versions`: the registry of fitted models."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, Engine, select, text, update

from horror_pipeline.warehouse.bulk import copy_upsert
from horror_pipeline.warehouse.tables import (
    model_versions,
)


def champion(connection: Connection, model_name: str) -> dict[str, Any] | None:
    """The version of a model that predicts now, with its artefact; None before the first."""
    statement = select(model_versions).where(model_versions.c.model_name == model_name, model_versions.c.is_champion)
    found = connection.execute(statement).mappings().one_or_none()
    return None if found is None else dict(found)


def promote(connection: Connection, row: Mapping[str, Any]) -> None:
    """Make a version the champion of its model; the one before keeps its metrics and loses its artefact.

    Args:
        connection: in a transaction; the caller commits.
        row: columns of `model_versions` but `is_champion`.
    """
    theirs = model_versions.c.model_name == row["model_name"]
    connection.execute(update(model_versions).where(theirs, model_versions.c.is_champion).values(RETIRED))
    copy_upsert(connection, model_versions, [{**row, "is_champion": True}])


RETIRED = {"is_champion": False, "artifact": None}


def version_history(connection: Connection, model_name: str, limit: int = 60) -> list[dict[str, Any]]:
    """The newest versions of a model, oldest first: when fitted, how good, and the baselines."""
    columns = (model_versions.c[name] for name in ("trained_at", "algorithm", "metrics", "baseline_metrics"))
    newest = select(*columns).where(model_versions.c.model_name == model_name)
    rows = connection.execute(newest.order_by(model_versions.c.trained_at.desc()).limit(limit)).mappings()
    return [dict(row) for row in rows][::-1]


def vacuum_versions(engine: Engine) -> None:
    """Give the room of retired artefacts back, so that the next one takes it instead of more."""
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM model_versions"))
