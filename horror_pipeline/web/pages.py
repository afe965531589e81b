"""The HTML pages: the dashboard's frame, whose scripts fetch the data as JSON, and the description of the API."""

from __future__ import annotations

import time

from fastapi import APIRouter, Request
from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.responses import HTMLResponse, RedirectResponse, Response

from horror_pipeline.web import queries, wording
from horror_pipeline.web.database import Database, DatabaseUnavailableError
from horror_pipeline.web.middleware import content_security_policy
from horror_pipeline.web.static_files import PLOTLY, StaticFiles, plotly_style_ids

ATTRIBUTION = "This product uses TMDB and the TMDB APIs but is not endorsed, certified, or otherwise approved by TMDB."
TMDB_HOST = "https://api.themoviedb.org/"
CHECK_POSTERS_SECONDS = 10.0


def environment(files: StaticFiles) -> Environment:
    """Create the templates, with the addresses of static files and the ways to write a figure."""
    templates = Environment(
        loader=PackageLoader("horror_pipeline.web"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    templates.globals.update(url=files.url, attribution=ATTRIBUTION)
    templates.filters.update(wording.FILTERS)
    return templates


def router(templates: Environment, posters: Posters, files: StaticFiles, *, poll_interval_ms: int) -> APIRouter:
    """Create the routes of `/`, `/docs`, `/static/…` and the icon that browsers ask for."""
    routes = APIRouter(include_in_schema=False)

    @routes.get("/")
    async def dashboard() -> Response:
        show_posters = await posters.allowed()
        page = templates.get_template("dashboard.html").render(
            plotly_url=files.url(PLOTLY),
            plotly_style_ids=" ".join(plotly_style_ids()),
            poll_interval_ms=poll_interval_ms,
            posters=show_posters,
        )
        policy = content_security_policy(posters=show_posters)
        return HTMLResponse(page, headers={"content-security-policy": policy, "cache-control": "no-cache"})

    @routes.get("/docs")
    async def docs() -> Response:
        page = templates.get_template("docs.html").render()
        return HTMLResponse(page, headers={"cache-control": "no-cache"})

    @routes.get("/static/{version}/{name}")
    async def static(request: Request, version: str, name: str) -> Response:
        return files.respond(request, version, name)

    @routes.get("/favicon.ico")
    async def icon() -> Response:
        return RedirectResponse(files.url("icon.svg"), status_code=302)

    return routes


class Posters:
    """Whether posters may be shown: only the data of TMDB itself has posters on TMDB's image server."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._check_again_at = 0.0
        self._allowed = False

    async def allowed(self) -> bool:
        """Return whether they may; looked up now and then."""
        if time.monotonic() >= self._check_again_at:
            self._check_again_at = time.monotonic() + CHECK_POSTERS_SECONDS
            try:
                source = await self._database.run(queries.data_source)
            except DatabaseUnavailableError:
                return self._allowed  # the page must open without the database, and then says what is wrong
            self._allowed = source is not None and not source["is_demo"] and source["api_url"].startswith(TMDB_HOST)
        return self._allowed
