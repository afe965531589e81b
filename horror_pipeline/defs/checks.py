"""Asset checks that follow from a table's declaration: keys are unique, required values there, others in range.

What belongs here: turning `warehouse.tables` into checks, for every table in the same way. What does not: what only one
asset can know of itself, which stands beside that asset.

One step checks a table in one scan, and one check tells it: in a run as short as an hourly one, three would cost more
to record than to make. Where other assets read the table within the same run, a violation stops them.
"""

import datetime as dt
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import dagster as dg
from sqlalchemy import ColumnElement, Engine, Table, func, select

from horror_pipeline.warehouse import tables
from horror_pipeline.warehouse.violations import Violations, find_violations

Tags = Mapping[str, str]
Rows = Callable[[Tags], ColumnElement[bool] | None]

AS_DECLARED = "rows_are_as_declared"


@dataclass(frozen=True)
class Checked:
    """An asset and the rows that are its own.

    Attributes:
        key: the asset's key.
        table: where its rows are.
        rows: the rows to look at, from a run's tags; None: all.
        is_blocking: whether others in the same run read it.
    """

    key: str
    table: Table
    rows: Rows = lambda _: None
    is_blocking: bool = True


def _days_of_run(column: ColumnElement[dt.date]) -> Rows:
    """The rows of the run's partitions; all of them when the run has none, as when a check is run by itself."""

    def rows(tags: Tags) -> ColumnElement[bool] | None:
        one = tags.get("dagster/partition")
        first = tags.get("dagster/asset_partition_range_start", one)
        last = tags.get("dagster/asset_partition_range_end", one)
        if first is None or last is None:
            return None
        return column.between(dt.date.fromisoformat(first), dt.date.fromisoformat(last))

    return rows


def _of_model(name: str) -> Rows:
    return lambda _: tables.model_versions.c.model_name == name


def _newest_batch(_: Tags) -> ColumnElement[bool]:
    batch = tables.model_predictions.c.predicted_at
    return batch == select(func.max(batch)).scalar_subquery()


MODELS = (
    "popularity_before_release",
    "popularity_after_release",
    "rating_before_release",
    "rating_after_release",
)

CHECKED = (
    Checked("raw/movie_changes", tables.movie_changes, is_blocking=False),
    Checked("raw/discover_pages", tables.discover_pages),
    Checked("raw/movie_details", tables.movie_details),
    Checked("movies", tables.movies),
    Checked("movie_snapshots", tables.movie_snapshots, _days_of_run(tables.movie_snapshots.c.snapshot_date)),
    Checked("movie_features", tables.movie_features),
    *(Checked(name, tables.model_versions, _of_model(name)) for name in MODELS),
    Checked("model_predictions", tables.model_predictions, _newest_batch, is_blocking=False),
    Checked(
        "prediction_outcomes",
        tables.prediction_outcomes,
        _days_of_run(tables.prediction_outcomes.c.outcome_date),
        is_blocking=False,
    ),
    Checked("rating_class", tables.rating_class, is_blocking=False),
    Checked("movie_clusters", tables.movie_clusters, is_blocking=False),
)


def _spec(checked: Checked) -> dg.AssetCheckSpec:
    columns = ", ".join(column.name for column in checked.table.primary_key)
    return dg.AssetCheckSpec(
        AS_DECLARED,
        asset=dg.AssetKey.from_user_string(checked.key),
        blocking=checked.is_blocking,
        description=f"No two rows of `{checked.table.fullname}` have the same {columns}; no value that is always known "
        "is missing; every value is one that its column's declaration allows, and unknown is NULL, never ''.",
    )


def _result(checked: Checked, found: Violations) -> dg.AssetCheckResult:
    wrong = {"repeated keys": found.duplicate_keys} if found.duplicate_keys else {}
    wrong |= {f"{column} missing": count for column, count in found.missing.items()}
    wrong |= {f"{column} out of range": count for column, count in found.out_of_range.items()}
    told = ", ".join(f"{what} in {count:,} of {found.rows:,} rows" for what, count in wrong.items())
    return dg.AssetCheckResult(
        passed=not wrong,
        asset_key=dg.AssetKey.from_user_string(checked.key),
        check_name=AS_DECLARED,
        severity=dg.AssetCheckSeverity.ERROR,
        description=told or f"{found.rows:,} rows looked at",
        metadata={"rows": found.rows} | wrong,
    )


def table_checks(table: Table, group: list[Checked]) -> dg.AssetChecksDefinition:
    """The checks of the assets that share a table, as one step."""

    @dg.multi_asset_check(name=f"{table.name}_as_declared", specs=[_spec(one) for one in group], can_subset=True)
    def check(
        context: dg.AssetCheckExecutionContext, warehouse: dg.ResourceParam[Engine]
    ) -> Iterator[dg.AssetCheckResult]:
        wanted = {key.asset_key.to_user_string() for key in context.selected_asset_check_keys}
        with warehouse.connect() as connection:
            for one in group:
                if one.key in wanted:
                    yield _result(one, find_violations(connection, one.table, one.rows(context.run.tags)))

    return check


@dg.definitions
def checks() -> dg.Definitions:
    """The checks of every table."""
    by_table: dict[str, list[Checked]] = {}
    for one in CHECKED:
        by_table.setdefault(one.table.fullname, []).append(one)
    return dg.Definitions(asset_checks=[table_checks(group[0].table, group) for group in by_table.values()])
