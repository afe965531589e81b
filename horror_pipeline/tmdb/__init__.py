"""What TMDB serves: the client, sweeps of listings, changes, details and daily id exports.

Everything that is sent to TMDB, and the shapes it answers in, is here. Storage, Dagster, the settings and the cleaning
of values are not.
"""
