"""Every horror film on TMDB, its popularity day by day, and predictions with error bars, in Postgres."""
