"""Assembles the web application from its parts, and answers errors."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from sqlalchemy import URL
from starlette.exceptions import HTTPException
from starlette.middleware.gzip import GZipMiddleware

from horror_pipeline.web import endpoints, feeds, metrics, pages, readable
from horror_pipeline.web.database import Database, DatabaseUnavailableError
from horror_pipeline.web.health import head_revision
from horror_pipeline.web.middleware import NormalizedRequests, SecurityHeaders
from horror_pipeline.web.prediction_index import NewestBatch
from horror_pipeline.web.response_cache import ResponseCache
from horror_pipeline.web.static_files import StaticFiles

CACHED = ("/api/", "/compare", "/feeds/", "/lists", "/metrics", "/movies/", "/track-record")

DESCRIPTION = (
    "Every horror film on TMDB, its popularity day by day, and predictions with 80 % intervals, read-only. "
    "Field names are those of the database's columns, dates are ISO 8601, instants are UTC, unknown is null. "
    "Responses carry an ETag and may be a few seconds old. " + pages.ATTRIBUTION
)


def create_app(
    database_url: str | URL,
    *,
    poll_interval_ms: int = 30_000,
    connections: int = 6,
    cache_seconds: float = 5.0,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    is_supervised: bool = False,
) -> FastAPI:
    """Create the application. It connects to the database at the first request.

    Args:
        database_url: the warehouse, any Postgres URL.
        poll_interval_ms: how often the dashboard refreshes, in milliseconds.
        connections: database connections used at once; one more is reserved for health checks.
        cache_seconds: how long a cached answer may be served again.
        clock: returns the present moment, with a time zone.
        is_supervised: whether `horror up` started this process.
    """
    database = Database(database_url, connections=connections)
    sources = endpoints.Sources(
        database=database,
        batch=NewestBatch(database, check_every_seconds=cache_seconds / 5),
        expected_version=head_revision(),
        clock=clock,
    )

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        database.close()

    # These are off, because FastAPI's own pages load scripts from a CDN, and its redirects reflect the Host header.
    app = FastAPI(
        title="horror_pipeline",
        version="1",
        description=DESCRIPTION,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=lifespan,
    )
    app.include_router(endpoints.router(sources))
    files = StaticFiles()
    templates = pages.Templates(database, files)
    app.include_router(pages.router(templates, files, poll_interval_ms=poll_interval_ms))
    app.include_router(readable.router(sources, templates))
    app.include_router(feeds.router(sources))
    app.include_router(metrics.router(sources, is_supervised=is_supervised))
    _answer_errors(app)
    # The middleware added last is the outermost.
    app.add_middleware(ResponseCache, prefixes=CACHED, seconds=cache_seconds)
    app.add_middleware(GZipMiddleware, minimum_size=1_000, compresslevel=5)
    app.add_middleware(SecurityHeaders)
    app.add_middleware(NormalizedRequests)
    return app


def _answer_errors(app: FastAPI) -> None:
    """Answer every error as JSON with a reason that reveals no internals."""

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> JSONResponse:
        first: dict[str, Any] = error.errors()[0]
        parameter = str(first["loc"][-1])
        if first["type"] == "extra_forbidden":
            return _problem(422, f"there is no parameter {parameter}", parameter)
        return _problem(422, f"{parameter}: {str(first['msg']).removeprefix('Value error, ')}", parameter)

    @app.exception_handler(DatabaseUnavailableError)
    async def unavailable(_: Request, error: DatabaseUnavailableError) -> JSONResponse:
        return _problem(503, str(error), headers={"Retry-After": "5"})

    @app.exception_handler(HTTPException)
    async def refused(_: Request, error: HTTPException) -> JSONResponse:
        return _problem(error.status_code, str(error.detail), headers=error.headers)

    @app.exception_handler(Exception)
    async def unexpected(_: Request, __: Exception) -> JSONResponse:
        return _problem(500, "internal server error; see the server log")


def _problem(status: int, reason: str, parameter: str | None = None, headers: Any = None) -> JSONResponse:
    return JSONResponse({"reason": reason, "parameter": parameter}, status_code=status, headers=headers)
