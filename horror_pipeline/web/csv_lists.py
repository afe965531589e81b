"""Lists as CSV as well as JSON: the same endpoint with the same parameters, at its path with `.csv` added."""

from __future__ import annotations

import inspect
import io
from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel
from starlette.responses import Response

from horror_pipeline.web.csv_format import write_csv

Endpoint = Callable[..., Awaitable[Any]]


class CsvResponse(Response):
    """A CSV file in UTF-8."""

    media_type = "text/csv; charset=utf-8"


def listed(
    routes: APIRouter, path: str, rows: tuple[str, type[BaseModel]], **options: Any
) -> Callable[[Endpoint], Endpoint]:
    """Add an endpoint that returns a list, and its CSV.

    Args:
        routes: where to add them.
        path: path of the JSON.
        rows: name of the response's field that is the list, and the model of its rows.
        options: of the JSON's route.
    """
    field, model = rows

    def register(endpoint: Endpoint) -> Endpoint:
        async def as_csv(**parameters: Any) -> Response:
            answer = await endpoint(**parameters)
            found = answer[field] if isinstance(answer, dict) else [dict(row) for row in getattr(answer, field)]
            file = io.StringIO()
            write_csv(file, list(model.model_fields), found)
            return CsvResponse(file.getvalue())

        # FastAPI reads the parameters from the signature and resolves their types where the endpoint was written.
        signature = inspect.signature(endpoint, eval_str=True)
        as_csv.__signature__ = signature.replace(return_annotation=Response)  # type: ignore[attr-defined]
        summary = f"{path} as CSV"
        description = f"The rows of `{field}` as CSV, with the same parameters as `{path}`."
        routes.get(path, **options)(endpoint)
        routes.get(
            f"{path}.csv",
            tags=options["tags"],
            response_class=CsvResponse,
            responses=_as_json(routes.responses),
            summary=summary,
            description=description,
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
