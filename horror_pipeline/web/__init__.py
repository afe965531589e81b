"""The read-only dashboard and JSON API."""
