"""What the assets of the catalogue share: going through partitions one by one, and telling what was asked and stored.

What belongs here: Dagster's side of those. What does not: what is asked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

import dagster as dg
from sqlalchemy import Engine, Table

from horror_pipeline.errors import CredentialError, TmdbError, UnavailableError
from horror_pipeline.tmdb.client import ClientStats
from horror_pipeline.warehouse import raw

P = TypeVar("P")
UNAVAILABLE_IN_A_ROW = 2
LONGEST_LIST = 6

Figures = Mapping[str, int | float | str]


def each_partition(
    context: dg.AssetExecutionContext, partitions: Mapping[str, P], work: Callable[[P], Figures]
) -> None:
    """Do the work for every partition of the run; one that fails does not cost the others theirs.

    Args:
        context: the run's.
        partitions: what to work on by partition key.
        work: stores one partition and returns its figures.

    Raises:
        CredentialError: at once: nothing further can succeed.
        TmdbError: at the end, when partitions failed, or after two in a row could not be had: then TMDB is away, and
            the rest is not tried. Partitions that succeeded are recorded as materialised.
    """
    done: dict[str, Figures] = {}
    errors: list[TmdbError] = []
    in_a_row = 0
    for key, partition in partitions.items():
        try:
            done[key] = work(partition)
            in_a_row = 0
        except CredentialError:
            raise
        except TmdbError as error:
            errors.append(error)
            in_a_row += 1
            context.log.error(f"{key}: {error}")
            if isinstance(error, UnavailableError) and in_a_row == UNAVAILABLE_IN_A_ROW:
                break
    if errors:
        for key, figures in done.items():
            context.log_event(dg.AssetMaterialization(context.asset_key, metadata=dict(figures), partition=key))
        raise type(errors[0])(f"{errors[0]} ({_missing(partitions, done)})")
    for key, figures in done.items():
        context.add_asset_metadata(dict(figures), partition_key=key)


def _missing(partitions: Mapping[str, object], done: Mapping[str, object]) -> str:
    missing = [key for key in partitions if key not in done]
    named = ", ".join(missing[:LONGEST_LIST]) + (", …" if len(missing) > LONGEST_LIST else "")
    return f"{len(missing)} of {len(partitions)} partitions are not done: {named}" + (
        "; the others are stored" if done else ""
    )


def row_count(warehouse: Engine, table: Table) -> Figures:
    """Rows of the whole table, as metadata of a materialisation."""
    with warehouse.connect() as connection:
        return {"dagster/row_count": raw.count_rows(connection, table)}


def request_figures(stats: ClientStats) -> dict[str, int | float]:
    """What was asked of TMDB, as metadata of a materialisation: of the whole run where it has several partitions."""
    return {
        "requests": stats.requests,
        "retries": stats.retries,
        "rate_limited": stats.rate_limited,
        "requests_per_second": round(stats.requests / stats.seconds, 2) if stats.seconds > 0 else 0.0,
    }
