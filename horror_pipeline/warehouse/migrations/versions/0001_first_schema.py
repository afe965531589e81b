"""The first schema: everything that `warehouse.tables` and `warehouse.views` declare.

Until the first release this migration follows the declarations, and a database that was migrated before a change is
created again. With the first release it is frozen: replace the body of `upgrade` by the statements it executed then
(`pg_dump --schema-only` prints them), and put every later change into a migration of its own. A test fails when a
second migration is added while this one still reads the declarations.
"""

from __future__ import annotations

from alembic import op

from horror_pipeline.warehouse import views
from horror_pipeline.warehouse.tables import metadata

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create everything."""
    op.execute("CREATE SCHEMA IF NOT EXISTS raw")
    metadata.create_all(op.get_bind(), checkfirst=False)
    for statement in views.creation_statements():
        op.execute(statement)


def downgrade() -> None:
    """Drop everything."""
    for name in reversed(views.VIEWS):
        op.execute(f"DROP VIEW {name}")
    metadata.drop_all(op.get_bind())
    op.execute("DROP SCHEMA raw")
