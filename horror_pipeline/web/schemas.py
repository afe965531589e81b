"""One pydantic model per answer of the API. Field names are those of the tables."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, Field

from horror_pipeline.domain import Stage, Target


class Problem(BaseModel):
    """Why a request was not answered."""

    reason: str = Field(examples=["cannot reach the database"])
    parameter: str | None = Field(None, description="The parameter at fault, where it is one.", examples=["limit"])


class Health(BaseModel):
    """Whether the data can be relied on."""

    status: Literal["ok", "unavailable"]
    reason: str | None = Field(None, description="What is wrong; null: nothing.")
    database: Literal["ok", "away"]
    schema_version: str | None = Field(None, examples=["0001"])
    expected_schema_version: str | None = Field(None, examples=["0001"])
    newest_data_at: datetime | None = Field(None, description="When the newest data was observed.")
    data_age_seconds: int | None = Field(None, description="Age of the newest data.", examples=[5400])


class MovieSummary(BaseModel):
    """A film in a list."""

    tmdb_id: int = Field(examples=[1091])
    title: str = Field(examples=["The Thing"])
    original_title: str | None = None
    release_date: date | None = None
    popularity: float | None = Field(None, description="Popularity when last observed.")
    vote_average: float | None = Field(None, description="Mean vote, 0 to 10; null: no votes.")
    vote_count: int | None = None
    poster_path: str | None = None


class PopularMovie(MovieSummary):
    """A film among the most popular."""

    popular_since: date | None = Field(
        None, description="First day of its present unbroken run among the most popular 1 % of films."
    )
    is_popular_since_earlier: bool = Field(False, description="The run reaches back to the first snapshot there is.")
    popularity_week_ago: float | None = Field(None, description="Popularity seven days before the newest snapshot.")
    popularity_by_day: list[float | None] = Field([], description="The last 30 days' popularity, oldest first.")


class Summary(BaseModel):
    """The most popular films, how many films are known, and how recent the data is."""

    is_demo: bool | None = Field(description="Whether the data is made up; null: nothing collected yet.")
    movie_count: int = Field(description="Films known, about.")
    snapshot_date: date | None = Field(description="Day of the newest popularity snapshot.")
    predicted_at: datetime | None = Field(description="When the newest predictions were made.")
    newest_data_at: datetime | None = Field(description="When films were last observed.")
    movies: list[PopularMovie] = Field(description="The ten most popular films, most popular first.")


class DatedPrediction(BaseModel):
    """What the models expected of a film at one moment, with 80 % intervals."""

    predicted_at: datetime
    stage: Stage
    predicted_popularity: float | None
    popularity_lower: float | None
    popularity_upper: float | None
    predicted_vote_average: float | None
    vote_average_lower: float | None
    vote_average_upper: float | None
    top_1_percent_probability: float | None = Field(
        description="Chance that an upcoming film will be among the most popular 1 % of films; null: it is out."
    )
    rating_7_probability: float | None = Field(description="Chance that the mean vote of such a film is 7 or more.")
    actual_popularity: float | None = Field(description="As it stood at `predicted_at`.")
    actual_vote_average: float | None = Field(description="As it stood at `predicted_at`.")
    actual_vote_count: int | None = Field(description="As it stood at `predicted_at`.")


class Prediction(DatedPrediction):
    """The newest prediction for a film."""

    tmdb_id: int = Field(examples=[1091])
    title: str = Field(examples=["The Thing"])
    release_date: date | None
    genres: list[str]
    poster_path: str | None
    popularity_gap: float | None = Field(
        description="Actual less predicted, in widths of the interval; null: too few votes."
    )
    rating_gap: float | None = Field(
        description="Actual less predicted, in widths of the interval; null: too few votes."
    )
    surprise_factor: float | None = Field(
        description="`predicted_popularity` over `actual_popularity`, or over 1 where that is less; null: it is out."
    )
    popularity_reasons: str | None = Field(
        description="What is usual for films of its stage, and what moved the expected popularity most from there.",
        examples=["2.40 is usual, part 2 of a series +31 %, in French −9 %"],
    )
    forecast_date: date | None = Field(
        description="The first forecast day on which the film is out; null: it is out, or no forecast reaches so far."
    )
    forecast_popularity: float | None = Field(description="The newest forecast for that day, from its own history.")
    forecast_lower: float | None = Field(description="Lower end of that forecast's 80 % interval.")
    forecast_upper: float | None = Field(description="Upper end of that forecast's 80 % interval.")
    popularity_model_version: str | None
    vote_average_model_version: str | None


class Page(BaseModel):
    """Which page of a list an answer holds."""

    total: int = Field(description="Films that match, over all pages.")
    limit: int
    offset: int


class PredictionPage(Page):
    """One page of the newest predictions."""

    predicted_at: datetime | None = Field(description="The batch these belong to; null: nothing predicted yet.")
    predictions: list[Prediction]


class SearchResult(BaseModel):
    """Films whose title matches, most popular first."""

    query: str
    movies: list[MovieSummary]


class MovieDetail(MovieSummary):
    """A film in full."""

    imdb_id: str | None
    original_language: str | None
    overview: str | None
    tagline: str | None
    status: str | None
    runtime_minutes: int | None
    genres: list[str]
    directors: list[str] | None
    cast_names: list[str] | None
    collection_name: str | None
    releases: dict[str, dict[str, date]] | None = Field(
        description="First day by country and kind: `premiere`, `limited`, `theatrical`, `digital`, `physical` or `tv`."
    )
    watch_options: dict[str, dict[str, list[str]]] | None = Field(
        description="Services by country and kind of offer; the data is JustWatch's."
    )
    observed_at: datetime
    gone_at: datetime | None = Field(description="When TMDB first said it no longer exists; null: it exists.")
    replaced_by: int | None = Field(description="The id under which TMDB has a gone film now, by its `imdb_id`.")
    replaces: list[int] = Field(description="Ids of this film that are gone; its history includes theirs.")
    high_rated_probability: float | None = Field(
        description="Chance, 0 to 1, that it is among the better rated half, from what is known before release."
    )
    is_high_rated: bool | None = Field(description="Whether it is among the better rated half; null: too few votes.")
    cluster_name: str | None = Field(
        description="What stands out in the group of films it is nearest to, by genres, language, season and title.",
        examples=["October"],
    )


class Snapshot(BaseModel):
    """A film's popularity on one day."""

    snapshot_date: date
    popularity: float
    popularity_percentile: float = Field(description="Share of that day's films at most as popular, 0 to 1.")
    vote_count: int | None
    vote_average: float | None


