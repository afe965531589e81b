"""Talking to TMDB: the client, sweeps, changes, details and id exports. Knows nothing of storage or Dagster."""
