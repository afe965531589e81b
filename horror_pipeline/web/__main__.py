"""Serve the dashboard and the JSON API: `python -m horror_pipeline.web`.

The database's URL comes only from `DATABASE_URL`, because everyone on the machine can read a command line.
"""

from __future__ import annotations

import argparse
import os
import sys

import uvicorn
from sqlalchemy.exc import ArgumentError

from horror_pipeline.domain import SUPERVISOR_MARK
from horror_pipeline.web.app import create_app
from horror_pipeline.web.connections import BoundedConnection


def main(arguments: list[str] | None = None) -> int:
    """Serve until SIGINT or SIGTERM, then stop within a few seconds; return 2 if `DATABASE_URL` is unset or invalid."""
    parser = argparse.ArgumentParser(prog="python -m horror_pipeline.web", description=__doc__)
    parser.add_argument("--host", default=os.environ.get("HORROR_WEB_HOST") or "127.0.0.1")
    parser.add_argument("--port", type=int, default=os.environ.get("HORROR_WEB_PORT") or 8000)
    parser.add_argument("--poll-interval-ms", type=int, default=os.environ.get("POLL_INTERVAL_MS") or 30_000)
    values = parser.parse_args(arguments)
    url = os.environ.get("DATABASE_URL")
    if not url:
        print('DATABASE_URL is not set; `horror up` sets it, or run: eval "$(horror env)"', file=sys.stderr)
        return 2
    try:
        app = create_app(url, poll_interval_ms=values.poll_interval_ms, is_supervised=SUPERVISOR_MARK in os.environ)
    except (ArgumentError, ValueError):
        print("DATABASE_URL is not a Postgres URL", file=sys.stderr)
        return 2
    uvicorn.run(
        app,
        host=values.host,
        port=values.port,
        access_log=False,
        log_level="info",
        server_header=False,
        proxy_headers=False,  # nothing here depends on the client's address or scheme
        http=BoundedConnection,
        ws="none",
        timeout_graceful_shutdown=3,
        timeout_keep_alive=30,
        limit_concurrency=512,
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
