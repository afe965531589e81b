"""Serves lists as CSV as well as JSON. The CSV is at the JSON's path with `.csv` added, with the same parameters."""

from __future__ import annotations

import inspect
import io
from collections.abc import Awaitable, Callable
from typing import Any, get_args

from fastapi import APIRouter
from starlette.responses import Response

from horror_pipeline.web.csv_format import write_csv

Endpoint = Callable[..., Awaitable[Any]]


class CsvResponse(Response):
    """A CSV file in UTF-8."""

    media_type = "text/csv; charset=utf-8"


def listed(routes: APIRouter, path: str, field: str, **options: Any) -> Callable[[Endpoint], Endpoint]:
    """Return a decorator that adds an endpoint's list to the routes, once as JSON and once as CSV.

    Args:
        routes: where to add the two routes.
        path: path of the JSON.
        field: name of the response's field that holds the list.
        options: options of the JSON route.
    """

    def register(endpoint: Endpoint) -> Endpoint:
        # FastAPI reads the parameters of `as_csv` from this signature; types are resolved in the endpoint's module.
        signature = inspect.signature(endpoint, eval_str=True)
        response = options.get("response_model", signature.return_annotation)
        (model,) = get_args(response.model_fields[field].annotation)

        async def as_csv(**parameters: Any) -> Response:
            answer = await endpoint(**parameters)
            found = answer[field] if isinstance(answer, dict) else [dict(row) for row in getattr(answer, field)]
            file = io.StringIO()
            write_csv(file, list(model.model_fields), found)
            return CsvResponse(file.getvalue())

        as_csv.__signature__ = signature.replace(return_annotation=Response)  # type: ignore[attr-defined]
        routes.get(path, **options)(endpoint)
        routes.get(
            f"{path}.csv",
            tags=options["tags"],
            response_class=CsvResponse,
            responses=_as_json(routes.responses),
            summary=f"{path} as CSV",
            description=f"The rows of `{field}` as CSV, with the same parameters as `{path}`.",
        )(as_csv)
        return endpoint

    return register


def _as_json(errors: dict[int | str, dict[str, Any]]) -> dict[int | str, dict[str, Any]]:
    """Describe errors as JSON. By itself, FastAPI would describe them as CSV, like the answers of a CSV endpoint."""
    return {
        status: {
            "description": error["description"],
            "content": {"application/json": {"schema": {"$ref": f"#/components/schemas/{error['model'].__name__}"}}},
        }
        for status, error in errors.items()
    }
