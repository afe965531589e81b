"""The read-only dashboard and JSON API.

`app` puts the application together. `endpoints` and `pages` answer requests, with SQL from `queries`,
`forecast_queries` and `outcome_scores`, and with response models from `schemas`. Only `database` connects to Postgres.
This package never writes to the database and never reads settings: the values it needs are passed in. It serves every
script and style itself.
"""
