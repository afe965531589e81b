"""What the Dagster objects of `defs/` share: launching runs, going through partitions, metadata, run health, alerts.

Nothing here defines an asset, a job, a schedule or a sensor, and nothing here imports `defs` or `definitions`.
"""
