"""The JSON endpoints: validate, read, answer.

What belongs here: routes and assembling a response from rows. What does not: SQL, pages, caching.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Path, Query, Response
from sqlalchemy import Connection

from horror_pipeline.web import health, outcome_scores, queries, schemas
from horror_pipeline.web.database import Database, DatabaseUnavailableError
from horror_pipeline.web.prediction_index import NewestBatch

RETRY_AFTER = {"Retry-After": "5"}

UNAVAILABLE: dict[int | str, dict[str, Any]] = {
    503: {"model": schemas.Problem, "description": "The database cannot answer now."}
}
INVALID: dict[int | str, dict[str, Any]] = {
    422: {"model": schemas.Problem, "description": "A parameter is wrong; `parameter` names it."}
}
UNKNOWN: dict[int | str, dict[str, Any]] = {404: {"model": schemas.Problem, "description": "No such film."}}


@dataclass
class Sources:
    """What the endpoints read from."""

    database: Database
    batch: NewestBatch
    expected_version: str | None
    clock: Callable[[], datetime]
    scores: outcome_scores.DailyScores = field(default_factory=outcome_scores.DailyScores)


def router(sources: Sources) -> APIRouter:
    """All JSON endpoints over these sources."""
    routes = APIRouter()
    _add_health(routes, sources)
    _add_predictions(routes, sources)
    _add_films(routes, sources)
    _add_models(routes, sources)
    return routes


def _add_health(routes: APIRouter, sources: Sources) -> None:
    async def health_of_data(response: Response, _: Annotated[schemas.NoParameters, Query()]) -> schemas.Health:
        """Whether the data can be relied on: 200, or 503 with the reason.

        503 when the database does not answer, its schema is another version, or its newest data is over two days old.
        """
        now, expected = sources.clock(), sources.expected_version
        try:
            result = await sources.database.run(
                lambda connection: health.check(connection, now=now, expected_version=expected), for_health=True
            )
        except DatabaseUnavailableError as error:
            result = health.away(str(error), expected_version=expected)
        response.headers["Cache-Control"] = "no-store"
        response.status_code = 200 if result.status == "ok" else 503
        return result

    unhealthy: dict[int | str, dict[str, Any]] = {503: {"model": schemas.Health, "description": "Not to be relied on."}}
    for path, name in (("/health", "health"), ("/api/health", "api_health")):
        routes.get(path, tags=["state"], name=name, responses={**unhealthy, **INVALID})(health_of_data)


def _add_predictions(routes: APIRouter, sources: Sources) -> None:
    @routes.get(
        "/api/predictions",
        tags=["predictions"],
        responses={**INVALID, **UNAVAILABLE},
        response_model=schemas.PredictionPage,
    )
    async def predictions(parameters: Annotated[schemas.PredictionParameters, Query()]) -> dict[str, Any]:
        """The newest predictions, 20 at a time, with 80 % intervals and how far reality is from them.

        Under-valued films: `order=rating_gap&direction=asc`; over-valued ones: `order=rating_gap`. What is coming:
        `stage=before_release&order=release_date&direction=asc`.
        """
        batch = await sources.batch.get()
        total, keys = batch.page(**dict(parameters))
        found: dict[int, dict[str, Any]] = {}
        if keys and batch.predicted_at:
            ids, moment = [key.tmdb_id for key in keys], batch.predicted_at
            found = await sources.database.run(
                lambda connection: queries.predictions(connection, ids, predicted_at=moment), single_statement=True
            )
        # A plain dict: the page is validated once and whole, at half the cost of building a model for each row first.
        return {
            "predicted_at": batch.predicted_at,
            "total": total,
            "limit": parameters.limit,
            "offset": parameters.offset,
            "predictions": [
                found[key.tmdb_id] | {"popularity_gap": key.popularity_gap, "rating_gap": key.rating_gap}
                for key in keys
                if key.tmdb_id in found
            ],
        }

    @routes.get("/api/comparison", tags=["predictions"], responses={**INVALID, **UNAVAILABLE})
    async def comparison(parameters: Annotated[schemas.ComparisonParameters, Query()]) -> schemas.Comparison:
        """Predicted against real for released films, for a chart: an even sample where there are many."""
        batch = await sources.batch.get()
        total, ids = batch.sample(parameters.target, limit=parameters.limit)
        moment, found = batch.predicted_at, {}
        if ids and moment:
            found = await sources.database.run(
                lambda connection: queries.predictions(connection, ids, predicted_at=moment), single_statement=True
            )
        return schemas.Comparison(
            predicted_at=moment,
            target=parameters.target,
            total=total,
            points=[_point(found[tmdb_id], parameters.target) for tmdb_id in ids if tmdb_id in found],
        )


def _add_films(routes: APIRouter, sources: Sources) -> None:
    @routes.get("/api/summary", tags=["films"], responses={**INVALID, **UNAVAILABLE})
    async def summary(_: Annotated[schemas.NoParameters, Query()]) -> schemas.Summary:
        """The ten most popular films, since when, and how fresh everything is."""
        return await sources.database.run(_summary)

    @routes.get("/api/movies", tags=["films"], responses={**INVALID, **UNAVAILABLE})
    async def search(parameters: Annotated[schemas.SearchParameters, Query()]) -> schemas.SearchResult:
        """Films by title: every word must begin a word of the title or original title."""
        words, limit = parameters.query.split(), parameters.limit
        found: list[dict[str, Any]] = []
        if words:
            found = await sources.database.run(lambda connection: queries.search(connection, words=words, limit=limit))
        return schemas.SearchResult(query=parameters.query, movies=[schemas.MovieSummary(**row) for row in found])

    @routes.get("/api/movies/{tmdb_id}", tags=["films"], responses={**UNKNOWN, **INVALID, **UNAVAILABLE})
    async def movie(
        tmdb_id: Annotated[int, Path(ge=1, le=schemas.MAX_TMDB_ID, description="TMDB's movie id.", examples=[1091])],
        parameters: Annotated[schemas.MovieParameters, Query()],
    ) -> schemas.MovieHistory:
        """A film, its popularity day by day, and what was predicted for it on those days."""
        today = sources.clock().astimezone(UTC).date()
        found = await sources.database.run(lambda connection: _movie(connection, tmdb_id, today, parameters.days))
        if found is None:
            raise HTTPException(404, f"no film with id {tmdb_id} is known here")
        return found


def _add_models(routes: APIRouter, sources: Sources) -> None:
    @routes.get("/api/models", tags=["models"], responses={**INVALID, **UNAVAILABLE})
    async def models(_: Annotated[schemas.NoParameters, Query()]) -> schemas.Models:
        """The models that predict, measured on films released after those they learnt from, and their predecessors."""
        return await sources.database.run(_models)

    @routes.get("/api/accuracy", tags=["models"], responses={**INVALID, **UNAVAILABLE})
    async def accuracy(parameters: Annotated[schemas.AccuracyParameters, Query()]) -> schemas.Accuracy:
        """How past predictions held: error, bias and how often the 80 % interval was right, by span of time."""
        by_day = await sources.database.run(lambda connection: sources.scores.read(connection, days=parameters.days))
        days = list(by_day)
        return schemas.Accuracy(
            from_date=days[0] if days else None,
            to_date=days[-1] if days else None,
            scores=[schemas.OutcomeScore(**score) for score in outcome_scores.total(sum(by_day.values(), []))],
            by_day=[
                schemas.DayScore(outcome_date=day, **outcome_scores.score(row))
                for day, rows in by_day.items()
                for row in rows
            ],
        )


def _summary(connection: Connection) -> schemas.Summary:
    source = queries.data_source(connection)
    newest_day = queries.newest_snapshot_date(connection)
    films = queries.most_popular(connection, limit=10)
    trends = _trends(connection, [film["tmdb_id"] for film in films], newest_day)
    return schemas.Summary(
        is_demo=source["is_demo"] if source else None,
        movie_count=queries.movie_count(connection),
        snapshot_date=newest_day,
        predicted_at=queries.newest_batch(connection),
        newest_data_at=queries.newest_data_at(connection),
        movies=[schemas.PopularMovie(**film, **trends[film["tmdb_id"]]) for film in films],
    )


def _trends(connection: Connection, ids: list[int], newest_day: date | None) -> dict[int, dict[str, Any]]:
    """Per film: since when it is popular, its popularity a week ago, and its last month day by day."""
    days: dict[int, dict[date, Any]] = defaultdict(dict)
    if ids and newest_day:
        for row in queries.recent_snapshots(connection, ids, until=newest_day, days=180):
            days[row["tmdb_id"]][row["snapshot_date"]] = row
    return {tmdb_id: _trend(days[tmdb_id], newest_day) for tmdb_id in ids}


def _trend(days: dict[date, Any], newest_day: date | None) -> dict[str, Any]:
    if newest_day is None:
        return {"popularity_by_day": []}
    since = None
    for day in sorted(days, reverse=True):  # a day nobody collected does not end a run
        if days[day]["popularity_percentile"] < queries.TOP_SHARE:
            break
        since = day
    month = [newest_day - timedelta(days=back) for back in reversed(range(queries.TREND_DAYS))]
    week_ago = days.get(newest_day - timedelta(days=7))
    return {
        "popular_since": since,
        "is_popular_since_earlier": since is not None and since == min(days),
        "popularity_week_ago": week_ago["popularity"] if week_ago else None,
        "popularity_by_day": [days[day]["popularity"] if day in days else None for day in month],
    }


def _movie(connection: Connection, tmdb_id: int, today: date, days: int) -> schemas.MovieHistory | None:
    film = queries.movie(connection, tmdb_id)
    if film is None:
        return None
    since = today - timedelta(days=days)
    return schemas.MovieHistory(
        movie=schemas.MovieDetail(**film),
        history=[schemas.Snapshot(**row) for row in queries.movie_history(connection, tmdb_id, since=since)],
        predictions=[
            schemas.Forecast(**row) for row in queries.movie_predictions(connection, tmdb_id, since=since, until=today)
        ],
    )


def _models(connection: Connection) -> schemas.Models:
    champions = queries.champions(connection)
    versions = queries.versions(connection, [row["model_name"] for row in champions])
    return schemas.Models(
        champions=[schemas.Champion(**row) for row in champions],
        versions=[schemas.ModelVersion(**row) for row in versions],
    )


def _point(row: dict[str, Any], target: schemas.Target) -> schemas.ComparisonPoint:
    return schemas.ComparisonPoint(
        tmdb_id=row["tmdb_id"],
        title=row["title"],
        predicted=row[f"predicted_{target}"],
        lower=row[f"{target}_lower"],
        upper=row[f"{target}_upper"],
        actual=row[f"actual_{target}"],
        vote_count=row["actual_vote_count"],
    )
