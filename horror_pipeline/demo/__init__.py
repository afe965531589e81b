"""A made-up TMDB served over HTTP, for running without a key."""
