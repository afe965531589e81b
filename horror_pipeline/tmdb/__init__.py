"""Access to TMDB: the client, and readers of listings, changes, details and daily id exports.

This package makes every request to TMDB and knows the shapes of the answers. It does not deal with storage, Dagster,
settings or the cleaning of values.
"""
