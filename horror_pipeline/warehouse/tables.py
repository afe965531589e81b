"""One declaration per table: the source of the migrations, of the assets' column schemas and of their checks.

What belongs here: columns, types, keys, comments (what a column means, its unit, when it is NULL) and value ranges.
What does not: SQL that reads or writes, and anything of Dagster.

Unknown is NULL, never 0 or ''. Units stand in suffixes (`_minutes`, `_usd`), booleans start with `is_`,
dates end in `_date`, instants (UTC, timestamptz) in `_at`. A column's `info={"range": (low, high)}` states what a value
can be (None: open on that side) and becomes an asset check.
"""

from __future__ import annotations

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

metadata = MetaData(
    naming_convention={"ix": "ix_%(table_name)s_%(column_0_N_name)s", "pk": "pk_%(table_name)s"},
)

VOTE_RANGE = (0, 10)


def _instant(name: str, comment: str, *, nullable: bool = False) -> Column[object]:
    return Column(name, DateTime(timezone=True), nullable=nullable, comment=comment)


data_source = Table(
    "data_source",
    metadata,
    Column("is_demo", Boolean, primary_key=True, comment="True: every row came from the made-up TMDB."),
    Column("api_url", Text, nullable=False, comment="Base URL first collected from."),
    _instant("first_used_at", "When this database was first filled."),
    Column(
        "gap_min_votes",
        Integer,
        nullable=False,
        server_default="50",
        comment="Votes a film needs before `latest_predictions` calls it under- or over-valued.",
    ),
    comment="Where this database's data comes from: one row. Demo and TMDB data never mix.",
)

# -- raw: as TMDB said it ----------------------------------------------------------------------------------------------

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
    Column("tmdb_id", BigInteger, primary_key=True, autoincrement=False, comment="TMDB's movie id."),
    Column(
        "release_year",
        SmallInteger,
        nullable=False,
        index=True,
        comment="Partition: the year it was last listed under.",
    ),
    Column("payload", JSONB, comment="The details document as received; NULL: gone before it was ever read."),
    Column(
        "payload_hash",
        Text,
        comment="Digest of the document without popularity and votes: tells changed from unchanged.",
    ),
    Column(
        "missing_parts",
        ARRAY(Text),
        nullable=False,
        comment="Appended sub-objects never yet received; asked for again.",
    ),
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
    comment="What TMDB edited or deleted, day by day. A day with a row is a day collected.",
)

rejected_records = Table(
    "rejected_records",
    metadata,
    Column("source_table", Text, primary_key=True, comment="Table the record was read from, like `raw.movie_details`."),
    Column("record_key", Text, primary_key=True, comment="The record's id there, or a digest where it has none."),
    Column("release_year", SmallInteger, comment="Partition it was met in; NULL where there is none."),
    Column("reason", Text, nullable=False, comment="Why it could not become a typed row."),
    Column("payload", JSONB, nullable=False, comment="The record as received."),
    _instant("rejected_at", "When it was last rejected."),
    schema="raw",
    comment="Records that could not be typed, each with its reason: nothing disappears.",
)

# -- core: typed, one meaning per column -------------------------------------------------------------------------------

movies = Table(
    "movies",
    metadata,
    Column("tmdb_id", BigInteger, primary_key=True, autoincrement=False, comment="TMDB's movie id."),
    Column("imdb_id", Text, comment="IMDb id, like tt0084787."),
    Column("title", Text, nullable=False, comment="Title in English where TMDB has one."),
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
    Column("genres", ARRAY(Text), nullable=False, comment="Genre names; Horror is always among them."),
    Column("keywords", ARRAY(Text), comment="TMDB's keywords; NULL: never received."),
    Column("directors", ARRAY(Text), comment="Directors; NULL: never received."),
    Column("cast_names", ARRAY(Text), comment="Leading cast in billing order; NULL: never received."),
    Column("popularity", Double, info={"range": (0, None)}, comment="TMDB's popularity when last observed."),
    Column(
        "vote_average", Double, info={"range": VOTE_RANGE}, comment="Mean of TMDB's votes, 0 to 10; NULL: no votes."
    ),
    Column("vote_count", Integer, info={"range": (0, None)}, comment="Votes when last observed."),
    Column("is_adult", Boolean, nullable=False, comment="TMDB's adult flag."),
    Column("poster_path", Text, comment="Path of the poster at TMDB's image server."),
    Column("backdrop_path", Text, comment="Path of the backdrop at TMDB's image server."),
    _instant("first_seen_at", "When the film first entered this table."),
    _instant("observed_at", "When popularity and votes were observed."),
    _instant("details_fetched_at", "When the details document behind this row was read."),
    _instant("gone_at", "When TMDB first answered that the film no longer exists; NULL: it exists.", nullable=True),
    Index(None, "release_year"),
    Index(None, "release_date"),
    Index(None, "popularity"),
    Index(None, "observed_at"),
    Index(
        "ix_movies_title_search",
        text("to_tsvector('simple'::regconfig, (title || ' '::text) || COALESCE(original_title, ''::text))"),
        postgresql_using="gin",
    ),
    comment="Every known horror film, clean and typed.",
)

