"""What has to be up before a command works: HORROR_HOME, a Postgres that answers, child processes, ports.

Nothing here knows Dagster or what a command then does.
"""