class Forecast(BaseModel):
    """A forecast of a film's popularity some days ahead, from its own history, with an 80 % interval."""

    made_on: date = Field(description="The last day whose data the forecast knows.")
    horizon_days: int = Field(description="Days from `made_on` to `target_date`.")
    target_date: date
    origin_popularity: float = Field(description="Popularity on `made_on`, which is also the forecast of no change.")
    forecast_popularity: float
    popularity_lower: float
    popularity_upper: float
    rise_probability: float | None = Field(
        description="Chance that popularity is higher than on `made_on`; null: nothing is known of that yet."
    )
    is_backtest: bool = Field(description="Made later, from only what was known on `made_on`.")
    model_version: str | None


class MovieForecast(Forecast):
    """A forecast in a list of films."""

    tmdb_id: int = Field(examples=[1091])
    title: str = Field(examples=["The Thing"])
    release_date: date | None
    days_to_release: int | None = Field(description="Counted from `made_on`; negative after the release.")


class ForecastPage(Page):
    """One page of the newest forecasts at one horizon."""

    made_on: date | None = Field(description="The day these were made on; null: no film matches.")
    horizon_days: int
    forecasts: list[MovieForecast]


class Mover(BaseModel):
    """How a film's popularity changed over some days, compared with the changes of similar films."""

    snapshot_date: date = Field(description="The day on which the change ends.")
    span_days: int
    popularity: float
    popularity_before: float
    popularity_usual: float = Field(description="Popularity had it moved like the median of such films.")
    popularity_rank: int = Field(description="1: the most popular film of the day.")
    popularity_rank_before: int
    change_percentile: float | None = Field(
        description="Share of the earlier changes of films of its level and age that were smaller; null: too few."
    )
    is_own_record: bool | None = Field(
        description="Larger than each of its own that ended before this one began; null: too few."
    )
    breakout_score: float | None = Field(
        description="`change_percentile` of a rise into the top tenth, less where many such films rose; null: no rise "
        "into the top tenth, or one that the film has made before."
    )
    is_breakout: bool = Field(description="`breakout_score` is 0.99 or more.")


