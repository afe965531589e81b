"""SQL of the daily history: `movie_snapshots`, its checks, and how long TMDB's data is kept."""

from __future__ import annotations

import re

PARTITION_NAME = re.compile(r"movie_snapshots_\d{4}_\d{2}")


def is_partition(table_name: str) -> bool:
    """Whether a table is a month of `movie_snapshots`."""
    return PARTITION_NAME.fullmatch(table_name) is not None
