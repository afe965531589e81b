"""SQL of `data_source`: whether a warehouse holds the demo's films or TMDB's; the two never mix."""

from __future__ import annotations

import datetime as dt

from sqlalchemy import Connection, select, update
from sqlalchemy.dialects.postgresql import insert

from horror_pipeline.errors import WarehouseError
from horror_pipeline.warehouse.locks import SOURCE_LOCK, hold
from horror_pipeline.warehouse.tables import data_source


def claim_source(
    connection: Connection, is_demo: bool, api_url: str, now: dt.datetime, *, gap_min_votes: int | None = None
) -> None:
    """Record where this database's data comes from, and refuse the other kind of source: demo and TMDB never mix.

    `gap_min_votes` is stored for `latest_predictions`: how many votes a film needs to be called under- or over-valued.
    None keeps the stored number.

    Raises:
        WarehouseError: the database holds data of the other kind; the remedy names the command that clears it.
    """
    hold(connection, SOURCE_LOCK)
    held = connection.execute(select(data_source.c.is_demo)).scalar()
    if held is None:
        row = {"is_demo": is_demo, "api_url": api_url, "first_used_at": now}
        connection.execute(insert(data_source).values(row))
    elif held != is_demo:
        theirs, ours = ("the demo's made-up", "TMDB's") if held else ("TMDB's", "the demo's made-up")
        raise WarehouseError(
            f"this database holds {theirs} films, and {ours} would now mix with them",
            "run: horror purge --all, or use another HORROR_HOME or DATABASE_URL",
        )
    if gap_min_votes is not None:
        changed = update(data_source).where(data_source.c.gap_min_votes != gap_min_votes)
        connection.execute(changed.values(gap_min_votes=gap_min_votes))


def note_code_version(connection: Connection, version: str) -> None:
    """Record the version of the code that starts runs, if `claim_source` has recorded a source."""
    changed = update(data_source).where(data_source.c.code_version.is_distinct_from(version))
    connection.execute(changed.values(code_version=version))


def noted_code_version(connection: Connection) -> str | None:
    """Return the version of the code that starts runs; None if it was never recorded."""
    return connection.execute(select(data_source.c.code_version)).scalar()
