"""Asset checks that follow from the declarations of the tables: unique keys, required values, values in range.

A check that concerns only one asset is in the module of that asset. Each table is checked by one check in one scan,
because an hourly run would need more time to record several results than to compute them. If other assets read the
table within the same run, a violation stops them.
"""

import datetime as dt
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import dagster as dg
from sqlalchemy import ColumnElement, Table, func, select

from horror_pipeline.defs.resources import Warehouse
from horror_pipeline.domain import MODEL_NAMES
from horror_pipeline.orchestration.missing import range_of
from horror_pipeline.warehouse import tables
from horror_pipeline.warehouse.constraint_checks import find_violations

Tags = Mapping[str, str]
RowFilter = Callable[[Tags], ColumnElement[bool] | None]

AS_DECLARED = "rows_are_as_declared"


@dataclass(frozen=True)
class Checked:
    """A table, and the asset whose page shows its check.

    Attributes:
        key: the asset's key.
        table: where its rows are.
        rows: returns the SQL condition of the rows to check, given a run's tags; None selects all rows.
        is_blocking: whether a violation stops other assets of the same run, because they read the table.
        others: further assets that write to the table, which the check also waits for.
    """

    key: str
    table: Table
    rows: RowFilter = lambda _: None
    is_blocking: bool = True
    others: tuple[str, ...] = ()


def _days_of_run(column: ColumnElement[dt.date]) -> RowFilter:
    """Select the rows of the run's partitions, or all rows if the run has no partition because only checks are run."""

    def rows(tags: Tags) -> ColumnElement[bool] | None:
        days = range_of(tags)
        if days is None:
            return None
        first, last = map(dt.date.fromisoformat, days)
        return column.between(first, last)

    return rows


def _newest_batch(_: Tags) -> ColumnElement[bool]:
    batch = tables.model_predictions.c.predicted_at
    return batch == select(func.max(batch)).scalar_subquery()


CHECKED = (
    Checked("raw/movie_changes", tables.movie_changes, is_blocking=False),
    Checked("raw/discover_pages", tables.discover_pages),
    Checked("raw/movie_details", tables.movie_details),
    Checked("movies", tables.movies),
    Checked("other_movies", tables.other_movies, is_blocking=False),
    Checked("movie_snapshots", tables.movie_snapshots, _days_of_run(tables.movie_snapshots.c.snapshot_date)),
    Checked("movie_features", tables.movie_features),
    Checked(MODEL_NAMES[1], tables.model_versions, others=(MODEL_NAMES[0], *MODEL_NAMES[2:])),
    Checked("model_predictions", tables.model_predictions, _newest_batch, is_blocking=False),
    Checked(
        "prediction_outcomes",
        tables.prediction_outcomes,
        _days_of_run(tables.prediction_outcomes.c.outcome_date),
        is_blocking=False,
    ),
    Checked("movie_movers", tables.movie_movers, _days_of_run(tables.movie_movers.c.snapshot_date), is_blocking=False),
    Checked("rating_class", tables.rating_class, is_blocking=False),
    Checked("movie_clusters", tables.movie_clusters, is_blocking=False),
    Checked("similar_movies", tables.similar_movies, is_blocking=False),
)


def _spec(checked: Checked) -> dg.AssetCheckSpec:
    columns = ", ".join(column.name for column in checked.table.primary_key)
    return dg.AssetCheckSpec(
        AS_DECLARED,
        asset=dg.AssetKey.from_user_string(checked.key),
        additional_deps=list(checked.others),
        blocking=checked.is_blocking,
        description=f"No two rows of `{checked.table.fullname}` have the same {columns}, no required "
        "value is missing, every value is in its column's range, and unknown is NULL, never ''.",
    )


def _result(checked: Checked, rows: int, violations: dict[str, int]) -> dg.AssetCheckResult:
    problems = ", ".join(f"{problem} in {count:,} of {rows:,} rows" for problem, count in violations.items())
    return dg.AssetCheckResult(
        passed=not violations,
        asset_key=dg.AssetKey.from_user_string(checked.key),
        check_name=AS_DECLARED,
        description=problems or f"{rows:,} rows checked",
        metadata={"rows": rows} | violations,
    )


def table_check(checked: Checked) -> dg.AssetChecksDefinition:
    """Make the check of a table as a step of its own."""

    @dg.multi_asset_check(name=f"{checked.table.name}_as_declared", specs=[_spec(checked)])
    def check(context: dg.AssetCheckExecutionContext, warehouse: Warehouse) -> Iterator[dg.AssetCheckResult]:
        with warehouse.connect() as connection:
            yield _result(checked, *find_violations(connection, checked.table, checked.rows(context.run.tags)))

    return check


@dg.definitions
def checks() -> dg.Definitions:
    """Define the checks of every table."""
    return dg.Definitions(asset_checks=[table_check(checked) for checked in CHECKED])
