"""Every feature as a column of `movie_features`, what the models predict beside them, and how far learning has come."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

NUMBER, FLAG, TEXT, DATE = sa.Double, sa.Boolean, sa.Text, sa.Date

COLUMNS = (
    ("release_date", DATE, "Primary release; NULL: not announced."),
    ("stage", TEXT, "`before_release` or `after_release`, as of as_of."),
    ("runtime_minutes", NUMBER, "Length in minutes; NULL: unknown."),
    ("release_year", NUMBER, "Year of the primary release."),
    ("release_month", NUMBER, "Month of the primary release, 1 to 12."),
    ("release_decade", NUMBER, "First year of the release's decade."),
    ("release_weekday", NUMBER, "Weekday of the release, Monday 0 to Sunday 6."),
    ("season_sin", NUMBER, "Sine of the release's place in the year."),
    ("season_cos", NUMBER, "Cosine of the release's place in the year."),
    ("days_since_release", NUMBER, "Days from release to as_of; 0: not out yet."),
    ("genre_count", NUMBER, "Number of genres, Horror included."),
    ("title_length", NUMBER, "Characters of the title."),
    ("title_words", NUMBER, "Words of the title."),
    ("director_earlier_films", NUMBER, "Horror films its busiest director released strictly earlier."),
    ("director_years_since_last", NUMBER, "Years since its directors' last earlier film; NULL: none known."),
    ("collection_earlier_films", NUMBER, "Films of its collection released strictly earlier."),
    ("collection_years_since_last", NUMBER, "Years since its collection's last earlier film; NULL: none known."),
    ("is_october", FLAG, "Released in October."),
    ("is_summer", FLAG, "Released in June, July or August."),
    ("is_holiday_season", FLAG, "Released in November or December."),
    ("is_new_years_day", FLAG, "Released on 1 January, which is also how an unknown day is written."),
    ("is_english", FLAG, "The original language is English."),
    ("is_title_translated", FLAG, "The title differs from the original title."),
    ("has_title_digit", FLAG, "The title holds a digit."),
    ("has_subtitle", FLAG, "The title has a part after a colon or dash."),
    ("is_sequel_title", FLAG, "The title looks like a sequel's: Part, Chapter, a number at its end."),
    ("is_action", FLAG, "Its genres include Action."),
    ("is_adventure", FLAG, "Its genres include Adventure."),
    ("is_animation", FLAG, "Its genres include Animation."),
    ("is_comedy", FLAG, "Its genres include Comedy."),
    ("is_crime", FLAG, "Its genres include Crime."),
    ("is_documentary", FLAG, "Its genres include Documentary."),
    ("is_drama", FLAG, "Its genres include Drama."),
    ("is_family", FLAG, "Its genres include Family."),
    ("is_fantasy", FLAG, "Its genres include Fantasy."),
    ("is_history", FLAG, "Its genres include History."),
    ("is_music", FLAG, "Its genres include Music."),
    ("is_mystery", FLAG, "Its genres include Mystery."),
    ("is_romance", FLAG, "Its genres include Romance."),
    ("is_science_fiction", FLAG, "Its genres include Science Fiction."),
    ("is_thriller", FLAG, "Its genres include Thriller."),
    ("is_tv_movie", FLAG, "Its genres include TV Movie."),
    ("is_war", FLAG, "Its genres include War."),
    ("is_western", FLAG, "Its genres include Western."),
    ("original_language", TEXT, "ISO 639-1 code."),
    ("vote_count", NUMBER, "Votes as of as_of; after release only."),
    ("log_vote_count", NUMBER, "Natural logarithm of 1 + votes; after release only."),
    ("log_vote_rate", NUMBER, "Natural logarithm of (1 + votes) per day of age, 60 days added; after release only."),
    ("popularity", NUMBER, "Target, not a feature: popularity as of as_of."),
    ("vote_average", NUMBER, "Target, not a feature: mean vote as of as_of."),
)

COMMENT_BEFORE = "One row per film: what a model may know of it as of a moment."
COMMENT = "One row per film: what a model may know of it as of a moment, and what it is to predict."


def upgrade() -> None:
    """Add the columns; the features are made anew by the next run."""
    op.execute("DELETE FROM movie_features")
    op.alter_column("movie_features", "tmdb_id", comment="TMDB's movie id; never a feature.")
    op.create_table_comment("movie_features", COMMENT, existing_comment=COMMENT_BEFORE)
    for name, kind, comment in COLUMNS:
        op.add_column("movie_features", sa.Column(name, kind(), nullable=name != "stage", comment=comment))
    op.create_table(
        "training_state",
        sa.Column("step", sa.Text(), nullable=False, comment="A step of learning: `features`, a model, `predictions`."),
        sa.Column(
            "fingerprint", sa.Text(), nullable=False, comment="What of the catalogue the step has seen, in short."
        ),
        sa.Column("completed_at", sa.DateTime(timezone=True), nullable=False, comment="When the step last ended."),
        sa.PrimaryKeyConstraint("step", name=op.f("pk_training_state")),
        comment="How far learning has come: equal fingerprints mean there is nothing new to learn from.",
    )


def downgrade() -> None:
    """Take the columns away again."""
    op.drop_table("training_state")
    for name, _, _ in reversed(COLUMNS):
        op.drop_column("movie_features", name)
    op.create_table_comment("movie_features", COMMENT_BEFORE, existing_comment=COMMENT)
    op.alter_column("movie_features", "tmdb_id", comment="TMDB's movie id.")
