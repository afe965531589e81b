"""Postgres: table declarations, migrations, and all SQL of the pipeline."""
