"""What the assets that ask TMDB share: going through partitions one by one, and telling what was asked.

What belongs here: Dagster's side of those two. What does not: what is asked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

import dagster as dg

from horror_pipeline.errors import CredentialError, TmdbError
from horror_pipeline.tmdb.client import ClientStats

P = TypeVar("P")
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
        TmdbError: at the end, when partitions failed. Those that did not are recorded as materialised.
    """
    done: dict[str, Figures] = {}
    failed: dict[str, TmdbError] = {}
    for key, partition in partitions.items():
        try:
            done[key] = work(partition)
        except CredentialError:
            raise
        except TmdbError as error:
            failed[key] = error
            context.log.error(f"{key}: {error}")
    if failed:
        for key, figures in done.items():
            context.log_event(dg.AssetMaterialization(context.asset_key, metadata=dict(figures), partition=key))
        first = next(iter(failed.values()))
        raise type(first)(f"{', '.join(failed)} of {len(partitions)} partitions failed, the others are stored; {first}")
    for key, figures in done.items():
        context.add_asset_metadata(dict(figures), partition_key=key)


def request_figures(stats: ClientStats) -> dict[str, int | float]:
    """What was asked of TMDB, as metadata of a materialisation: of the whole run where it has several partitions."""
    return {
        "requests": stats.requests,
        "retries": stats.retries,
        "rate_limited": stats.rate_limited,
        "requests_per_second": round(stats.requests / stats.seconds, 2) if stats.seconds > 0 else 0.0,
    }
