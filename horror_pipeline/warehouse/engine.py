"""What every part of the warehouse stands on: connecting, the schema's version, locks, and `bulk`'s writes.

What belongs here: what is said of any table. What does not: SQL about a particular table of the pipeline; that is in
`catalogue`, `history` and `learning`.
"""

from __future__ import annotations

from sqlalchemy import URL, Engine, create_engine
from sqlalchemy.exc import OperationalError, SQLAlchemyError

from horror_pipeline.errors import WarehouseError

CONNECT_SECONDS = 10


def connect(url: URL) -> Engine:
    """An engine whose database was reached once.

    Raises:
        WarehouseError: it cannot be reached; one line naming the host and what to check, never the password.
    """
    arguments = {"connect_timeout": CONNECT_SECONDS, "application_name": "horror_pipeline"}
    engine = create_engine(url, pool_pre_ping=True, connect_args=arguments)
    try:
        with engine.connect():
            return engine
    except SQLAlchemyError as error:
        engine.dispose()
        raise WarehouseError(_why_unreachable(url, error)) from None


def _why_unreachable(url: URL, error: SQLAlchemyError) -> str:
    host = url.host or str(url.query.get("host", "the default socket"))
    if "@" in host:  # a password with an @ in it: what looks like the host is its end
        return "DATABASE_URL holds more than one @; write an @ of the password as %40"
    reason = " ".join(str(getattr(error, "orig", error)).split())
    if url.password:
        reason = reason.replace(str(url.password), "***")
    advice = "check DATABASE_URL and that the server is running"
    if isinstance(error, OperationalError):
        for sign, better in _ADVICE.items():
            if sign in reason:
                advice = better
    place = f"{host}:{url.port}" if url.port else host
    return f"cannot use database {url.database!r} at {place}: {reason}; {advice}"


_ADVICE = {
    "password authentication failed": "check user and password in DATABASE_URL",
    "does not exist": "check the database and user named in DATABASE_URL, or create them",
    "translate host name": "check the host in DATABASE_URL and the network",
    "SSL": "check sslmode in DATABASE_URL",
    "too many": "the server has no free connection: stop other users of it, or raise its limit",
}
