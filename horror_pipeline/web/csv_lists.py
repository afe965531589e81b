"""Lists as CSV as well as JSON: the same endpoint with the same parameters, at its path with `.csv` added."""

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
    """Add an endpoint that returns a list, and its CSV.

    Args:
        routes: where to add them.
        path: path of the JSON.
        field: name of the response's field that is the list.
        options: of the JSON's route.
    """

    def register(endpoint: Endpoint) -> Endpoint:
        # FastAPI reads the parameters from the signature and resolves their types where the endpoint was written.
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
    """Describe errors as JSON, which they are; FastAPI would describe them as CSV, like the endpoint's answers."""
    return {
        status: {
            "description": error["description"],
            "content": {"application/json": {"schema": {"$ref": f"#/components/schemas/{error['model'].__name__}"}}},
        }
        for status, error in errors.items()
    }
