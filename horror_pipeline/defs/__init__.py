"""The Dagster objects: assets, jobs, schedules and resources. Nothing outside this folder imports dagster."""
