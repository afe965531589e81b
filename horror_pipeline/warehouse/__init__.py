"""Postgres: table declarations, migrations, and all SQL of the pipeline.

`tables` and `views` declare the schema. `engine`, `schema`, `locks`, `days`, `partitions` and `bulk` work with any
table. Each other module holds the SQL of one table or a few, and is named after them. A function that takes a
connection leaves the commit to its caller. Nothing here calls TMDB, fits a model, or knows Dagster or the settings. No
other layer contains SQL for these tables, except that the dashboard reads them.
"""
