"""SQL of `similar_movies`: the texts that films are compared by, and the films nearest to each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import BigInteger, Connection, Numeric, Text, cast, delete, func, select, tuple_

from horror_pipeline.warehouse.bulk import copy_columns
from horror_pipeline.warehouse.tables import movies, similar_movies

_COLUMNS = [
    movies.c[name] for name in ("tmdb_id", "overview", "keywords", "genres", "directors", "cast_names", "collection_id")
]


def fingerprint_of_texts(connection: Connection) -> str:
    """Return a digest of everything that films are compared by."""
    digest = func.hashtextextended(cast(tuple_(*_COLUMNS), Text), cast(0, BigInteger))
    films = select(func.count(), func.sum(cast(digest, Numeric))).where(movies.c.gone_at.is_(None))
    return "|".join(str(value) for value in connection.execute(films).one())


def read_texts(connection: Connection) -> tuple[list[str], list[Sequence[Any]]]:
    """Return what films are compared by: column names, and a row for each film that still exists, ordered by id."""
    rows = connection.execute(select(*_COLUMNS).where(movies.c.gone_at.is_(None)).order_by(movies.c.tmdb_id))
    return [column.name for column in _COLUMNS], [tuple(row) for row in rows]


def replace_similar(connection: Connection, values: Mapping[str, Any]) -> int:
    """Replace all rows by the given columns, which may be numpy arrays; return how many were written."""
    connection.execute(delete(similar_movies))
    return copy_columns(connection, similar_movies, values)