movie_snapshots = Table(
    "movie_snapshots",
    metadata,
    Column("tmdb_id", BigInteger, primary_key=True, autoincrement=False, comment="TMDB's movie id."),
    Column("snapshot_date", Date, primary_key=True, comment="The UTC day the values stand for."),
    Column("popularity", Double, nullable=False, info={"range": (0, None)}, comment="TMDB's popularity that day."),
    Column(
        "popularity_percentile",
        Double,
        nullable=False,
        info={"range": (0, 1)},
        comment="Share of that day's films with a popularity at most this one's, 0 to 1.",
    ),
    Column(
        "vote_count",
        Integer,
        info={"range": (0, None)},
        comment="Votes in that day's listing; NULL: not listed that day.",
    ),
    Column(
        "vote_average", Double, info={"range": VOTE_RANGE}, comment="Mean vote in that day's listing; NULL likewise."
    ),
    Column("source", Text, nullable=False, comment="Where popularity came from: `export` or `listing`."),
    Column("export_date", Date, comment="Date of the id export; NULL for `listing`."),
    Index(None, "snapshot_date"),
    comment="One row per film and day; range-partitioned by month of snapshot_date.",
    postgresql_partition_by="RANGE (snapshot_date)",
)

# -- features: as of a moment, nothing from its future -----------------------------------------------------------------

movie_features = Table(
    "movie_features",
    metadata,
    Column("tmdb_id", BigInteger, primary_key=True, autoincrement=False, comment="TMDB's movie id; never a feature."),
    _instant("as_of", "The moment the features describe."),
    Column("release_date", Date, comment="Primary release; NULL: not announced."),
    Column("stage", Text, nullable=False, comment="`before_release` or `after_release`, as of as_of."),
    Column("runtime_minutes", Double, info={"range": (1, 1000)}, comment="Length in minutes; NULL: unknown."),
    Column("release_year", Double, comment="Year of the primary release."),
    Column("release_month", Double, info={"range": (1, 12)}, comment="Month of the primary release, 1 to 12."),
    Column("release_decade", Double, comment="First year of the release's decade."),
    Column("release_weekday", Double, info={"range": (0, 6)}, comment="Weekday of the release, Monday 0 to Sunday 6."),
    Column("season_sin", Double, info={"range": (-1, 1)}, comment="Sine of the release's place in the year."),
    Column("season_cos", Double, info={"range": (-1, 1)}, comment="Cosine of the release's place in the year."),
    Column(
        "days_since_release", Double, info={"range": (0, None)}, comment="Days from release to as_of; 0: not out yet."
    ),
    Column("genre_count", Double, info={"range": (0, None)}, comment="Number of genres, Horror included."),
    Column("title_length", Double, info={"range": (0, None)}, comment="Characters of the title."),
    Column("title_words", Double, info={"range": (0, None)}, comment="Words of the title."),
    Column(
        "director_earlier_films",
        Double,
        info={"range": (0, None)},
        comment="Horror films its busiest director released strictly earlier.",
    ),
    Column(
        "director_years_since_last",
        Double,
        info={"range": (0, None)},
        comment="Years since its directors' last earlier film; NULL: none known.",
    ),
    Column(
        "collection_earlier_films",
        Double,
        info={"range": (0, None)},
        comment="Films of its collection released strictly earlier.",
    ),
    Column(
        "collection_years_since_last",
        Double,
        info={"range": (0, None)},
        comment="Years since its collection's last earlier film; NULL: none known.",
    ),
    Column("is_october", Boolean, comment="Released in October."),
    Column("is_summer", Boolean, comment="Released in June, July or August."),
    Column("is_holiday_season", Boolean, comment="Released in November or December."),
    Column("is_new_years_day", Boolean, comment="Released on 1 January, which is also how an unknown day is written."),
    Column("is_english", Boolean, comment="The original language is English."),
    Column("is_title_translated", Boolean, comment="The title differs from the original title."),
    Column("has_title_digit", Boolean, comment="The title holds a digit."),
    Column("has_subtitle", Boolean, comment="The title has a part after a colon or dash."),
    Column("is_sequel_title", Boolean, comment="The title looks like a sequel's: Part, Chapter, a number at its end."),
    Column("is_action", Boolean, comment="Its genres include Action."),
    Column("is_adventure", Boolean, comment="Its genres include Adventure."),
    Column("is_animation", Boolean, comment="Its genres include Animation."),
    Column("is_comedy", Boolean, comment="Its genres include Comedy."),
    Column("is_crime", Boolean, comment="Its genres include Crime."),
    Column("is_documentary", Boolean, comment="Its genres include Documentary."),
    Column("is_drama", Boolean, comment="Its genres include Drama."),
    Column("is_family", Boolean, comment="Its genres include Family."),
    Column("is_fantasy", Boolean, comment="Its genres include Fantasy."),
    Column("is_history", Boolean, comment="Its genres include History."),
    Column("is_music", Boolean, comment="Its genres include Music."),
    Column("is_mystery", Boolean, comment="Its genres include Mystery."),
    Column("is_romance", Boolean, comment="Its genres include Romance."),
    Column("is_science_fiction", Boolean, comment="Its genres include Science Fiction."),
    Column("is_thriller", Boolean, comment="Its genres include Thriller."),
    Column("is_tv_movie", Boolean, comment="Its genres include TV Movie."),
    Column("is_war", Boolean, comment="Its genres include War."),
    Column("is_western", Boolean, comment="Its genres include Western."),
    Column("original_language", Text, comment="ISO 639-1 code."),
    Column("vote_count", Double, info={"range": (0, None)}, comment="Votes as of as_of; after release only."),
    Column(
        "log_vote_count",
        Double,
        info={"range": (0, None)},
        comment="Natural logarithm of 1 + votes; after release only.",
    ),
    Column(
        "log_vote_rate",
        Double,
        comment="Natural logarithm of (1 + votes) per day of age, 60 days added; after release only.",
    ),
    Column("popularity", Double, info={"range": (0, None)}, comment="Target, not a feature: popularity as of as_of."),
    Column("vote_average", Double, info={"range": VOTE_RANGE}, comment="Target, not a feature: mean vote as of as_of."),
    comment="One row per film: what a model may know of it as of a moment, and what it is to predict.",
)

