"""What has to run before a command works: HORROR_HOME, Postgres, child processes, ports, and Dagster's storage.

Nothing here knows the assets, or what a command does afterwards.
"""
