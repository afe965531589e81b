"""Postgres: table declarations, migrations, and all SQL of the pipeline.

`tables` and `views` declare; `engine`, `schema`, `locks`, `days`, `partitions` and `bulk` work with any table. Each of
the other modules holds the SQL of one table or a few, and is named after them. A function that takes a connection
leaves the commit to its caller. Nothing here calls TMDB, fits a model, or knows Dagster or the settings. No other layer
writes SQL for these tables, except that the dashboard reads them.
"""
