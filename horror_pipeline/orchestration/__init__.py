"""Helpers of the Dagster objects in defs/. Nothing here defines an asset, job, schedule or sensor."""
