"""What the Dagster objects of `defs/` share: launching runs, working on partitions, metadata, run health and alerts.

Nothing here defines an asset, a job, a schedule or a sensor, and nothing here imports `defs` or `definitions`.
"""
