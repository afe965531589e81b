"""SQL of `other_movies`: films that have none of the collected genres, stored as TMDB's listings show them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import Connection, Select, delete, select

from horror_pipeline.warehouse.bulk import copy_upsert
from horror_pipeline.warehouse.days import start_of
from horror_pipeline.warehouse.tables import movies, other_movies

_READ = (
    *("tmdb_id", "title", "original_title", "original_language", "release_date", "genres"),
    *("popularity", "vote_average", "vote_count"),
)


def replace_year(connection: Connection, listed_year: int, rows: Iterable[Mapping[str, Any]]) -> int:
    """Replace the films listed under a year by `rows`, given without `listed_year`; return how many are stored.

    A film that was listed under another year moves to this one.
    """
    connection.execute(delete(other_movies).where(other_movies.c.listed_year == listed_year))
    return copy_upsert(connection, other_movies, ({**row, "listed_year": listed_year} for row in rows)).total


def others_to_learn_from(since: dt.date | None) -> Select[Any]:
    """Select the films outside `movies` that models may learn from, ordered by id.

    Args:
        since: the first day of the present scale of popularity; films observed before it are left out. None if the
            scale has never changed.
    """
    columns = [other_movies.c[name] for name in _READ]
    query = select(*columns).where(other_movies.c.tmdb_id.not_in(select(movies.c.tmdb_id)))
    if since is not None:
        query = query.where(other_movies.c.observed_at >= start_of(since))
    return query.order_by(other_movies.c.tmdb_id)
