"""Deleting old results of asset checks, with the only SQL statement of this project on Dagster's own tables.

Dagster never deletes check results, even if it deletes their run, and they take as much space as Dagster's events.
Dagster's tables are private, so the statement runs only with the minor version of Dagster that it was written for.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Set
from typing import Any, cast

import dagster as dg
from sqlalchemy import String, bindparam, text

WRITTEN_FOR = "1.13."

_DELETE = text(
    """
    DELETE FROM asset_check_executions
    WHERE create_timestamp < :before AND run_id NOT IN :kept
      AND id NOT IN (SELECT max(id) FROM asset_check_executions WHERE execution_status <> 'PLANNED'
                     GROUP BY asset_key, check_name, partition)
    """
).bindparams(bindparam("kept", type_=String, expanding=True))


def delete_check_results(instance: dg.DagsterInstance, before: dt.datetime, kept_runs: Set[str]) -> int | None:
    """Delete results of asset checks, except the newest of each check and partition.

    Args:
        instance: where the results are recorded.
        before: delete results from before this moment.
        kept_runs: runs whose results stay.

    Returns:
        How many results were deleted; None if Dagster has another minor version, which may store them elsewhere.
    """
    if not dg.__version__.startswith(WRITTEN_FOR):
        return None
    # SQL storages have this method, which Dagster's base class does not declare.
    with cast(Any, instance.event_log_storage).index_connection() as connection:
        values = {"before": before.replace(tzinfo=None), "kept": sorted(kept_runs)}
        return int(connection.execute(_DELETE, values).rowcount)
