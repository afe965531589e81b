"""Run migrations on the connection that `schema.upgrade` passes, or for `alembic` itself on `DATABASE_URL`.

To draft a migration after changing `tables.py`, with an upgraded database in DATABASE_URL:
`alembic revision --autogenerate --rev-id 0002 -m "What changes"`.
"""

from __future__ import annotations

import os

from alembic import context
from sqlalchemy import Connection, create_engine, make_url

from horror_pipeline.warehouse import partitions, schema
from horror_pipeline.warehouse.tables import metadata


def _is_ours(name: str | None, kind: str, parents: object) -> bool:
    """Leave out the monthly partitions, which are created and dropped without migrations."""
    return not (kind == "table" and name is not None and partitions.is_partition(name))


def run(connection: Connection) -> None:
    """Migrate on this connection; the caller commits."""
    context.configure(
        connection=connection,
        target_metadata=metadata,
        version_table=schema.VERSION_TABLE,
        include_schemas=True,
        include_name=_is_ours,
    )
    with context.begin_transaction():
        context.run_migrations()


connection = context.config.attributes.get("connection")
if connection is not None:
    run(connection)
else:
    url = make_url(os.environ["DATABASE_URL"]).set(drivername="postgresql+psycopg2")
    with create_engine(url).begin() as own:
        run(own)
