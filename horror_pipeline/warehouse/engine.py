"""Connecting to the database, with a one-line error if that fails."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import URL, Engine, create_engine
from sqlalchemy.exc import OperationalError, SQLAlchemyError

from horror_pipeline.errors import WarehouseError

CONNECT_SECONDS = 10

KEEPALIVES = {"keepalives_idle": 15, "keepalives_interval": 5, "keepalives_count": 3, "tcp_user_timeout": 30_000}
"""Parameters of libpq by which a lost connection to the server is noticed within half a minute."""


def connect(url: URL, setting: str = "DATABASE_URL") -> Engine:
    """Create an engine, and connect once to see that it works.

    Args:
        url: the database.
        setting: name of the setting that holds the URL, for the error message.

    Raises:
        WarehouseError: the connection failed; the message names the host and what to check, never the password.
    """
    arguments = {"connect_timeout": CONNECT_SECONDS, "application_name": "horror_pipeline"} | KEEPALIVES
    engine = create_engine(url, pool_pre_ping=True, connect_args=arguments)
    try:
        with engine.connect():
            return engine
    except SQLAlchemyError as error:
        engine.dispose()
        raise _unreachable(url, error, setting) from None


@contextmanager
def opened(url: URL, setting: str = "DATABASE_URL") -> Iterator[Engine]:
    """Yield an engine as `connect` returns it, and close its connections at the end."""
    engine = connect(url, setting)
    try:
        yield engine
    finally:
        engine.dispose()


def _unreachable(url: URL, error: SQLAlchemyError, setting: str) -> WarehouseError:
    host = url.host or str(url.query.get("host", "the default socket"))
    if "@" in host:  # the password holds an @, so a part of it was parsed as the beginning of the host
        return WarehouseError(f"{setting} holds more than one @", "write an @ of the password as %40")
    reason = " ".join(str(getattr(error, "orig", error)).split())
    if url.password:
        reason = reason.replace(str(url.password), "***")
    remedy = "check {setting} and that the server is running"
    if isinstance(error, OperationalError):
        remedy = next((better for sign, better in _REMEDIES.items() if sign in reason), remedy)
    place = f"{host}:{url.port}" if url.port else host
    return WarehouseError(f"cannot use database {url.database!r} at {place}: {reason}", remedy.format(setting=setting))


_REMEDIES = {
    "password authentication failed": "check user and password in {setting}",
    "does not exist": "check the database and user named in {setting}, or create them",
    "translate host name": "check the host in {setting} and the network",
    "SSL": "check sslmode in {setting}",
    "too many": "the server has no free connection: stop other users of it, or raise its limit",
}
