"""Results of asset checks by partition, so that a bad day stays red until it is repaired, even after a good day."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, get_args, get_type_hints

import dagster as dg

Target: Any = get_args(get_type_hints(dg.AssetCheckEvaluation)["target_materialization_data"])[0]
"""Dagster's type for the materialization that a check looked at. Dagster has no public name for this type."""


def record_results(
    context: dg.AssetExecutionContext, results: Mapping[str, Sequence[dg.AssetCheckResult]]
) -> list[dg.AssetCheckResult]:
    """Record the check results of each partition.

    In a run over one partition, Dagster assigns a yielded result to it. In a run over several, the results of each
    partition are recorded here, and the asset yields one result per check, which Dagster requires. If such a result
    fails and its check blocks, it stops the downstream assets.

    Call this after the partitions are recorded as materialized, because the UI ignores earlier results.

    Args:
        context: the context of the asset.
        results: results by partition key, all of the same checks, whose specifications have the asset's partitions.

    Returns:
        The results that the asset has to yield.
    """
    if context.has_partition_key:
        return list(results[context.partition_key])
    by_check: dict[str, list[dg.AssetCheckResult]] = {}
    targets = _materializations(context, list(results))
    for key, of_partition in results.items():
        for result in of_partition:
            by_check.setdefault(str(result.check_name), []).append(result)
            context.log_event(
                dg.AssetCheckEvaluation(
                    asset_key=context.asset_key,
                    check_name=str(result.check_name),
                    passed=result.passed,
                    metadata=result.metadata,
                    severity=result.severity,
                    description=result.description,
                    partition=key,
                    target_materialization_data=targets.get(key),
                )
            )
    return [_of_run(name, of_check) for name, of_check in by_check.items()]


def _materializations(context: dg.AssetExecutionContext, keys: list[str]) -> dict[str, Any]:
    """Return pointers to the newest materialization of each partition."""
    wanted = dg.AssetRecordsFilter(context.asset_key, asset_partitions=keys)
    newest_first = context.instance.fetch_materializations(wanted, limit=len(keys)).records
    return {
        str(record.partition_key): Target(
            storage_id=record.storage_id, run_id=record.run_id, timestamp=record.timestamp
        )
        for record in reversed(newest_first)
    }


def _of_run(check_name: str, results: Sequence[dg.AssetCheckResult]) -> dg.AssetCheckResult:
    failures = [result for result in results if not result.passed]
    return dg.AssetCheckResult(
        check_name=check_name,
        passed=not failures,
        severity=results[0].severity,
        description="; ".join(result.description or "" for result in failures) or None,
        metadata={"partitions": len(results), "failed": len(failures)},
    )