class MovieMover(Mover):
    """A mover in a list of films."""

    tmdb_id: int = Field(examples=[1091])
    title: str = Field(examples=["The Thing"])
    release_date: date | None


class MoverPage(Page):
    """One page of the newest movers over one span."""

    snapshot_date: date | None = Field(description="The day on which the changes end; null: no film matches.")
    span_days: int
    movers: list[MovieMover]


class Scored(BaseModel):
    """How good forecasts were, compared with saying that nothing changes."""

    is_backtest: bool = Field(description="Whether they were made later, from only what was known on each day.")
    films: int = Field(description="Forecasts compared: each film once for each day.")
    mae: float = Field(description="Mean absolute error of the forecasts.")
    mae_no_change: float = Field(description="Mean absolute error of saying that nothing changes.")
    skill: float | None = Field(description="1 less `mae` / `mae_no_change`: above 0 is better than no change.")
    coverage: float | None = Field(description="Share of outcomes inside the 80 % interval.")


class ForecastScore(Scored):
    """How good the forecasts for the days of one month were at one horizon."""

    horizon_days: int
    month: date = Field(description="First day of the month.")


class Call(BaseModel):
    """A forecast, and the popularity that the film had on the target date."""

    made_on: date
    horizon_days: int
    target_date: date
    tmdb_id: int = Field(examples=[1091])
    title: str = Field(examples=["The Thing"])
    is_backtest: bool = Field(description="Made later, from only what was known on `made_on`.")
    origin_popularity: float = Field(description="Popularity on `made_on`, which is also the forecast of no change.")
    forecast_popularity: float
    popularity_lower: float
    popularity_upper: float
    outcome_popularity: float
    gain: float = Field(description="Error of no change less that of the forecast.")


class GroupScore(Scored):
    """How good the forecasts of a group of films were, compared with saying that nothing changes."""

    dimension: str = Field(description="`votes`, `language` or `stage`.")
    category: str


class TrackRecord(BaseModel):
    """The best and worst forecasts at one horizon, and how good all forecasts were by group of films."""

    horizon_days: int
    calls: list[Call] = Field(description="The ten best and the ten worst, one of each for a film, the best first.")
    groups: list[GroupScore] = Field(description="Groups with a hundred forecasts or more.")


class Part(BaseModel):
    """One of the things that moved a prediction."""

    label: str = Field(examples=["out in October"])
    effect: float = Field(description="On the scale of the explanation's `base`.", examples=[0.166])
    change: str = Field(description="The effect as people read it.", examples=["+18 %"])


class Explanation(BaseModel):
    """What moved a prediction most; `base` and the effects of all parts add up to the prediction."""

    target: Target
    horizon_days: int = Field(description="Days ahead of a forecast; 0: an expectation for such a film.")
    explained_at: datetime = Field(description="When it was predicted, or the day a forecast was made on.")
    model_version: str
    base: float = Field(
        description="The mean prediction of all films that the model speaks of: the logarithm of an expected "
        "popularity, the change of log(popularity + 0.1) of a forecast, or a rating."
    )
    parts: list[Part] = Field(description="The largest first, what is left last.")


class SimilarMovie(MovieSummary):
    """A film similar to the one asked for, and what is stored of its first 90 days."""

    rank: int = Field(description="1: the nearest film.")
    score: float = Field(description="How near it is, 0 to 1, by overview, keywords, genres, people and collection.")
    shared: list[str] = Field(description="The collection, and the first people and keywords that both have.")
    release_popularity: float | None = Field(
        description="Popularity on the first stored day of the week from its release; null: none is stored."
    )
    highest_popularity: float | None = Field(
        description="Highest popularity of its first 90 days, as far as they are stored; null: none of them is."
    )
    first_days_vote_count: int | None = Field(
        description="Votes on the last of these days on which they are known; null: on none."
    )
    days_stored: int = Field(description="How many of its first 90 days are stored.")


class FirstDays(BaseModel):
    """How the similar films that are out did; each median is over the films for which its figure is stored."""

    MEDIANS: ClassVar = ("release_popularity", "highest_popularity", "popularity", "vote_average", "vote_count")

    films_released: int = Field(description="Similar films that are out.")
    films_with_first_days: int = Field(description="Those of which at least one of the first 90 days is stored.")
    release_popularity: float | None = Field(description="In the week from the release.")
    highest_popularity: float | None = Field(description="Within the first 90 days.")
    popularity: float | None = Field(description="As last observed.")
    vote_average: float | None = Field(description="As last observed.")
    vote_count: float | None = Field(description="As last observed.")


