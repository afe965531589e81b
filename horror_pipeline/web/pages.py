"""The HTML pages: the dashboard's frame and the description of the API.

What belongs here: filling templates. What does not: film data; the dashboard's scripts fetch it as JSON.
"""

from __future__ import annotations

import time
from typing import Any

from fastapi import APIRouter, Request
from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.responses import HTMLResponse, RedirectResponse, Response

from horror_pipeline.web import queries
from horror_pipeline.web.database import Database, DatabaseUnavailableError
from horror_pipeline.web.security import content_security_policy
from horror_pipeline.web.static_files import PLOTLY, Assets

ATTRIBUTION = "This product uses TMDB and the TMDB APIs but is not endorsed, certified, or otherwise approved by TMDB."
TMDB_HOST = "https://api.themoviedb.org/"
ASK_AGAIN_SECONDS = 10.0


def router(database: Database, assets: Assets, *, poll_interval_ms: int) -> APIRouter:
    """`/`, `/docs`, `/static/…` and the icon browsers ask for."""
    routes = APIRouter(include_in_schema=False)
    templates = Environment(
        loader=PackageLoader("horror_pipeline.web"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    posters = _Posters(database)

    @routes.get("/")
    async def dashboard() -> Response:
        shown = await posters.allowed()
        page = templates.get_template("dashboard.html").render(
            url=assets.url,
            plotly_url=assets.url(PLOTLY),
            plotly_style_ids=" ".join(assets.plotly_style_ids),
            poll_interval_ms=poll_interval_ms,
            posters=shown,
            attribution=ATTRIBUTION,
        )
        policy = {"content-security-policy": content_security_policy(posters=shown), "cache-control": "no-cache"}
        return HTMLResponse(page, headers=policy)

    @routes.get("/docs")
    async def docs(request: Request) -> Response:
        page = templates.get_template("docs.html").render(
            url=assets.url, operations=operations(request.app.openapi()), attribution=ATTRIBUTION
        )
        return HTMLResponse(page, headers={"cache-control": "no-cache"})

    @routes.get("/static/{version}/{name}")
    async def static(request: Request, version: str, name: str) -> Response:
        return assets.respond(request, version, name)

    @routes.get("/favicon.ico")
    async def icon() -> Response:
        return RedirectResponse(assets.url("icon.svg"), status_code=302)

    return routes


class _Posters:
    """Whether pictures may be shown: only TMDB's own data has any at TMDB's image server."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._ask_again_at = 0.0
        self._allowed = False

    async def allowed(self) -> bool:
        if time.monotonic() >= self._ask_again_at:
            self._ask_again_at = time.monotonic() + ASK_AGAIN_SECONDS
            try:
                source = await self._database.run(queries.data_source)
            except DatabaseUnavailableError:
                return self._allowed  # the page must open without the database: it says itself what is wrong
            self._allowed = source is not None and str(source["api_url"]).startswith(TMDB_HOST)
        return self._allowed


def operations(schema: dict[str, Any]) -> list[dict[str, Any]]:
    """The operations of an OpenAPI document, as the template wants them."""
    return [
        {
            "name": operation["operationId"],
            "method": method.upper(),
            "path": path,
            "example": path.replace("{tmdb_id}", "1091") + ("?query=thing" if path == "/api/movies" else ""),
            "description": plain(operation.get("description", "")).split("\n\n"),
            "parameters": [_parameter(parameter) for parameter in operation.get("parameters", [])],
            "fields": _fields(operation["responses"]["200"], schema),
            "answers": [(code, plain(answer["description"])) for code, answer in operation["responses"].items()],
        }
        for path, methods in schema["paths"].items()
        for method, operation in methods.items()
    ]


def plain(text: str) -> str:
    """A description without the marks of code: the page has its own way to show it."""
    return text.replace("`", "")


def _parameter(parameter: dict[str, Any]) -> dict[str, Any]:
    schema = parameter["schema"]
    options = schema.get("anyOf", [schema])
    kind = next((option for option in options if option.get("type") != "null"), schema)
    bounds = [str(kind[name]) for name in ("minimum", "maximum") if name in kind]
    return {
        "name": parameter["name"],
        "description": plain(parameter.get("description", schema.get("description", ""))),
        "kind": " | ".join(map(str, kind["enum"])) if "enum" in kind else kind.get("type", ""),
        "bounds": " to ".join(bounds),
        "default": "required" if parameter.get("required") else schema.get("default", "none"),
    }


def _fields(answer: dict[str, Any], schema: dict[str, Any]) -> list[dict[str, str]]:
    """Name, type and description of the fields of an answer, those of nested models under dotted names."""
    return _walk(answer["content"]["application/json"]["schema"], schema, prefix="")


def _walk(node: dict[str, Any], schema: dict[str, Any], *, prefix: str) -> list[dict[str, str]]:
    if "$ref" in node:
        node = schema["components"]["schemas"][node["$ref"].rsplit("/", 1)[1]]
    rows: list[dict[str, str]] = []
    for name, value in node.get("properties", {}).items():
        rows.append({"name": prefix + name, "kind": _kind(value), "description": plain(value.get("description", ""))})
        nested = value.get("items", value)
        if "$ref" in nested:
            suffix = "[]." if "items" in value else "."
            rows += _walk(nested, schema, prefix=prefix + name + suffix)
    return rows


def _kind(value: dict[str, Any]) -> str:
    if "anyOf" in value:
        return " or ".join(_kind(option) for option in value["anyOf"])
    if "enum" in value:
        return " | ".join(map(str, value["enum"]))
    if value.get("type") == "array":
        return f"list of {_kind(value.get('items', {}))}"
    return str(value.get("format") or value.get("type") or "object")
