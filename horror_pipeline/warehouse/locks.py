"""The lock that lets one process at a time talk to TMDB, whatever the number of processes and machines."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError

LOG = logging.getLogger(__name__)

TMDB_LOCK = 0x686F7202


@contextmanager
def tmdb_lock(engine: Engine) -> Iterator[None]:
    """Hold the right to talk to TMDB: two processes with one database never double the rate of requests.

    It is the session's, so it ends with the process whatever happens to it.
    """
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        key = {"key": TMDB_LOCK}
        if not connection.execute(text("SELECT pg_try_advisory_lock(:key)"), key).scalar():
            LOG.info("another process is talking to TMDB; waiting for it to finish")
            connection.execute(text("SELECT pg_advisory_lock(:key)"), key)
        try:
            yield
        finally:
            try:
                connection.execute(text("SELECT pg_advisory_unlock(:key)"), key)
            except DBAPIError:
                LOG.warning("the connection that held the lock on TMDB broke; the server has freed it")
