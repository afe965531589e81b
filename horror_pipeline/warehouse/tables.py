"""One declaration per table: the source of the first migration, of the assets' column schemas and of their checks.

A declaration holds columns, types, keys and value ranges; comments state a column's meaning, its unit, and when it is
NULL. Unknown is NULL, never 0 or ''. Units are suffixes (`_minutes`, `_usd`), booleans start with `is_`, dates end in
`_date`, instants (UTC, timestamptz) in `_at`. A column's `info={"range": (low, high)}` holds the limits of possible
values (None where there is no limit), which an asset check compares with the rows.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Date,
    DateTime,
    Double,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    Table,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from horror_pipeline.domain import GENRE_NAMES

metadata = MetaData(
    naming_convention={"ix": "ix_%(table_name)s_%(column_0_N_name)s", "pk": "pk_%(table_name)s"},
)


def _movie_id(comment: str = "TMDB's movie id.") -> Column[int]:
    return Column("tmdb_id", BigInteger, primary_key=True, autoincrement=False, comment=comment)


def _instant(name: str, comment: str, *, nullable: bool = False) -> Column[dt.datetime]:
    return Column(name, DateTime(timezone=True), nullable=nullable, comment=comment)


def _text(name: str, comment: str) -> Column[str]:
    return Column(name, Text, nullable=False, comment=comment)


def _number(
    name: str, comment: str, low: float | None = None, high: float | None = None, *, nullable: bool = True
) -> Column[float]:
    return Column(name, Double, nullable=nullable, info={"range": (low, high)}, comment=comment)


def _flag(name: str, comment: str, *, nullable: bool = True) -> Column[bool]:
    return Column(name, Boolean, nullable=nullable, comment=comment)


def _horizon(comment: str = "Days from made_on to target.") -> Column[int]:
    return Column("horizon_days", SmallInteger, primary_key=True, autoincrement=False, comment=comment)


def _scores() -> tuple[Column[Any], ...]:
    """Declare the columns of scores: sums over the films whose forecasts were compared with outcomes."""
    return (
        Column("target_date", Date, nullable=False, comment="The day of the snapshot they are compared with."),
        _flag("is_backtest", "Whether the forecasts were made afterward.", nullable=False),
        Column("films", Integer, nullable=False, info={"range": (1, None)}, comment="Films at popularity 1 or more."),
        _number("total_error", "Sum of the absolute errors of the forecasts.", 0, nullable=False),
        _number("total_error_no_change", "Sum of the absolute errors of no change.", 0, nullable=False),
        Column("films_in_interval", Integer, nullable=False, comment="Films whose outcome is within the interval."),
    )


data_source = Table(
    "data_source",
    metadata,
    Column("is_demo", Boolean, primary_key=True, comment="True: every row came from the made-up TMDB."),
    _text("api_url", "Base URL first collected from."),
    _instant("first_used_at", "When this database was first filled."),
    Column(
        "gap_min_votes",
        Integer,
        nullable=False,
        server_default="50",
        comment="Votes a film needs before `latest_predictions` calls it under- or over-valued.",
    ),
    Column("code_version", Text, comment="Version of the code that starts runs; NULL until a daemon has run."),
    comment="Where this database's data comes from: one row. Demo and TMDB data never mix.",
)

finished_runs = Table(
    "finished_runs",
    metadata,
    Column("run_id", Text, primary_key=True, comment="Dagster's id of the run."),
    _text("job_name", "The job."),
    _text("outcome", "`success`, `failure` or `canceled`."),
    _instant("ended_at", "When it ended, or was noticed to have ended."),
    comment="Every run that ended, recorded by a sensor for monitoring, which cannot read Dagster's storage.",
)

request_counts = Table(
    "request_counts",
    metadata,
    Column("asset", Text, primary_key=True, comment="The asset, like `raw/movie_details`."),
    Column("requests", BigInteger, nullable=False, comment="Requests to TMDB since the database was first filled."),
    Column("retries", BigInteger, nullable=False, comment="How many of them repeated one that had failed."),
    Column("refusals", BigInteger, nullable=False, comment="How many of them TMDB refused as too many."),
    comment="Requests to TMDB by asset, for monitoring; those of a process that was killed are not counted.",
)

# -- raw: as received from TMDB ----------------------------------------------------------------------------------------

discover_pages = Table(
    "discover_pages",
    metadata,
    Column("release_year", SmallInteger, primary_key=True, comment="Partition: the release year swept."),
    Column("listing", Text, primary_key=True, comment="`released` or `upcoming`."),
    Column("sweep", SmallInteger, primary_key=True, comment="1 for the first pass, 2… for passes over a short slice."),
    Column("slice_start_date", Date, primary_key=True, comment="First release date of the slice."),
    Column("page", SmallInteger, primary_key=True, comment="Page number, 1 to 500."),
    Column("slice_end_date", Date, comment="Last release date of the slice; NULL: open."),
    Column("payload", JSONB, nullable=False, comment="The page as received."),
    _instant("fetched_at", "When the page was received."),
    schema="raw",
    comment="The latest sweep of each release year's horror listing.",
)

movie_details = Table(
    "movie_details",
    metadata,
    _movie_id(),
    Column(
        "release_year", SmallInteger, nullable=False, index=True, comment="Partition: year it was last listed under."
    ),
    Column("payload", JSONB, comment="The details document as received; NULL: gone before it was ever read."),
    Column("payload_hash", Text, comment="Digest of the document without popularity and votes, to find changes."),
    Column("missing_parts", ARRAY(Text), nullable=False, comment="Appended parts never received yet; asked for again."),
    _instant("fetched_at", "When the document was last read from TMDB (or found gone)."),
    _instant("changed_at", "When the document last differed from the one before."),
    _instant("gone_at", "When TMDB first answered that the film no longer exists; NULL: it exists.", nullable=True),
    schema="raw",
    comment="The newest details document, with credits and keywords, of every known film.",
)

movie_changes = Table(
    "movie_changes",
    metadata,
    Column("change_date", Date, primary_key=True, comment="Partition: the closed UTC day."),
    Column("page", SmallInteger, primary_key=True, comment="Page number, from 1."),
    Column("payload", JSONB, nullable=False, comment="The page as received: ids edited that day, all genres."),
    _instant("fetched_at", "When the page was received."),
    schema="raw",
    comment="What TMDB edited or deleted, day by day. A day with a row has been collected.",
)

rejected_records = Table(
    "rejected_records",
    metadata,
    Column("source_table", Text, primary_key=True, comment="Table the record was read from, like `raw.movie_details`."),
    Column("record_key", Text, primary_key=True, comment="The record's id there, or a digest where it has none."),
    Column("release_year", SmallInteger, comment="Partition it was met in; NULL where there is none."),
    _text("reason", "Why it could not become a typed row."),
    Column("payload", JSONB, nullable=False, comment="The record as received."),
    _instant("rejected_at", "When it was last rejected."),
    schema="raw",
    comment="Records that could not be converted to typed rows, each with the reason.",
)

# -- core: typed, one meaning per column -------------------------------------------------------------------------------

movies = Table(
    "movies",
    metadata,
    _movie_id(),
    Column("imdb_id", Text, comment="IMDb id, like tt0084787."),
    _text("title", "Title in English where TMDB has one."),
    Column("original_title", Text, comment="Title in the original language."),
    Column("original_language", Text, comment="ISO 639-1 code."),
    Column("overview", Text, comment="Plot summary."),
    Column("tagline", Text, comment="Advertising line."),
    Column("release_date", Date, comment="Primary release; NULL: not announced."),
    Column("release_year", SmallInteger, comment="Year of the primary release."),
    Column("status", Text, comment="TMDB's production status, like Released or Post Production."),
    Column("runtime_minutes", Integer, info={"range": (1, 1_000)}, comment="Length in minutes."),
    Column("budget_usd", BigInteger, info={"range": (1, None)}, comment="Budget in US dollars."),
    Column("revenue_usd", BigInteger, info={"range": (1, None)}, comment="Box office in US dollars."),
    Column("collection_id", BigInteger, comment="TMDB's id of the series it belongs to."),
    Column("collection_name", Text, comment="Name of that series."),
    Column("genres", ARRAY(Text), nullable=False, comment="Genre names, a collected genre among them."),
    Column("keywords", ARRAY(Text), comment="TMDB's keywords; NULL: never received."),
    Column("directors", ARRAY(Text), comment="Directors; NULL: never received."),
    Column("cast_names", ARRAY(Text), comment="Leading cast in billing order; NULL: never received."),
    Column("releases", JSONB, comment="First day by country and kind of release; NULL: never received."),
    Column(
        "watch_options", JSONB, comment="Services by country and kind of offer, by JustWatch; NULL: never received."
    ),
    _number("popularity", "TMDB's popularity when last observed.", 0),
    _number("vote_average", "Mean of TMDB's votes, 0 to 10; NULL: no votes.", 0, 10),
    Column("vote_count", Integer, info={"range": (0, None)}, comment="Votes when last observed."),
    _flag("is_adult", "TMDB's adult flag.", nullable=False),
    Column("poster_path", Text, comment="Path of the poster at TMDB's image server."),
    Column("backdrop_path", Text, comment="Path of the backdrop at TMDB's image server."),
    _instant("first_seen_at", "When the film first entered this table."),
    _instant("observed_at", "When popularity and votes were observed."),
    _instant("details_fetched_at", "When the details document behind this row was read."),
    _instant("gone_at", "When TMDB first answered that the film no longer exists; NULL: it exists.", nullable=True),
    Index(None, "imdb_id"),
    Index(None, "release_year"),
    Index(None, "release_date"),
    Index(None, "popularity"),
    Index(None, "observed_at"),
    Index(
        "ix_movies_title_search",
        text("to_tsvector('simple'::regconfig, (title || ' '::text) || COALESCE(original_title, ''::text))"),
        postgresql_using="gin",
    ),
    comment="Every known film of the collected genres, clean and typed.",
)

other_movies = Table(
    "other_movies",
    metadata,
    _movie_id(),
    Column("listed_year", SmallInteger, nullable=False, index=True, comment="Partition: the release year swept."),
    _text("title", "Title in English where TMDB has one."),
    Column("original_title", Text, comment="Title in the original language."),
    Column("original_language", Text, comment="ISO 639-1 code."),
    Column("release_date", Date, nullable=False, comment="Primary release."),
    Column("genres", ARRAY(Text), nullable=False, comment="Genre names, no collected genre among them."),
    _number("popularity", "TMDB's popularity in that listing.", 0),
    _number("vote_average", "Mean of TMDB's votes, 0 to 10; NULL: no votes.", 0, 10),
    Column("vote_count", Integer, info={"range": (0, None)}, comment="Votes in that listing."),
    _instant("observed_at", "When the listing was read."),
    comment="Released films of all other genres, as listed: models may learn from them, but do not predict them.",
)

release_date_changes = Table(
    "release_date_changes",
    metadata,
    _movie_id(),
    Column("noted_at", DateTime(timezone=True), primary_key=True, comment="When the details with it were read."),
    Column("release_date", Date, comment="The date announced from then on; NULL: the date was withdrawn."),
    comment="Announced release dates of films that were not out yet: the first, and each that replaced it.",
)

movie_snapshots = Table(
    "movie_snapshots",
    metadata,
    _movie_id(),
    Column("snapshot_date", Date, primary_key=True, comment="The UTC day the values stand for."),
    _number("popularity", "TMDB's popularity that day.", 0, nullable=False),
    _number("popularity_percentile", "Share of that day's films at or below this popularity.", 0, 1, nullable=False),
    Column("vote_count", Integer, info={"range": (0, None)}, comment="Votes in that day's listing; NULL: not listed."),
    _number("vote_average", "Mean vote in that day's listing; NULL: not listed, or no votes.", 0, 10),
    _text("source", "Where popularity came from: `export` or `listing`."),
    Column("export_date", Date, comment="Date of the id export; NULL for `listing`."),
    Index(None, "snapshot_date"),
    comment="One row per film and day; range-partitioned by month of snapshot_date.",
    postgresql_partition_by="RANGE (snapshot_date)",
)

snapshot_days = Table(
    "snapshot_days",
    metadata,
    Column("snapshot_date", Date, primary_key=True, comment="A day of movie_snapshots."),
    Column("known_films", Integer, nullable=False, comment="Films that were known when the day was last collected."),
    comment="How many films were known when a day of history was collected: it lacks the films that were found later.",
)

# -- features: as of a moment, nothing from its future -----------------------------------------------------------------

_GENRES = sorted(GENRE_NAMES.values(), key=str.lower)

movie_features = Table(
    "movie_features",
    metadata,
    _movie_id("TMDB's movie id; never a feature."),
    _instant("as_of", "The moment the features describe."),
    Column("release_date", Date, comment="Primary release; NULL: not announced."),
    _text("stage", "`before_release` or `after_release`, as of as_of."),
    _number("runtime_minutes", "Length in minutes; NULL: unknown.", 1, 1_000),
    _number("release_year", "Year of the primary release."),
    _number("release_month", "Month of the primary release, 1 to 12.", 1, 12),
    _number("release_decade", "First year of the release's decade."),
    _number("release_weekday", "Weekday of the release, Monday 0 to Sunday 6.", 0, 6),
    _number("season_sin", "Sine of the release's place in the year.", -1, 1),
    _number("season_cos", "Cosine of the release's place in the year.", -1, 1),
    _number("days_since_release", "Days from release to as_of; 0: not out yet.", 0),
    _number("genre_count", "Number of genres, Horror included.", 0),
    _number("title_length", "Characters of the title.", 0),
    _number("title_words", "Words of the title.", 0),
    _number("director_earlier_films", "Known films that its busiest director released strictly earlier.", 0),
    _number("director_years_since_last", "Years since its directors' last earlier film; NULL: none known.", 0),
    _number("collection_earlier_films", "Films of its collection released strictly earlier.", 0),
    _number("collection_years_since_last", "Years since its collection's last earlier film; NULL: none known.", 0),
    _flag("is_october", "Released in October."),
    _flag("is_summer", "Released in June, July or August."),
    _flag("is_holiday_season", "Released in November or December."),
    _flag("is_new_years_day", "Released on 1 January, which is also how an unknown day is written."),
    _flag("is_english", "The original language is English."),
    _flag("is_title_translated", "The title differs from the original title."),
    _flag("has_title_digit", "The title holds a digit."),
    _flag("has_subtitle", "The title has a part after a colon or dash."),
    _flag("is_sequel_title", "The title looks like a sequel's: Part, Chapter, a number at its end."),
    *(_flag(f"is_{genre.lower().replace(' ', '_')}", f"Its genres include {genre}.") for genre in _GENRES),
    Column("original_language", Text, comment="ISO 639-1 code."),
    _number("prerelease_popularity", "Popularity last observed before the release; NULL: never.", 0),
    _number("vote_count", "Votes as of as_of; after release only.", 0),
    _number("log_vote_count", "Natural logarithm of 1 + votes; after release only.", 0),
    _number("log_vote_rate", "Natural logarithm of (1 + votes) per day of age, 60 days added; after release only."),
    _number("popularity", "Target, not a feature: popularity as of as_of.", 0),
    _number("vote_average", "Target, not a feature: mean vote as of as_of.", 0, 10),
    comment="One row per film: its features as of a moment, and the targets.",
)

training_state = Table(
    "training_state",
    metadata,
    Column("step", Text, primary_key=True, comment="A step of learning: `features`, a model, `predictions`."),
    _text("fingerprint", "Digest of the part of the catalogue that the step has used."),
    _instant("completed_at", "When the step last ended."),
    comment="What each step of a training last processed: with an equal fingerprint, it has nothing to do.",
)

# -- models: fitted, scored, versioned ---------------------------------------------------------------------------------

model_versions = Table(
    "model_versions",
    metadata,
    Column("model_version", Text, primary_key=True, comment="Digest of name, algorithm, data and seed."),
    _text("model_name", "Asset it belongs to, like `popularity_after_release`."),
    _text("algorithm", "Which candidate it is, like `blend`."),
    _instant("trained_at", "When it was first fitted."),
    Column("training_rows", Integer, nullable=False, info={"range": (1, None)}, comment="Films it was fitted on."),
    _text("data_fingerprint", "Digest of the training rows."),
    Column("metrics", JSONB, nullable=False, comment="Its metrics per split on later films."),
    Column("baseline_metrics", JSONB, nullable=False, comment="The baselines' metrics on the same films."),
    Column("importance", JSONB, comment="Permutation importance by feature, on later films."),
    Column("library_versions", JSONB, nullable=False, comment="Versions the artifact was written with."),
    _flag("is_champion", "True for the one version that predicts.", nullable=False),
    Column("artifact", LargeBinary, comment="The fitted pipeline, by skops; NULL for a version that is retired."),
    Index("uq_model_versions_champion", "model_name", unique=True, postgresql_where="is_champion"),
    Index(None, "model_name", "trained_at"),
    comment="Every version that has been champion, with its metrics and those of the baselines.",
)

# -- predictions: with intervals, later compared with outcomes ---------------------------------------------------------

model_predictions = Table(
    "model_predictions",
    metadata,
    Column("predicted_at", DateTime(timezone=True), primary_key=True, comment="The batch: when it was predicted."),
    _movie_id(),
    _text("stage", "`before_release` or `after_release`."),
    _number("predicted_popularity", "Expected popularity.", 0),
    _number("popularity_lower", "Lower end of its 80 % interval.", 0),
    _number("popularity_upper", "Upper end of its 80 % interval.", 0),
    _number("predicted_vote_average", "Expected mean vote.", 0, 10),
    _number("vote_average_lower", "Lower end of its 80 % interval.", 0, 10),
    _number("vote_average_upper", "Upper end of its 80 % interval.", 0, 10),
    _number(
        "top_1_percent_probability",
        "Chance that an upcoming film will be among the 1 % of films that are most popular; NULL: it is out.",
        0,
        1,
    ),
    _number("rating_7_probability", "Chance that the mean vote of such a film is 7 or more.", 0, 1),
    _number("actual_popularity", "Popularity as it stood at predicted_at."),
    _number("actual_vote_average", "Mean vote as it stood at predicted_at."),
    Column("actual_vote_count", Integer, comment="Votes as they stood at predicted_at."),
    Column("popularity_model_version", Text, comment="Version that predicted popularity."),
    Column("vote_average_model_version", Text, comment="Version that predicted the mean vote."),
    Index(None, "tmdb_id", "predicted_at"),
    comment="Predictions by batch; a batch is written only when a champion or the data changed.",
)

prediction_explanations = Table(
    "prediction_explanations",
    metadata,
    _movie_id(),
    Column("target", Text, primary_key=True, comment="What is predicted: `popularity` or `vote_average`."),
    _horizon("Days ahead of a forecast; 0: an expectation."),
    _instant("explained_at", "When it was predicted, or the day whose snapshot is the newest one used."),
    _text("model_version", "Version that predicted."),
    _number("base", "Mean prediction of all films: the logarithm of popularity or of its change, or a rating."),
    Column("parts", JSONB, nullable=False, comment="Largest contributions as [label, effect]; base + effects add up."),
    comment="What contributed most to the newest predictions and forecasts; older ones have no explanation.",
)

prediction_outcomes = Table(
    "prediction_outcomes",
    metadata,
    Column("predicted_at", DateTime(timezone=True), primary_key=True, comment="The batch that predicted."),
    _movie_id(),
    Column("outcome_date", Date, primary_key=True, comment="Partition: the day of the snapshot it is compared with."),
    _text(
        "horizon", "`1d`, `7d`, `30d` after a prediction of a released film; `release`, `release_7d`, `release_30d`."
    ),
    _text("stage", "Stage of the prediction."),
    _number("predicted_popularity", "The prediction."),
    _number("popularity_lower", "Lower end of its interval."),
    _number("popularity_upper", "Upper end of its interval."),
    _number("no_change_popularity", "Popularity when it was predicted, which is the forecast of no change."),
    _number("outcome_popularity", "Popularity in the snapshot."),
    _number("popularity_error", "outcome_popularity − predicted_popularity."),
    _flag("is_popularity_in_interval", "Whether the outcome is within the interval."),
    _number("predicted_vote_average", "The prediction."),
    _number("vote_average_lower", "Lower end of its interval."),
    _number("vote_average_upper", "Upper end of its interval."),
    _number("no_change_vote_average", "Mean vote when it was predicted."),
    _number("outcome_vote_average", "Mean vote in the snapshot; NULL: not listed that day."),
    Column("outcome_vote_count", Integer, comment="Votes in the snapshot; NULL: not listed that day."),
    _number("vote_average_error", "outcome_vote_average − predicted_vote_average."),
    _flag("is_vote_average_in_interval", "Whether the outcome is within the interval."),
    Column("popularity_model_version", Text, comment="Version that predicted popularity."),
    Column("vote_average_model_version", Text, comment="Version that predicted the mean vote."),
    Index(None, "outcome_date"),
    comment="Earlier predictions compared with a later day's snapshot; range-partitioned by month of outcome_date.",
    postgresql_partition_by="RANGE (outcome_date)",
)

rating_class = Table(
    "rating_class",
    metadata,
    _movie_id(),
    _instant("predicted_at", "When it was classified."),
    _flag("is_high_rated", "Whether its mean vote reaches the training films' median; NULL: too few votes."),
    _flag("predicted_is_high_rated", "The predicted class.", nullable=False),
    _number("high_rated_probability", "Probability of a high rating.", 0, 1, nullable=False),
    _text("model_version", "Version that classified."),
    comment="High or low rating, as classified from what is known before release.",
)

movie_clusters = Table(
    "movie_clusters",
    metadata,
    _movie_id(),
    _instant("clustered_at", "When it was grouped."),
    Column("cluster", SmallInteger, nullable=False, comment="Number of the group; 0 is the largest."),
    _text("cluster_name", "What stands out in the group, in words."),
    _number("distance", "Distance from the group's center.", 0, nullable=False),
    comment="Groups of similar films.",
)

similar_movies = Table(
    "similar_movies",
    metadata,
    _movie_id(),
    Column("rank", SmallInteger, primary_key=True, autoincrement=False, comment="1: the nearest film."),
    Column("similar_tmdb_id", BigInteger, nullable=False, comment="TMDB's movie id of the film it resembles."),
    _number("score", "Similarity: 1 for the same texts, people and collection.", 0, 1, nullable=False),
    comment="The films nearest to each film, by overview, keywords, genres, people and collection.",
)

# -- forecasts: from the daily history, later compared with it ---------------------------------------------------------

popularity_forecasts = Table(
    "popularity_forecasts",
    metadata,
    Column("made_on", Date, primary_key=True, comment="Partition: the UTC day whose snapshot is the newest one used."),
    _movie_id(),
    _horizon(),
    Column("target_date", Date, nullable=False, comment="The day that is forecast: made_on + horizon_days."),
    _number("origin_popularity", "Popularity on made_on, which is also the forecast of no change.", 0, nullable=False),
    _number("forecast_popularity", "Popularity forecast for target_date.", 0, nullable=False),
    _number("popularity_lower", "Lower end of its 80 % interval.", 0, nullable=False),
    _number("popularity_upper", "Upper end of its 80 % interval.", 0, nullable=False),
    _number(
        "rise_probability",
        "Chance of popularity above origin_popularity; NULL: a backtest, or too early.",
        0,
        1,
    ),
    _flag("is_backtest", "Made afterward for a past day, with nothing later than that day.", nullable=False),
    _text("model_version", "Version that forecast."),
    comment="Popularity of every film some days ahead; range-partitioned by month of made_on.",
    postgresql_partition_by="RANGE (made_on)",
)

forecast_scores = Table(
    "forecast_scores",
    metadata,
    Column("made_on", Date, primary_key=True, comment="The day the forecasts were made on."),
    _horizon(),
    *_scores(),
    comment="How one day's forecasts at one horizon compare with the outcomes; `forecast_accuracy` sums them up.",
)

forecast_group_scores = Table(
    "forecast_group_scores",
    metadata,
    Column("made_on", Date, primary_key=True, comment="The day the forecasts were made on."),
    _horizon(),
    Column("dimension", Text, primary_key=True, comment="`votes` as last observed, `language` or `stage`."),
    Column("category", Text, primary_key=True, comment="The group, like `10 to 99`, `en` or `before release`."),
    *_scores(),
    comment="How one day's forecasts of a group of films at one horizon compare with the outcomes.",
)

forecast_calls = Table(
    "forecast_calls",
    metadata,
    Column("made_on", Date, primary_key=True, comment="The day the forecast was made on."),
    _movie_id(),
    _horizon(),
    Column("target_date", Date, nullable=False, comment="The day that was forecast."),
    _flag("is_backtest", "Whether the forecast was made afterward.", nullable=False),
    _number("origin_popularity", "Popularity on made_on.", 0, nullable=False),
    _number("forecast_popularity", "The forecast.", 0, nullable=False),
    _number("popularity_lower", "Lower end of its 80 % interval.", 0, nullable=False),
    _number("popularity_upper", "Upper end of its 80 % interval.", 0, nullable=False),
    _number("outcome_popularity", "Popularity on target_date.", 0, nullable=False),
    _number("gain", "Absolute error of no change less that of the forecast.", nullable=False),
    Index(None, "horizon_days", "gain"),
    comment="The ten best and the ten worst forecasts of each day and horizon, compared with no change.",
)

# -- movers: how popularity changed, and what is unusual about it ------------------------------------------------------

movie_movers = Table(
    "movie_movers",
    metadata,
    Column("snapshot_date", Date, primary_key=True, comment="Partition: the UTC day on which the change ends."),
    _movie_id(),
    Column("span_days", SmallInteger, primary_key=True, autoincrement=False, comment="Days the change took: 1, 7, 30."),
    _number("popularity", "Popularity on snapshot_date.", 0, nullable=False),
    _number("popularity_before", "Popularity span_days earlier.", 0, nullable=False),
    _number("popularity_usual", "Popularity if it had changed like the median similar film.", 0, nullable=False),
    Column("popularity_rank", Integer, nullable=False, info={"range": (1, None)}, comment="Rank that day; 1: highest."),
    Column(
        "popularity_rank_before", Integer, nullable=False, info={"range": (1, None)}, comment="Rank span_days earlier."
    ),
    _number(
        "change_percentile",
        "Share of earlier changes of films of its level and age that were smaller, after removing what was common to "
        "them on a day; NULL: too few changes.",
        0,
        1,
    ),
    _flag("is_own_record", "Larger than all the film's changes that ended before it began; NULL: too few changes."),
    _number(
        "breakout_score",
        "change_percentile, lowered where more similar films than usual rose; NULL unless it is a rise into the day's "
        "top tenth, larger than the film's earlier ones.",
        0,
        1,
    ),
    _flag("is_breakout", "Whether breakout_score is 0.99 or more.", nullable=False),
    Index("ix_movie_movers_breakouts", "tmdb_id", "snapshot_date", postgresql_where="is_breakout"),
    comment="Changes of popularity over 1, 7 and 30 days; range-partitioned by month of snapshot_date.",
    postgresql_partition_by="RANGE (snapshot_date)",
)

BY_MONTH = {
    movie_snapshots: "snapshot_date",
    popularity_forecasts: "made_on",
    movie_movers: "snapshot_date",
    prediction_outcomes: "outcome_date",
}
"""The tables that are partitioned by month, and the date column that decides the month."""

TABLES: dict[str, Table] = dict(metadata.tables)
"""Every table by its qualified name, which is also its asset's key: `movies`, `raw.movie_details`."""