training_state = Table(
    "training_state",
    metadata,
    Column("step", Text, primary_key=True, comment="A step of learning: `features`, a model, `predictions`."),
    Column("fingerprint", Text, nullable=False, comment="What of the catalogue the step has seen, in short."),
    _instant("completed_at", "When the step last ended."),
    comment="How far learning has come: equal fingerprints mean there is nothing new to learn from.",
)

# -- models: fitted, scored, versioned ---------------------------------------------------------------------------------

model_versions = Table(
    "model_versions",
    metadata,
    Column(
        "model_version",
        Text,
        primary_key=True,
        comment="Digest of name, algorithm, data and seed: same input, same id.",
    ),
    Column("model_name", Text, nullable=False, comment="Asset it belongs to, like `popularity_after_release`."),
    Column("algorithm", Text, nullable=False, comment="Which candidate it is, like `blend`."),
    _instant("trained_at", "When it was first fitted."),
    Column("training_rows", Integer, nullable=False, info={"range": (1, None)}, comment="Films it was fitted on."),
    Column("data_fingerprint", Text, nullable=False, comment="Digest of the training rows."),
    Column("metrics", JSONB, nullable=False, comment="Its metrics per split on later films."),
    Column(
        "baseline_metrics",
        JSONB,
        nullable=False,
        comment="The constant's and the linear regression's on the same films.",
    ),
    Column("importance", JSONB, comment="Permutation importance by feature, on later films."),
    Column("library_versions", JSONB, nullable=False, comment="Versions the artefact was written with."),
    Column("is_champion", Boolean, nullable=False, comment="True for the one version that predicts."),
    Column("artifact", LargeBinary, comment="The fitted pipeline, by skops; NULL once it predicts no more."),
    Index("uq_model_versions_champion", "model_name", unique=True, postgresql_where="is_champion"),
    Index(None, "model_name", "trained_at"),
    comment="Every version that was champion: how good it was, beside the baselines.",
)

# -- predictions: with intervals, later held against what happened -----------------------------------------------------

