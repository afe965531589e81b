"""First schema: the tables of `raw`, the core, features, models and predictions, and the view `latest_predictions`."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# A batch holds every film there is, so the newest batch is each film's newest prediction: two index look-ups, where
# a DISTINCT ON would read every batch ever written.
LATEST_PREDICTIONS = """
CREATE VIEW latest_predictions AS
WITH newest AS (
    SELECT * FROM model_predictions WHERE predicted_at = (SELECT max(predicted_at) FROM model_predictions)
)
SELECT
    newest.tmdb_id,
    movies.title,
    movies.release_date,
    movies.genres,
    newest.predicted_at,
    newest.stage,
    newest.predicted_popularity,
    newest.popularity_lower,
    newest.popularity_upper,
    newest.predicted_vote_average,
    newest.vote_average_lower,
    newest.vote_average_upper,
    newest.actual_popularity,
    newest.actual_vote_average,
    newest.actual_vote_count,
    newest.popularity_model_version,
    newest.vote_average_model_version,
    CASE WHEN newest.actual_vote_count >= source.gap_min_votes THEN
        (newest.actual_popularity - newest.predicted_popularity)
        / nullif(newest.popularity_upper - newest.popularity_lower, 0)
    END AS popularity_gap,
    CASE WHEN newest.actual_vote_count >= source.gap_min_votes THEN
        (newest.actual_vote_average - newest.predicted_vote_average)
        / nullif(newest.vote_average_upper - newest.vote_average_lower, 0)
    END AS rating_gap
