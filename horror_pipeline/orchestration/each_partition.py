"""Working on the partitions of a run one by one, so that a failed one does not prevent the others."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import dagster as dg

from horror_pipeline.errors import CredentialError, TmdbError, UnavailableError
from horror_pipeline.orchestration.metadata import Figures
from horror_pipeline.tmdb.client import TmdbClient

P = TypeVar("P")
UNAVAILABLE_IN_A_ROW = 2
LONGEST_LIST = 6


def each_partition(
    context: dg.AssetExecutionContext, tmdb: TmdbClient, partitions: Sequence[P], work: Callable[[P], Figures]
) -> None:
    """Do the work for every partition of the run, and report the failures at the end.

    Args:
        context: the context of the asset.
        tmdb: the client that the work uses.
        partitions: the release years or days to work on; `str` of each is its partition key.
        work: stores one partition and returns its figures.

    Raises:
        CredentialError: at once, because no other partition can succeed.
        TmdbError: at the end, if partitions failed. If two or more in a row failed, the last because TMDB was
            unavailable, the others are tried only if TMDB answers. Partitions that succeeded are recorded as
            materialized.
    """
    done: dict[P, Figures] = {}
    errors: list[TmdbError] = []
    unavailable_in_a_row = 0
    for partition in partitions:
        try:
            done[partition] = work(partition)
            unavailable_in_a_row = 0
        except CredentialError:
            raise
        except TmdbError as error:
            errors.append(error)
            unavailable_in_a_row += 1
            context.log.error(f"{partition}: {error}")
            may_be_down = isinstance(error, UnavailableError) and unavailable_in_a_row >= UNAVAILABLE_IN_A_ROW
            if may_be_down and not tmdb.answers():
                break
    if errors:
        record_partitions(context, done)
        raise type(errors[0])(f"{errors[0].problem} ({_missing(partitions, done)})", errors[0].remedy)
    for key, figures in done.items():
        context.add_asset_metadata(figures, partition_key=str(key))


def record_partitions(context: dg.AssetExecutionContext, done: Mapping[Any, Figures]) -> None:
    """Record finished partitions as materialized, if a result of the asset would not record exactly these."""
    for key, figures in done.items():
        context.log_event(dg.AssetMaterialization(context.asset_key, metadata=figures, partition=str(key)))


def _missing(partitions: Sequence[P], done: Mapping[P, Figures]) -> str:
    missing = [str(key) for key in partitions if key not in done]
    listed = ", ".join(missing[:LONGEST_LIST]) + (", …" if len(missing) > LONGEST_LIST else "")
    stored = "; the others are stored" if done else ""
    return f"{len(missing)} of {len(partitions)} partitions are not done: {listed}{stored}"
