"""The JSON endpoints: each validates its parameters, reads, and builds a response from rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Path, Query, Response
from sqlalchemy import Connection

from horror_pipeline.domain import Target
from horror_pipeline.web import (
    compared_films,
    forecast_queries,
    health,
    mover_queries,
    outcome_scores,
    queries,
    schemas,
    similar_queries,
    track_queries,
    wording,
)
from horror_pipeline.web.csv_lists import listed
from horror_pipeline.web.database import Database, DatabaseUnavailableError
from horror_pipeline.web.parameters import (
    MAX_TMDB_ID,
    AccuracyParameters,
    ComparedParameters,
    ComparisonParameters,
    ForecastParameters,
    MoverParameters,
    MovieParameters,
    NoParameters,
    PredictionParameters,
    SearchParameters,
    TrackParameters,
)
from horror_pipeline.web.prediction_index import NewestBatch

NO_RELEASE_FORECAST = dict.fromkeys(("forecast_date", "forecast_popularity", "forecast_lower", "forecast_upper"))

Responses = dict[int | str, dict[str, Any]]

ERRORS: Responses = {
    422: {"model": schemas.Problem, "description": "A parameter is wrong; `parameter` names it."},
    503: {"model": schemas.Problem, "description": "The database cannot answer now."},
}
UNHEALTHY: Responses = {503: {"model": schemas.Health, "description": "The data cannot be relied on."}}
UNKNOWN_MOVIE: Responses = {404: {"model": schemas.Problem, "description": "No such film."}}


@dataclass
class Sources:
    """Everything the endpoints read from."""

    database: Database
    batch: NewestBatch
    expected_version: str
    clock: Callable[[], datetime]
    outcome_sums: outcome_scores.DailySums = field(default_factory=outcome_scores.DailySums)

    @property
    def today(self) -> date:
        """The present UTC day."""
        return self.clock().astimezone(UTC).date()


def router(sources: Sources) -> APIRouter:
    """Create the routes of all JSON endpoints."""
    routes = APIRouter(responses=ERRORS)
    _add_health(routes, sources)
    _add_predictions(routes, sources)
    _add_forecasts(routes, sources)
    _add_movers(routes, sources)
    _add_track_record(routes, sources)
    _add_films(routes, sources)
    _add_models(routes, sources)
    return routes


def _add_health(routes: APIRouter, sources: Sources) -> None:
    async def health_of_data(response: Response, _: Annotated[NoParameters, Query()]) -> schemas.Health:
        """Whether the data can be relied on: 200, or 503 with the reason.

        503 when the database does not answer, its schema is another version, or its newest data is over two days old.
        """
        now, expected = sources.clock(), sources.expected_version
        try:
            result = await sources.database.run(
                lambda connection: health.check(connection, now=now, expected_version=expected), for_health=True
            )
        except DatabaseUnavailableError as error:
            result = schemas.Health(
                status="unavailable", reason=str(error), database="away", expected_schema_version=expected
            )
        response.headers["Cache-Control"] = "no-store"
        response.status_code = 200 if result.status == "ok" else 503
        return result

    for path, name in (("/health", "health"), ("/api/health", "api_health")):
        routes.get(path, tags=["state"], name=name, responses=UNHEALTHY)(health_of_data)


def _add_predictions(routes: APIRouter, sources: Sources) -> None:
    @listed(routes, "/api/predictions", "predictions", tags=["predictions"], response_model=schemas.PredictionPage)
    async def predictions(parameters: Annotated[PredictionParameters, Query()]) -> dict[str, Any]:
        """The newest predictions, 20 at a time, with 80 % intervals and how far reality is from them.

        Under-valued films: `order=rating_gap&direction=asc`; over-valued ones: `order=rating_gap`. What is coming:
        `stage=before_release&order=release_date&direction=asc`; what may surprise: `order=surprise_factor`.
        """
        batch = await sources.batch.get()
        total, keys = batch.page(parameters)
        found: dict[int, dict[str, Any]] = {}
        reasons: dict[int, str] = {}
        forecasts: dict[int, dict[str, Any]] = {}
        if keys and batch.predicted_at:
            ids, moment = [key.tmdb_id for key in keys], batch.predicted_at
            coming = [key.tmdb_id for key in keys if key.stage == "before_release"]
            found, reasons, forecasts = await sources.database.run(
                lambda connection: (
                    queries.predictions(connection, ids, predicted_at=moment),
                    queries.popularity_reasons(connection, ids),
                    forecast_queries.release_forecasts(connection, coming),
                )
            )
        # A plain dict is validated only once, which takes half the time of building a model for each row first.
        return {
            "predicted_at": batch.predicted_at,
            "total": total,
            "limit": parameters.limit,
            "offset": parameters.offset,
            "predictions": [
                found[key.tmdb_id]
                | {name: getattr(key, name) for name in ("popularity_gap", "rating_gap", "surprise_factor")}
                | {"popularity_reasons": reasons.get(key.tmdb_id)}
                | forecasts.get(key.tmdb_id, NO_RELEASE_FORECAST)
                for key in keys
                if key.tmdb_id in found
            ],
        }

    @routes.get("/api/comparison", tags=["predictions"])
    async def comparison(parameters: Annotated[ComparisonParameters, Query()]) -> schemas.Comparison:
        """Predicted and real values of released films, for a chart; an even sample if there are more than `limit`."""
        batch = await sources.batch.get()
        total, ids = batch.sample(parameters.target, limit=parameters.limit)
        moment, found = batch.predicted_at, {}
        if ids and moment:
            found = await sources.database.run(
                lambda connection: queries.predictions(connection, ids, predicted_at=moment)
            )
        return schemas.Comparison(
            predicted_at=moment,
            target=parameters.target,
            total=total,
            points=[_point(found[tmdb_id], parameters.target) for tmdb_id in ids if tmdb_id in found],
        )


def _add_forecasts(routes: APIRouter, sources: Sources) -> None:
    @listed(routes, "/api/forecasts", "forecasts", tags=["forecasts"])
    async def forecasts(parameters: Annotated[ForecastParameters, Query()]) -> schemas.ForecastPage:
        """The newest forecasts of popularity from each film's own history, 20 at a time, with 80 % intervals.

        The films expected to rise most within seven days come first; `order=fall` lists those expected to fall most.
        """
        rows = await sources.database.run(lambda connection: forecast_queries.latest_forecasts(connection, parameters))
        return schemas.ForecastPage(
            made_on=rows[0]["made_on"] if rows else None,
            horizon_days=parameters.horizon,
            total=rows[0]["total"] if rows else 0,
            limit=parameters.limit,
            offset=parameters.offset,
            forecasts=[schemas.MovieForecast(**row) for row in rows],
        )


def _add_movers(routes: APIRouter, sources: Sources) -> None:
    @listed(routes, "/api/movers", "movers", tags=["movers"])
    async def movers(parameters: Annotated[MoverParameters, Query()]) -> schemas.MoverPage:
        """How popularity changed over 1, 7 or 30 days, 20 films at a time, the most unusual rises first.

        A change is compared with earlier changes of films about as popular and about as far from their release, after
        removing the movement that such films had in common on a day.
        """
        rows = await sources.database.run(lambda connection: mover_queries.latest_movers(connection, parameters))
        return schemas.MoverPage(
            snapshot_date=rows[0]["snapshot_date"] if rows else None,
            span_days=parameters.span,
            total=rows[0]["total"] if rows else 0,
            limit=parameters.limit,
            offset=parameters.offset,
            movers=[schemas.MovieMover(**row) for row in rows],
        )


def _add_films(routes: APIRouter, sources: Sources) -> None:
    @listed(routes, "/api/summary", "movies", tags=["films"])
    async def summary(_: Annotated[NoParameters, Query()]) -> schemas.Summary:
        """The ten most popular films, since when each has been popular, and how recent the data is."""
        return await sources.database.run(_summary)

    @listed(routes, "/api/movies", "movies", tags=["films"])
    async def search(parameters: Annotated[SearchParameters, Query()]) -> schemas.SearchResult:
        """Films by title: each word of `query` must be the beginning of a word in the title or original title."""
        words, limit = parameters.query.split(), parameters.limit
        found: list[dict[str, Any]] = []
        if words:
            found = await sources.database.run(lambda connection: queries.search(connection, words=words, limit=limit))
        return schemas.SearchResult(query=parameters.query, movies=[schemas.MovieSummary(**row) for row in found])

    @routes.get("/api/compare", tags=["films"], responses=UNKNOWN_MOVIE)
    async def compare(parameters: Annotated[ComparedParameters, Query()]) -> schemas.ComparedFilms:
        """Up to five films compared: popularity by days since the release of each."""
        ids = compared_films.ids_of(parameters.ids)
        found = await sources.database.run(lambda connection: compared_films.read(connection, ids))
        if found is None:
            raise HTTPException(404, "one of these films is unknown")
        return found

    @routes.get("/api/movies/{tmdb_id}", tags=["films"], responses=UNKNOWN_MOVIE)
    async def movie(
        tmdb_id: Annotated[int, Path(ge=1, le=MAX_TMDB_ID, description="TMDB's movie id.", examples=[1091])],
        parameters: Annotated[MovieParameters, Query()],
    ) -> schemas.MovieHistory:
        """A film, its popularity day by day, what was expected of such a film on those days, and its forecasts."""
        today, days = sources.today, parameters.days
        found = await sources.database.run(lambda connection: movie_history(connection, tmdb_id, today, days))
        if found is None:
            raise HTTPException(404, f"no film with id {tmdb_id} is known here")
        return found


def _add_models(routes: APIRouter, sources: Sources) -> None:
    @routes.get("/api/models", tags=["models"])
    async def models(_: Annotated[NoParameters, Query()]) -> schemas.Models:
        """The models that predict now and their predecessors, tested on films released after those they trained on."""
        return await sources.database.run(_models)

    @routes.get("/api/accuracy", tags=["models"])
    async def accuracy(parameters: Annotated[AccuracyParameters, Query()]) -> schemas.Accuracy:
        """How good past expectations and forecasts were, compared with no change: errors, and coverage of intervals."""
        by_day, forecasts = await sources.database.run(
            lambda connection: (
                sources.outcome_sums.read(connection, days=parameters.days),
                forecast_queries.forecast_accuracy(connection),
            )
        )
        return schemas.Accuracy(
            from_date=min(by_day, default=None),
            to_date=max(by_day, default=None),
            scores=[
                schemas.OutcomeScore(**row) for row in outcome_scores.scores(outcome_scores.total(by_day.values()))
            ],
            by_day=[
                schemas.DayScore(outcome_date=day, **row)
                for day, sums in by_day.items()
                for row in outcome_scores.scores(sums)
            ],
            forecasts=[schemas.ForecastScore(**row) for row in forecasts],
        )


def _add_track_record(routes: APIRouter, sources: Sources) -> None:
    @listed(routes, "/api/track-record", "calls", tags=["forecasts"])
    async def track_record(parameters: Annotated[TrackParameters, Query()]) -> schemas.TrackRecord:
        """The best and worst forecasts at a horizon, and how good forecasts were by votes, language and stage."""
        horizon = parameters.horizon
        calls, groups = await sources.database.run(
            lambda connection: (track_queries.calls(connection, horizon), track_queries.groups(connection, horizon))
        )
        return schemas.TrackRecord(
            horizon_days=horizon,
            calls=[schemas.Call(**row) for row in calls],
            groups=[schemas.GroupScore(**row) for row in groups],
        )


def _summary(connection: Connection) -> schemas.Summary:
    source = queries.data_source(connection)
    newest_day = queries.newest_snapshot_date(connection)
    films = queries.most_popular(connection, limit=10)
    ids = [film["tmdb_id"] for film in films]
    trends = queries.trends(connection, ids, newest_day=newest_day) if newest_day else {}
    return schemas.Summary(
        is_demo=source["is_demo"] if source else None,
        movie_count=queries.movie_count(connection),
        snapshot_date=newest_day,
        predicted_at=queries.newest_batch(connection),
        newest_data_at=queries.newest_data_at(connection),
        movies=[schemas.PopularMovie(**film, **trends.get(film["tmdb_id"], {})) for film in films],
    )


def movie_history(connection: Connection, tmdb_id: int, today: date, days: int) -> schemas.MovieHistory | None:
    """Read a film with its history, expectations, forecasts, changes and similar films; None if it is unknown."""
    film = queries.movie(connection, tmdb_id)
    if film is None:
        return None
    since = today - timedelta(days=days)
    similar = similar_queries.similar_movies(connection, tmdb_id)
    others = queries.other_ids(connection, tmdb_id)
    existing = [row["tmdb_id"] for row in others if row["gone_at"] is None]
    earlier = [row["tmdb_id"] for row in others if row["gone_at"] is not None] if film["gone_at"] is None else []
    history = queries.movie_history(connection, tmdb_id, since=since, earlier_ids=earlier)
    return schemas.MovieHistory(
        movie=schemas.MovieDetail(
            **film, replaced_by=existing[0] if film["gone_at"] and existing else None, replaces=earlier
        ),
        history=[schemas.Snapshot(**row) for row in history],
        predictions=[
            schemas.DatedPrediction(**row)
            for row in queries.movie_predictions(connection, tmdb_id, since=since, until=today)
        ],
        forecasts=[schemas.Forecast(**row) for row in forecast_queries.movie_forecasts(connection, tmdb_id)],
        movers=[schemas.Mover(**row) for row in mover_queries.movie_movers(connection, tmdb_id)],
        explanations=[_explanation(row) for row in queries.explanations(connection, tmdb_id)],
        similar=similar,
        similar_first_days=similar_queries.first_days(similar, today),
    )


def _explanation(row: dict[str, Any]) -> schemas.Explanation:
    parts = [
        schemas.Part(label=label, effect=effect, change=wording.effect(effect, row["target"]))
        for label, effect in row["parts"]
    ]
    return schemas.Explanation(**{**row, "parts": parts})


def _models(connection: Connection) -> schemas.Models:
    champions = queries.champions(connection)
    versions = queries.versions(connection, [row["model_name"] for row in champions])
    return schemas.Models(
        champions=[schemas.Champion(**row) for row in champions],
        versions=[schemas.ModelVersion(**row) for row in versions],
    )


def _point(row: dict[str, Any], target: Target) -> schemas.ComparisonPoint:
    return schemas.ComparisonPoint(
        tmdb_id=row["tmdb_id"],
        title=row["title"],
        predicted=row[f"predicted_{target}"],
        lower=row[f"{target}_lower"],
        upper=row[f"{target}_upper"],
        actual=row[f"actual_{target}"],
        vote_count=row["actual_vote_count"],
    )
