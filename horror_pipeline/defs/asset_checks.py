"""Asset checks that follow from a table's declaration: keys are unique, required values there, others in range.

What belongs here: turning `warehouse.tables` into checks, for every table in the same way. What does not: what only one
asset can know of itself, which stands beside that asset.

A table is looked at in one scan, and one check tells of it: in a run as short as an hourly one, more would cost more to
record than to make. Where other assets read the table within the same run, a violation stops them.
"""

import datetime as dt
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import dagster as dg
from sqlalchemy import ColumnElement, Engine, Table, func, select

from horror_pipeline.warehouse import tables
from horror_pipeline.warehouse.constraint_checks import Violations, find_violations

Tags = Mapping[str, str]
Rows = Callable[[Tags], ColumnElement[bool] | None]

AS_DECLARED = "rows_are_as_declared"


@dataclass(frozen=True)
class Checked:
    """A table and the asset that tells of it.

    Attributes:
        key: the asset's key.
        table: where its rows are.
        rows: the rows to look at, from a run's tags; None: all.
        is_blocking: whether others in the same run read it.
        others: further assets that write to the table; it is looked at after them too.
        step: name of the step; those of one name are one step. By default the table's own.
    """

    key: str
    table: Table
    rows: Rows = lambda _: None
    is_blocking: bool = True
    others: tuple[str, ...] = ()
    step: str = ""

    @property
    def step_name(self) -> str:
        """Name of the step that looks at it."""
        return self.step or f"{self.table.name}_as_declared"


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


def _newest_batch(_: Tags) -> ColumnElement[bool]:
    batch = tables.model_predictions.c.predicted_at
    return batch == select(func.max(batch)).scalar_subquery()


MODELS = ("popularity_after_release", "popularity_before_release", "rating_after_release", "rating_before_release")
LAST = "predictions_as_declared"
"""The tables at the end of a training, which nothing waits for, are looked at in one step."""

CHECKED = (
    Checked("raw/movie_changes", tables.movie_changes, is_blocking=False),
    Checked("raw/discover_pages", tables.discover_pages),
    Checked("raw/movie_details", tables.movie_details),
    Checked("movies", tables.movies),
    Checked("movie_snapshots", tables.movie_snapshots, _days_of_run(tables.movie_snapshots.c.snapshot_date)),
    Checked("movie_features", tables.movie_features),
    Checked(MODELS[0], tables.model_versions, others=MODELS[1:]),
    Checked("model_predictions", tables.model_predictions, _newest_batch, is_blocking=False, step=LAST),
    Checked(
        "prediction_outcomes",
        tables.prediction_outcomes,
        _days_of_run(tables.prediction_outcomes.c.outcome_date),
        is_blocking=False,
    ),
    Checked("rating_class", tables.rating_class, is_blocking=False, step=LAST),
    Checked("movie_clusters", tables.movie_clusters, is_blocking=False, step=LAST),
)


def _spec(checked: Checked) -> dg.AssetCheckSpec:
    columns = ", ".join(column.name for column in checked.table.primary_key)
    return dg.AssetCheckSpec(
        AS_DECLARED,
        asset=dg.AssetKey.from_user_string(checked.key),
        additional_deps=list(checked.others),
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


def table_checks(group: list[Checked]) -> dg.AssetChecksDefinition:
    """The checks of some tables as one step."""

    @dg.multi_asset_check(name=group[0].step_name, specs=[_spec(one) for one in group], can_subset=True)
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
    steps: dict[str, list[Checked]] = {}
    for one in CHECKED:
        steps.setdefault(one.step_name, []).append(one)
    return dg.Definitions(asset_checks=[table_checks(group) for group in steps.values()])