model_predictions = Table(
    "model_predictions",
    metadata,
    Column("predicted_at", DateTime(timezone=True), primary_key=True, comment="The batch: when it was predicted."),
    Column("tmdb_id", BigInteger, primary_key=True, autoincrement=False, comment="TMDB's movie id."),
    Column("stage", Text, nullable=False, comment="`before_release` or `after_release`."),
    Column("predicted_popularity", Double, info={"range": (0, None)}, comment="Expected popularity."),
    Column("popularity_lower", Double, info={"range": (0, None)}, comment="Lower end of its 80 % interval."),
    Column("popularity_upper", Double, info={"range": (0, None)}, comment="Upper end of its 80 % interval."),
    Column("predicted_vote_average", Double, info={"range": VOTE_RANGE}, comment="Expected mean vote."),
    Column("vote_average_lower", Double, info={"range": VOTE_RANGE}, comment="Lower end of its 80 % interval."),
    Column("vote_average_upper", Double, info={"range": VOTE_RANGE}, comment="Upper end of its 80 % interval."),
    Column("actual_popularity", Double, comment="Popularity as it stood at predicted_at."),
    Column("actual_vote_average", Double, comment="Mean vote as it stood at predicted_at."),
    Column("actual_vote_count", Integer, comment="Votes as they stood at predicted_at."),
    Column("popularity_model_version", Text, comment="Version that predicted popularity."),
    Column("vote_average_model_version", Text, comment="Version that predicted the mean vote."),
    Index(None, "tmdb_id", "predicted_at"),
    comment="Predictions by batch; a batch is written only when a champion or the data changed.",
)

prediction_outcomes = Table(
    "prediction_outcomes",
    metadata,
    Column("predicted_at", DateTime(timezone=True), primary_key=True, comment="The batch that predicted."),
    Column("tmdb_id", BigInteger, primary_key=True, autoincrement=False, comment="TMDB's movie id."),
    Column("outcome_date", Date, primary_key=True, comment="Partition: the day of the snapshot it is held against."),
    Column("horizon", Text, nullable=False, comment="`1d`, `7d`, `30d` or `release`."),
    Column("stage", Text, nullable=False, comment="Stage of the prediction."),
    Column("predicted_popularity", Double, comment="What was predicted."),
    Column("popularity_lower", Double, comment="Its interval's lower end."),
    Column("popularity_upper", Double, comment="Its interval's upper end."),
    Column("outcome_popularity", Double, comment="What the snapshot says."),
    Column("popularity_error", Double, comment="outcome_popularity − predicted_popularity."),
    Column("is_popularity_in_interval", Boolean, comment="Whether the interval held."),
    Column("predicted_vote_average", Double, comment="What was predicted."),
    Column("vote_average_lower", Double, comment="Its interval's lower end."),
    Column("vote_average_upper", Double, comment="Its interval's upper end."),
    Column("outcome_vote_average", Double, comment="What the snapshot says; NULL: not listed that day."),
    Column("outcome_vote_count", Integer, comment="Votes in the snapshot; NULL likewise."),
    Column("vote_average_error", Double, comment="outcome_vote_average − predicted_vote_average."),
    Column("is_vote_average_in_interval", Boolean, comment="Whether the interval held."),
    Column("popularity_model_version", Text, comment="Version that predicted popularity."),
    Column("vote_average_model_version", Text, comment="Version that predicted the mean vote."),
    Index(None, "outcome_date"),
    comment="Earlier predictions held against a later day's snapshot.",
)

rating_class = Table(
    "rating_class",
    metadata,
    Column("tmdb_id", BigInteger, primary_key=True, autoincrement=False, comment="TMDB's movie id."),
    _instant("predicted_at", "When it was classified."),
    Column(
        "is_high_rated",
        Boolean,
        comment="Whether its mean vote reaches the training films' median; NULL: too few votes.",
    ),
    Column("predicted_is_high_rated", Boolean, nullable=False, comment="What the classifier says."),
    Column(
        "high_rated_probability", Double, nullable=False, info={"range": (0, 1)}, comment="Its probability of high."
    ),
    Column("model_version", Text, nullable=False, comment="Version that classified."),
    comment="High or low rating, as classified from what is known before release.",
)

movie_clusters = Table(
    "movie_clusters",
    metadata,
    Column("tmdb_id", BigInteger, primary_key=True, autoincrement=False, comment="TMDB's movie id."),
    _instant("clustered_at", "When it was grouped."),
    Column("cluster", SmallInteger, nullable=False, comment="Number of the group, by falling size from 0."),
    Column("cluster_name", Text, nullable=False, comment="What stands out in the group, in words."),
    Column("distance", Double, nullable=False, info={"range": (0, None)}, comment="Distance from the group's centre."),
    comment="Groups of similar films.",
)

LATEST_PREDICTIONS_VIEW = "latest_predictions"

TABLES: dict[str, Table] = dict(metadata.tables)
"""Every table by its qualified name, which is also its asset's key: `movies`, `raw.movie_details`."""
