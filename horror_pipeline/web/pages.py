"""The HTML pages: the dashboard's frame, whose scripts fetch the data as JSON, and the description of the API."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import Any

from fastapi import APIRouter, Request
from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.responses import HTMLResponse, RedirectResponse, Response

from horror_pipeline.web import queries, wording
from horror_pipeline.web.database import Database, DatabaseUnavailableError
from horror_pipeline.web.middleware import content_security_policy
from horror_pipeline.web.static_files import PLOTLY, StaticFiles

ATTRIBUTION = "This product uses TMDB and the TMDB APIs but is not endorsed, certified, or otherwise approved by TMDB."
TMDB_HOST = "https://api.themoviedb.org/"
CHECK_SOURCE_SECONDS = 10.0


class Templates:
    """Renders the HTML pages and tells them where the data in the database is from.

    Demo data is labeled as such. Posters are shown only for data from TMDB itself, not from a stand-in API.
    """

    def __init__(self, database: Database, files: StaticFiles) -> None:
        self._database = database
        self._check_again_at = 0.0
        self._is_demo = False
        self._has_posters = False
        self._environment = Environment(
            loader=PackageLoader("horror_pipeline.web"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            finalize=lambda value: value.replace(" %", "\N{NO-BREAK SPACE}%") if isinstance(value, str) else value,
        )
        self._environment.globals.update(url=files.url, attribution=ATTRIBUTION)
        self._environment.filters.update(wording.FILTERS)

    async def respond(self, name: str, *, status: int = 200, **values: Any) -> HTMLResponse:
        """Render a template with `values`, and return the page as a response."""
        await self._look_up_source()
        html = self._environment.get_template(name).render(is_demo=self._is_demo, posters=self._has_posters, **values)
        policy = content_security_policy(posters=self._has_posters)
        headers = {"content-security-policy": policy, "cache-control": "no-cache"}
        return HTMLResponse(html, status_code=status, headers=headers)

    async def _look_up_source(self) -> None:
        """Look up the data's source every few seconds; if the database is unavailable, keep what was known."""
        if time.monotonic() < self._check_again_at:
            return
        self._check_again_at = time.monotonic() + CHECK_SOURCE_SECONDS
        with suppress(DatabaseUnavailableError):  # the page must still open, and then says what is wrong
            source = await self._database.run(queries.data_source)
            self._is_demo = source is not None and source["is_demo"]
            self._has_posters = source is not None and not self._is_demo and source["api_url"].startswith(TMDB_HOST)


def router(templates: Templates, files: StaticFiles, *, poll_interval_ms: int) -> APIRouter:
    """Create the routes of `/`, `/docs`, `/static/…` and the icon that browsers ask for."""
    routes = APIRouter(include_in_schema=False)

    @routes.get("/")
    async def dashboard() -> Response:
        return await templates.respond(
            "dashboard.html",
            plotly_url=files.url(PLOTLY),
            plotly_style_ids=" ".join(files.plotly_style_ids),
            poll_interval_ms=poll_interval_ms,
        )

    @routes.get("/docs")
    async def docs() -> Response:
        return await templates.respond("docs.html")

    @routes.get("/static/{version}/{name}")
    async def static(request: Request, version: str, name: str) -> Response:
        return files.respond(request, version, name)

    @routes.get("/favicon.ico")
    async def icon() -> Response:
        return RedirectResponse(files.url("icon.svg"), status_code=302)

    return routes