FROM newest
JOIN movies USING (tmdb_id)
CROSS JOIN (SELECT coalesce(max(gap_min_votes), 50) AS gap_min_votes FROM data_source) AS source
WHERE movies.gone_at IS NULL
"""

COMMENTS = (
    "COMMENT ON VIEW latest_predictions IS 'The newest prediction of every film that still exists.'",
    "COMMENT ON COLUMN latest_predictions.popularity_gap IS "
    "'Actual less predicted popularity, in widths of its 80 % interval; NULL: too few votes (gap_min_votes).'",
    "COMMENT ON COLUMN latest_predictions.rating_gap IS "
    "'Actual less predicted mean vote, in widths of its 80 % interval; NULL: too few votes (gap_min_votes).'",
)


def _create_data_source() -> None:
    op.create_table(
        "data_source",
        sa.Column("is_demo", sa.Boolean(), nullable=False, comment="True: every row came from the made-up TMDB."),
        sa.Column("api_url", sa.Text(), nullable=False, comment="Base URL first collected from."),
        sa.Column(
            "first_used_at", sa.DateTime(timezone=True), nullable=False, comment="When this database was first filled."
        ),
        sa.Column(
            "gap_min_votes",
            sa.Integer(),
            server_default="50",
            nullable=False,
            comment="Votes a film needs before `latest_predictions` calls it under- or over-valued.",
        ),
        sa.PrimaryKeyConstraint("is_demo", name=op.f("pk_data_source")),
        comment="Where this database's data comes from: one row. Demo and TMDB data never mix.",
    )


def _create_model_predictions() -> None:
    op.create_table(
        "model_predictions",
        sa.Column(
            "predicted_at", sa.DateTime(timezone=True), nullable=False, comment="The batch: when it was predicted."
        ),
        sa.Column("tmdb_id", sa.BigInteger(), autoincrement=False, nullable=False, comment="TMDB's movie id."),
        sa.Column("stage", sa.Text(), nullable=False, comment="`before_release` or `after_release`."),
        sa.Column("predicted_popularity", sa.Double(), nullable=True, comment="Expected popularity."),
        sa.Column("popularity_lower", sa.Double(), nullable=True, comment="Lower end of its 80 % interval."),
        sa.Column("popularity_upper", sa.Double(), nullable=True, comment="Upper end of its 80 % interval."),
        sa.Column("predicted_vote_average", sa.Double(), nullable=True, comment="Expected mean vote."),
        sa.Column("vote_average_lower", sa.Double(), nullable=True, comment="Lower end of its 80 % interval."),
        sa.Column("vote_average_upper", sa.Double(), nullable=True, comment="Upper end of its 80 % interval."),
        sa.Column("actual_popularity", sa.Double(), nullable=True, comment="Popularity as it stood at predicted_at."),
        sa.Column("actual_vote_average", sa.Double(), nullable=True, comment="Mean vote as it stood at predicted_at."),
        sa.Column("actual_vote_count", sa.Integer(), nullable=True, comment="Votes as they stood at predicted_at."),
        sa.Column("popularity_model_version", sa.Text(), nullable=True, comment="Version that predicted popularity."),
        sa.Column(
            "vote_average_model_version", sa.Text(), nullable=True, comment="Version that predicted the mean vote."
        ),
        sa.PrimaryKeyConstraint("predicted_at", "tmdb_id", name=op.f("pk_model_predictions")),
        comment="Predictions by batch; a batch is written only when a champion or the data changed.",
    )
    op.create_index(op.f("ix_model_predictions_tmdb_id_predicted_at"), "model_predictions", ["tmdb_id", "predicted_at"])


def _create_model_versions() -> None:
    op.create_table(
        "model_versions",
        sa.Column(
            "model_version",
            sa.Text(),
            nullable=False,
            comment="Digest of name, algorithm, data and seed: same input, same id.",
        ),
        sa.Column(
            "model_name", sa.Text(), nullable=False, comment="Asset it belongs to, like `popularity_after_release`."
        ),
        sa.Column("algorithm", sa.Text(), nullable=False, comment="Which candidate it is, like `blend`."),
        sa.Column("trained_at", sa.DateTime(timezone=True), nullable=False, comment="When it was first fitted."),
        sa.Column("training_rows", sa.Integer(), nullable=False, comment="Films it was fitted on."),
        sa.Column("data_fingerprint", sa.Text(), nullable=False, comment="Digest of the training rows."),
        sa.Column("metrics", postgresql.JSONB(), nullable=False, comment="Its metrics per split on later films."),
        sa.Column(
            "baseline_metrics",
            postgresql.JSONB(),
            nullable=False,
            comment="The constant's and the linear regression's on the same films.",
        ),
        sa.Column(
            "importance",
            postgresql.JSONB(),
            nullable=True,
            comment="Permutation importance by feature, on later films.",
        ),
        sa.Column(
            "library_versions", postgresql.JSONB(), nullable=False, comment="Versions the artefact was written with."
        ),
        sa.Column("is_champion", sa.Boolean(), nullable=False, comment="True for the one version that predicts."),
        sa.Column(
            "artifact",
            sa.LargeBinary(),
            nullable=True,
            comment="The fitted pipeline, by skops; NULL once it predicts no more.",
        ),
        sa.PrimaryKeyConstraint("model_version", name=op.f("pk_model_versions")),
        comment="Every version that was champion: how good it was, beside the baselines.",
    )
    op.create_index(op.f("ix_model_versions_model_name_trained_at"), "model_versions", ["model_name", "trained_at"])
    op.create_index(
        "uq_model_versions_champion", "model_versions", ["model_name"], unique=True, postgresql_where="is_champion"
    )


def _create_movie_clusters() -> None:
    op.create_table(
        "movie_clusters",
        sa.Column("tmdb_id", sa.BigInteger(), autoincrement=False, nullable=False, comment="TMDB's movie id."),
        sa.Column("clustered_at", sa.DateTime(timezone=True), nullable=False, comment="When it was grouped."),
        sa.Column("cluster", sa.SmallInteger(), nullable=False, comment="Number of the group, by falling size from 0."),
        sa.Column("cluster_name", sa.Text(), nullable=False, comment="What stands out in the group, in words."),
        sa.Column("distance", sa.Double(), nullable=False, comment="Distance from the group's centre."),
        sa.PrimaryKeyConstraint("tmdb_id", name=op.f("pk_movie_clusters")),
        comment="Groups of similar films.",
    )


def _create_movie_features() -> None:
    op.create_table(
        "movie_features",
        sa.Column("tmdb_id", sa.BigInteger(), autoincrement=False, nullable=False, comment="TMDB's movie id."),
        sa.Column("as_of", sa.DateTime(timezone=True), nullable=False, comment="The moment the features describe."),
        sa.PrimaryKeyConstraint("tmdb_id", name=op.f("pk_movie_features")),
        comment="One row per film: what a model may know of it as of a moment.",
    )


def _create_movie_snapshots() -> None:
    op.create_table(
        "movie_snapshots",
        sa.Column("tmdb_id", sa.BigInteger(), autoincrement=False, nullable=False, comment="TMDB's movie id."),
        sa.Column("snapshot_date", sa.Date(), nullable=False, comment="The UTC day the values stand for."),
        sa.Column("popularity", sa.Double(), nullable=False, comment="TMDB's popularity that day."),
        sa.Column(
            "popularity_percentile",
            sa.Double(),
            nullable=False,
            comment="Share of that day's films with a popularity at most this one's, 0 to 1.",
        ),
        sa.Column(
            "vote_count", sa.Integer(), nullable=True, comment="Votes in that day's listing; NULL: not listed that day."
        ),
        sa.Column(
            "vote_average", sa.Double(), nullable=True, comment="Mean vote in that day's listing; NULL likewise."
        ),
        sa.Column("source", sa.Text(), nullable=False, comment="Where popularity came from: `export` or `listing`."),
        sa.Column("export_date", sa.Date(), nullable=True, comment="Date of the id export; NULL for `listing`."),
        sa.PrimaryKeyConstraint("tmdb_id", "snapshot_date", name=op.f("pk_movie_snapshots")),
        comment="One row per film and day; range-partitioned by month of snapshot_date.",
        postgresql_partition_by="RANGE (snapshot_date)",
    )
    op.create_index(op.f("ix_movie_snapshots_snapshot_date"), "movie_snapshots", ["snapshot_date"])


def _create_movies() -> None:
    op.create_table(
        "movies",
        sa.Column("tmdb_id", sa.BigInteger(), autoincrement=False, nullable=False, comment="TMDB's movie id."),
        sa.Column("imdb_id", sa.Text(), nullable=True, comment="IMDb id, like tt0084787."),
        sa.Column("title", sa.Text(), nullable=False, comment="Title in English where TMDB has one."),
        sa.Column("original_title", sa.Text(), nullable=True, comment="Title in the original language."),
        sa.Column("original_language", sa.Text(), nullable=True, comment="ISO 639-1 code."),
        sa.Column("overview", sa.Text(), nullable=True, comment="Plot summary."),
        sa.Column("tagline", sa.Text(), nullable=True, comment="Advertising line."),
        sa.Column("release_date", sa.Date(), nullable=True, comment="Primary release; NULL: not announced."),
        sa.Column("release_year", sa.SmallInteger(), nullable=True, comment="Year of the primary release."),
        sa.Column(
            "status", sa.Text(), nullable=True, comment="TMDB's production status, like Released or Post Production."
        ),
        sa.Column("runtime_minutes", sa.Integer(), nullable=True, comment="Length in minutes."),
        sa.Column("budget_usd", sa.BigInteger(), nullable=True, comment="Budget in US dollars."),
        sa.Column("revenue_usd", sa.BigInteger(), nullable=True, comment="Box office in US dollars."),
        sa.Column("collection_id", sa.BigInteger(), nullable=True, comment="TMDB's id of the series it belongs to."),
        sa.Column("collection_name", sa.Text(), nullable=True, comment="Name of that series."),
        sa.Column(
            "genres", postgresql.ARRAY(sa.Text()), nullable=False, comment="Genre names; Horror is always among them."
        ),
        sa.Column(
            "keywords", postgresql.ARRAY(sa.Text()), nullable=True, comment="TMDB's keywords; NULL: never received."
        ),
        sa.Column("directors", postgresql.ARRAY(sa.Text()), nullable=True, comment="Directors; NULL: never received."),
        sa.Column(
            "cast_names",
            postgresql.ARRAY(sa.Text()),
            nullable=True,
            comment="Leading cast in billing order; NULL: never received.",
        ),
        sa.Column("popularity", sa.Double(), nullable=True, comment="TMDB's popularity when last observed."),
        sa.Column("vote_average", sa.Double(), nullable=True, comment="Mean of TMDB's votes, 0 to 10; NULL: no votes."),
        sa.Column("vote_count", sa.Integer(), nullable=True, comment="Votes when last observed."),
        sa.Column("is_adult", sa.Boolean(), nullable=False, comment="TMDB's adult flag."),
        sa.Column("poster_path", sa.Text(), nullable=True, comment="Path of the poster at TMDB's image server."),
        sa.Column("backdrop_path", sa.Text(), nullable=True, comment="Path of the backdrop at TMDB's image server."),
        sa.Column(
            "first_seen_at",
            sa.DateTime(timezone=True),
            nullable=False,
            comment="When the film first entered this table.",
        ),
        sa.Column(
            "observed_at",
            sa.DateTime(timezone=True),
            nullable=False,
            comment="When popularity and votes were observed.",
        ),
        sa.Column(
            "details_fetched_at",
            sa.DateTime(timezone=True),
            nullable=False,
            comment="When the details document behind this row was read.",
        ),
        sa.Column(
            "gone_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="When TMDB first answered that the film no longer exists; NULL: it exists.",
        ),
        sa.PrimaryKeyConstraint("tmdb_id", name=op.f("pk_movies")),
        comment="Every known horror film, clean and typed.",
    )
    op.create_index(op.f("ix_movies_observed_at"), "movies", ["observed_at"])
    op.create_index(op.f("ix_movies_popularity"), "movies", ["popularity"])
    op.create_index(op.f("ix_movies_release_date"), "movies", ["release_date"])
    op.create_index(op.f("ix_movies_release_year"), "movies", ["release_year"])
    op.create_index(
        "ix_movies_title_search",
        "movies",
        [
            sa.literal_column(
                "to_tsvector('simple'::regconfig, (title || ' '::text) || COALESCE(original_title, ''::text))"
            )
        ],
        postgresql_using="gin",
    )


def _create_prediction_outcomes() -> None:
    op.create_table(
        "prediction_outcomes",
        sa.Column("predicted_at", sa.DateTime(timezone=True), nullable=False, comment="The batch that predicted."),
        sa.Column("tmdb_id", sa.BigInteger(), autoincrement=False, nullable=False, comment="TMDB's movie id."),
        sa.Column(
            "outcome_date", sa.Date(), nullable=False, comment="Partition: the day of the snapshot it is held against."
        ),
        sa.Column("horizon", sa.Text(), nullable=False, comment="`1d`, `7d`, `30d` or `release`."),
        sa.Column("stage", sa.Text(), nullable=False, comment="Stage of the prediction."),
        sa.Column("predicted_popularity", sa.Double(), nullable=True, comment="What was predicted."),
        sa.Column("popularity_lower", sa.Double(), nullable=True, comment="Its interval's lower end."),
        sa.Column("popularity_upper", sa.Double(), nullable=True, comment="Its interval's upper end."),
        sa.Column("outcome_popularity", sa.Double(), nullable=True, comment="What the snapshot says."),
        sa.Column("popularity_error", sa.Double(), nullable=True, comment="outcome_popularity − predicted_popularity."),
        sa.Column("is_popularity_in_interval", sa.Boolean(), nullable=True, comment="Whether the interval held."),
        sa.Column("predicted_vote_average", sa.Double(), nullable=True, comment="What was predicted."),
        sa.Column("vote_average_lower", sa.Double(), nullable=True, comment="Its interval's lower end."),
        sa.Column("vote_average_upper", sa.Double(), nullable=True, comment="Its interval's upper end."),
        sa.Column(
            "outcome_vote_average",
            sa.Double(),
            nullable=True,
            comment="What the snapshot says; NULL: not listed that day.",
        ),
        sa.Column("outcome_vote_count", sa.Integer(), nullable=True, comment="Votes in the snapshot; NULL likewise."),
        sa.Column(
            "vote_average_error", sa.Double(), nullable=True, comment="outcome_vote_average − predicted_vote_average."
        ),
        sa.Column("is_vote_average_in_interval", sa.Boolean(), nullable=True, comment="Whether the interval held."),
        sa.Column("popularity_model_version", sa.Text(), nullable=True, comment="Version that predicted popularity."),
        sa.Column(
            "vote_average_model_version", sa.Text(), nullable=True, comment="Version that predicted the mean vote."
        ),
        sa.PrimaryKeyConstraint("predicted_at", "tmdb_id", "outcome_date", name=op.f("pk_prediction_outcomes")),
        comment="Earlier predictions held against a later day's snapshot.",
    )
    op.create_index(op.f("ix_prediction_outcomes_outcome_date"), "prediction_outcomes", ["outcome_date"])


def _create_rating_class() -> None:
    op.create_table(
        "rating_class",
        sa.Column("tmdb_id", sa.BigInteger(), autoincrement=False, nullable=False, comment="TMDB's movie id."),
        sa.Column("predicted_at", sa.DateTime(timezone=True), nullable=False, comment="When it was classified."),
        sa.Column(
            "is_high_rated",
            sa.Boolean(),
            nullable=True,
            comment="Whether its mean vote reaches the training films' median; NULL: too few votes.",
        ),
        sa.Column("predicted_is_high_rated", sa.Boolean(), nullable=False, comment="What the classifier says."),
        sa.Column("high_rated_probability", sa.Double(), nullable=False, comment="Its probability of high."),
        sa.Column("model_version", sa.Text(), nullable=False, comment="Version that classified."),
        sa.PrimaryKeyConstraint("tmdb_id", name=op.f("pk_rating_class")),
        comment="High or low rating, as classified from what is known before release.",
    )


def _create_discover_pages() -> None:
    op.create_table(
        "discover_pages",
        sa.Column("release_year", sa.SmallInteger(), nullable=False, comment="Partition: the release year swept."),
        sa.Column("listing", sa.Text(), nullable=False, comment="`released` or `upcoming`."),
        sa.Column(
            "sweep",
            sa.SmallInteger(),
            nullable=False,
            comment="1 for the first pass, 2… for passes over a short slice.",
        ),
        sa.Column("slice_start_date", sa.Date(), nullable=False, comment="First release date of the slice."),
        sa.Column("page", sa.SmallInteger(), nullable=False, comment="Page number, 1 to 500."),
        sa.Column("slice_end_date", sa.Date(), nullable=True, comment="Last release date of the slice; NULL: open."),
        sa.Column("payload", postgresql.JSONB(), nullable=False, comment="The page as received."),
        sa.Column("fetched_at", sa.DateTime(timezone=True), nullable=False, comment="When the page was received."),
        sa.PrimaryKeyConstraint(
            "release_year", "listing", "sweep", "slice_start_date", "page", name=op.f("pk_discover_pages")
        ),
        schema="raw",
        comment="The latest sweep of each release year's horror listing.",
    )


def _create_movie_changes() -> None:
    op.create_table(
        "movie_changes",
        sa.Column("change_date", sa.Date(), nullable=False, comment="Partition: the closed UTC day."),
        sa.Column("page", sa.SmallInteger(), nullable=False, comment="Page number, from 1."),
        sa.Column(
            "payload",
            postgresql.JSONB(),
            nullable=False,
            comment="The page as received: ids edited that day, all genres.",
        ),
        sa.Column("fetched_at", sa.DateTime(timezone=True), nullable=False, comment="When the page was received."),
        sa.PrimaryKeyConstraint("change_date", "page", name=op.f("pk_movie_changes")),
        schema="raw",
        comment="What TMDB edited or deleted, day by day. A day with a row is a day collected.",
    )


def _create_movie_details() -> None:
    op.create_table(
        "movie_details",
        sa.Column("tmdb_id", sa.BigInteger(), autoincrement=False, nullable=False, comment="TMDB's movie id."),
        sa.Column(
            "release_year", sa.SmallInteger(), nullable=False, comment="Partition: the year it was last listed under."
        ),
        sa.Column(
            "payload",
            postgresql.JSONB(),
            nullable=True,
            comment="The details document as received; NULL: gone before it was ever read.",
        ),
        sa.Column(
            "payload_hash",
            sa.Text(),
            nullable=True,
            comment="Digest of the document without popularity and votes: tells changed from unchanged.",
        ),
        sa.Column(
            "missing_parts",
            postgresql.ARRAY(sa.Text()),
            nullable=False,
            comment="Appended sub-objects never yet received; asked for again.",
        ),
        sa.Column(
            "fetched_at",
            sa.DateTime(timezone=True),
            nullable=False,
            comment="When the document was last read from TMDB (or found gone).",
        ),
        sa.Column(
            "changed_at",
            sa.DateTime(timezone=True),
            nullable=False,
            comment="When the document last differed from the one before.",
        ),
        sa.Column(
            "gone_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="When TMDB first answered that the film no longer exists; NULL: it exists.",
        ),
        sa.PrimaryKeyConstraint("tmdb_id", name=op.f("pk_movie_details")),
        schema="raw",
        comment="The newest details document, with credits and keywords, of every known film.",
    )
    op.create_index(op.f("ix_movie_details_release_year"), "movie_details", ["release_year"], schema="raw")


def _create_rejected_records() -> None:
    op.create_table(
        "rejected_records",
        sa.Column(
            "source_table",
            sa.Text(),
            nullable=False,
            comment="Table the record was read from, like `raw.movie_details`.",
        ),
        sa.Column(
            "record_key", sa.Text(), nullable=False, comment="The record's id there, or a digest where it has none."
        ),
        sa.Column(
            "release_year",
            sa.SmallInteger(),
            nullable=True,
            comment="Partition it was met in; NULL where there is none.",
        ),
        sa.Column("reason", sa.Text(), nullable=False, comment="Why it could not become a typed row."),
        sa.Column("payload", postgresql.JSONB(), nullable=False, comment="The record as received."),
        sa.Column("rejected_at", sa.DateTime(timezone=True), nullable=False, comment="When it was last rejected."),
        sa.PrimaryKeyConstraint("source_table", "record_key", name=op.f("pk_rejected_records")),
        schema="raw",
        comment="Records that could not be typed, each with its reason: nothing disappears.",
    )


def upgrade() -> None:
    """Create everything."""
    op.execute("CREATE SCHEMA IF NOT EXISTS raw")
    _create_data_source()
    _create_model_predictions()
    _create_model_versions()
    _create_movie_clusters()
    _create_movie_features()
    _create_movie_snapshots()
    _create_movies()
    _create_prediction_outcomes()
    _create_rating_class()
    _create_discover_pages()
    _create_movie_changes()
    _create_movie_details()
    _create_rejected_records()
    op.execute(LATEST_PREDICTIONS)
    for comment in COMMENTS:
        op.execute(comment)


def downgrade() -> None:
    """Drop everything."""
    op.execute("DROP VIEW latest_predictions")
    op.drop_table("rejected_records", schema="raw")
    op.drop_table("movie_details", schema="raw")
    op.drop_table("movie_changes", schema="raw")
    op.drop_table("discover_pages", schema="raw")
    op.drop_table("rating_class")
    op.drop_table("prediction_outcomes")
    op.drop_table("movies")
    op.drop_table("movie_snapshots")
    op.drop_table("movie_features")
    op.drop_table("movie_clusters")
    op.drop_table("model_versions")
    op.drop_table("model_predictions")
    op.drop_table("data_source")
    op.execute("DROP SCHEMA raw")
