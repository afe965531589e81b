"""The pages that need no script: one film, films compared, the track record, and the dashboard's lists."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query
from sqlalchemy import Connection
from starlette.responses import HTMLResponse

from horror_pipeline.domain import FORECAST_HORIZONS_DAYS
from horror_pipeline.web import (
    compared_films,
    drawing,
    forecast_queries,
    listings,
    outcome_scores,
    track_queries,
)
from horror_pipeline.web.database import DatabaseUnavailableError
from horror_pipeline.web.endpoints import Sources, movie_history
from horror_pipeline.web.pages import Templates
from horror_pipeline.web.parameters import MAX_TMDB_ID, ComparedPageParameters, ListsParameters, TrackParameters

HISTORY_DAYS = 90
OUTCOME_DAYS = 30


def router(sources: Sources, templates: Templates) -> APIRouter:
    """Create the routes of `/compare`, `/lists`, `/movies/{tmdb_id}` and `/track-record`."""
    routes = APIRouter(include_in_schema=False)

    async def page(name: str, read: Callable[[Connection], dict[str, Any] | None]) -> HTMLResponse:
        try:
            found = await sources.database.run(read)
        except DatabaseUnavailableError as error:
            return await templates.respond("problem.html", status=503, problem=f"This page has no data: {error}.")
        if found is None:
            return await templates.respond("problem.html", status=404, problem="No such film is known here.")
        return await templates.respond(name, **found)

    @routes.get("/movies/{tmdb_id}")
    async def movie(tmdb_id: Annotated[int, Path(ge=1, le=MAX_TMDB_ID)]) -> HTMLResponse:
        today = sources.today
        return await page("film.html", lambda connection: _film(connection, tmdb_id, today))

    @routes.get("/compare")
    async def compare(parameters: Annotated[ComparedPageParameters, Query()]) -> HTMLResponse:
        ids = compared_films.ids_of(parameters.ids)
        return await page("compare.html", lambda connection: compared_films.page(connection, ids, parameters.add))

    @routes.get("/track-record")
    async def track_record(parameters: Annotated[TrackParameters, Query()]) -> HTMLResponse:
        horizon = parameters.horizon

        def read(connection: Connection) -> dict[str, Any]:
            months = [row for row in forecast_queries.forecast_accuracy(connection) if row["horizon_days"] == horizon]
            sums = sources.outcome_sums.read(connection, days=OUTCOME_DAYS)
            return {
                "horizon": horizon,
                "horizons": FORECAST_HORIZONS_DAYS,
                "months": months[::-1],
                "calls": track_queries.calls(connection, horizon),
                "groups": track_queries.groups(connection, horizon),
                "expectations": outcome_scores.scores(outcome_scores.total(sums.values())),
            }

        return await page("track_record.html", read)

    @routes.get("/lists")
    async def lists(parameters: Annotated[ListsParameters, Query()]) -> HTMLResponse:
        today = sources.today
        return await page("lists.html", lambda connection: listings.read(connection, today, parameters.skip))

    return routes


def _film(connection: Connection, tmdb_id: int, today: date) -> dict[str, Any] | None:
    """Return the values that a film's page shows; None if the film is unknown."""
    film = movie_history(connection, tmdb_id, today, HISTORY_DAYS)
    if film is None:
        return None
    is_out = film.movie.release_date is not None and film.movie.release_date <= today
    return {"film": film, "movie": film.movie, "is_out": is_out, "drawing": drawing.draw_film(film)}