class MovieHistory(BaseModel):
    """A film, its popularity by day, the last expectation of each day, and the newest forecasts."""

    movie: MovieDetail
    history: list[Snapshot] = Field(description="Oldest first.")
    predictions: list[DatedPrediction] = Field(
        description="Expectations for such a film, not forecasts: oldest first, the last one of each day."
    )
    forecasts: list[Forecast] = Field(description="From its own history, by horizon; empty: no forecast was made.")
    movers: list[Mover] = Field(description="How its popularity changed up to the newest day, by span.")
    explanations: list[Explanation] = Field(description="What moved its newest expectations and forecasts.")
    similar: list[SimilarMovie] = Field(description="The twenty nearest films, the nearest first.")
    similar_first_days: FirstDays = Field(description="How those of them that are out did.")


class DaySinceRelease(BaseModel):
    """A film's popularity on one day, counted from its release."""

    days_since_release: int = Field(description="Negative before the release.")
    popularity: float


class ComparedFilm(MovieSummary):
    """A film and its popularity by days since its release."""

    days: list[DaySinceRelease] = Field(description="From 60 days before the release to 180 after it, as stored.")


class ComparedFilms(BaseModel):
    """Films compared by days since the release of each."""

    films: list[ComparedFilm] = Field(description="In the order asked for.")


class ModelVersion(BaseModel):
    """A version of a model, and how good it was on films released later than those it learned from."""

    model_name: str = Field(examples=["rating_after_release"])
    model_version: str
    algorithm: str
    trained_at: datetime
    training_rows: int
    is_champion: bool
    metrics: dict[str, Any] = Field(description="Per split, on films released later than those trained on.")
    baseline_metrics: dict[str, Any] = Field(description="Simpler models on the same films.")


class Champion(ModelVersion):
    """The version of a model that predicts now."""

    importance: dict[str, Any] | list[Any] | None = Field(description="Permutation importance by feature.")


class Models(BaseModel):
    """The champions, and the versions before them."""

    champions: list[Champion]
    versions: list[ModelVersion] = Field(description="Newest first, ten per model at most.")


class ComparisonPoint(BaseModel):
    """One released film: what was predicted, and what is real."""

    tmdb_id: int
    title: str
    predicted: float
    lower: float | None
    upper: float | None
    actual: float
    vote_count: int | None


class Comparison(BaseModel):
    """Predicted and real values of released films."""

    predicted_at: datetime | None
    target: Target
    total: int = Field(description="Films the sample was drawn from.")
    points: list[ComparisonPoint]


class OutcomeScore(BaseModel):
    """How good predictions of one stage were after one span of time, compared with saying that nothing changes."""

    horizon: str = Field(
        description="Released films: `1d`, `7d`, `30d` after the prediction. Others: `release`, and 7 and 30 days "
        "after it (`release_7d`, `release_30d`)."
    )
    stage: Stage
    popularity_count: int = Field(description="Predictions of popularity that were compared with what happened.")
    popularity_mean_absolute_error: float | None
    popularity_no_change_mean_absolute_error: float | None = Field(
        description="The same, had no change been predicted; over the films that had a value then."
    )
    popularity_mean_error: float | None = Field(description="Positive: films did better than predicted.")
    popularity_coverage: float | None = Field(description="Share of outcomes inside the 80 % interval.")
    vote_average_count: int
    vote_average_mean_absolute_error: float | None
    vote_average_no_change_mean_absolute_error: float | None = Field(
        description="The same, had no change been predicted; over the films that had a value then."
    )
    vote_average_mean_error: float | None
    vote_average_coverage: float | None


class DayScore(OutcomeScore):
    """The figures of `OutcomeScore` for the outcomes of a single day."""

    outcome_date: date


class Accuracy(BaseModel):
    """How good past predictions and forecasts were."""

    from_date: date | None
    to_date: date | None
    scores: list[OutcomeScore] = Field(description="Over all days together.")
    by_day: list[DayScore] = Field(description="Oldest first.")
    forecasts: list[ForecastScore] = Field(description="Forecasts compared with no change, by month and horizon.")
