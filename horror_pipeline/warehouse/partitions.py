"""Monthly partitions of the tables that grow by day: their names, and creating them when a day needs them."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable

from sqlalchemy import Connection, Table, text

from horror_pipeline.warehouse.locks import MONTHS_LOCK, hold
from horror_pipeline.warehouse.tables import BY_MONTH

_MONTH = re.compile(rf"({'|'.join(table.name for table in BY_MONTH)})_\d{{4}}_\d{{2}}")


def is_partition(name: str) -> bool:
    """Whether a table of this name is a month of a partitioned table."""
    return _MONTH.fullmatch(name) is not None


def month_name(table: Table, day: dt.date) -> str:
    """Return the name of the partition that a day's rows are in."""
    return f"{table.name}_{day:%Y_%m}"


def months(connection: Connection, table: Table) -> list[str]:
    """Return the names of a table's partitions, oldest first."""
    children = text(
        "SELECT relname FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid "
        "WHERE inhparent = CAST(:parent AS regclass) ORDER BY relname"
    )
    names = connection.execute(children, {"parent": table.fullname}).scalars()
    return [name for name in names if is_partition(name)]


def ensure_months(connection: Connection, table: Table, days: Iterable[dt.date]) -> list[str]:
    """Create the missing partitions for `days`; other processes that create some wait until the caller commits.

    Returns:
        Names of the partitions created.
    """
    wanted = {month_name(table, day): day.replace(day=1) for day in days}
    if not set(wanted) - set(months(connection, table)):
        return []
    hold(connection, MONTHS_LOCK)
    missing = sorted(set(wanted) - set(months(connection, table)))
    for name in missing:
        first = wanted[name]
        after = (first + dt.timedelta(days=32)).replace(day=1)
        # Unlike CREATE … PARTITION OF, creating and then attaching a table does not block readers of other months.
        connection.execute(text(f"CREATE TABLE {name} (LIKE {table.name} INCLUDING DEFAULTS INCLUDING COMMENTS)"))
        bounds = f"FOR VALUES FROM ('{first}') TO ('{after}')"
        connection.execute(text(f"ALTER TABLE {table.name} ATTACH PARTITION {name} {bounds}"))
    return missing
