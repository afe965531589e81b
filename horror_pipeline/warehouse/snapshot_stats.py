"""Statistics of `movie_snapshots` that show whether a day can be trusted: row counts, coverage, and scale."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from sqlalchemy import Connection, text

HIGHEST_SCALE_RATIO = 2.0
"""The scale of popularity has changed if the median film's ratio between two days is above this or below its inverse.
On ordinary days that median is within a few percent of 1; in March 2025 it fell to a tenth and less."""

FEWEST_FILMS = 20
"""The median ratio is used only if at least this many films have a popularity on both days."""

LONGEST_GAP_DAYS = 7
"""Days further apart than this are not compared."""

SAMPLED_FILMS = 1_000


@dataclass(frozen=True)
class DayFigures:
    """Statistics of a day of history, and of the stored day before it.

    Attributes:
        day: the day.
        rows: number of rows of the day.
        previous_day: the stored day before, at most `LONGEST_GAP_DAYS` earlier; None if there is none.
        previous_rows: number of rows of the previous day.
        compared_films: films with a popularity above 0 on both days.
        scale_ratio: median of the films' popularity divided by that of the previous day; None without films to compare.
        covered_films: existing films that have a row on the day.
        existing_films: films in `movies` that are not gone.
    """

    day: dt.date
    rows: int
    previous_day: dt.date | None
    previous_rows: int
    compared_films: int
    scale_ratio: float | None
    covered_films: int
    existing_films: int

    @property
    def is_scale_broken(self) -> bool:
        """Whether popularity is on another scale than on the stored day before."""
        return (
            self.scale_ratio is not None
            and self.compared_films >= FEWEST_FILMS
            and not 1 / HIGHEST_SCALE_RATIO <= self.scale_ratio <= HIGHEST_SCALE_RATIO
        )


_FIGURES = text("""
    WITH previous AS (
        SELECT max(snapshot_date) AS day FROM movie_snapshots
        WHERE snapshot_date < :day AND snapshot_date >= :earliest
    ),
    now AS MATERIALIZED (SELECT tmdb_id, popularity FROM movie_snapshots WHERE snapshot_date = :day),
    before AS MATERIALIZED (
        SELECT tmdb_id, popularity FROM movie_snapshots
        WHERE snapshot_date = (SELECT day FROM previous) AND snapshot_date < :day AND snapshot_date >= :earliest
    ),
    scale AS (
        SELECT count(*) AS films,
               percentile_cont(0.5) WITHIN GROUP (ORDER BY now.popularity / before.popularity) AS ratio
        FROM now JOIN before USING (tmdb_id) WHERE now.popularity > 0 AND before.popularity > 0
    )
    SELECT (SELECT count(*) FROM now) AS rows, (SELECT day FROM previous) AS previous_day,
           (SELECT count(*) FROM before) AS previous_rows, scale.films AS compared_films, scale.ratio AS scale_ratio,
           (SELECT count(*) FROM movies JOIN now USING (tmdb_id) WHERE gone_at IS NULL) AS covered_films,
           (SELECT count(*) FROM movies WHERE gone_at IS NULL) AS existing_films
    FROM scale
""")


def day_figures(connection: Connection, day: dt.date) -> DayFigures:
    """Return the statistics of one day."""
    earliest = day - dt.timedelta(days=LONGEST_GAP_DAYS)
    return DayFigures(day, *connection.execute(_FIGURES, {"day": day, "earliest": earliest}).one())


def future_rows(connection: Connection, today: dt.date) -> int:
    """Count the rows of days after the present UTC day."""
    query = text("SELECT count(*) FROM movie_snapshots WHERE snapshot_date > :today")
    return int(connection.execute(query, {"today": today}).scalar_one())


def latest_scale_break(connection: Connection) -> dt.date | None:
    """Return the first day on the newest popularity scale; None if the scale never changed.

    Models must not learn from popularities of both scales. The query reads a fixed-size sample of films through the
    primary key's index, so its time hardly grows with the catalog.
    """
    query = text("""
        WITH sample AS (SELECT tmdb_id FROM movies ORDER BY hashint8(tmdb_id) LIMIT :films),
        step AS (
            SELECT snapshot_date, popularity / lag(popularity) OVER film AS ratio
            FROM sample JOIN movie_snapshots USING (tmdb_id) WHERE popularity > 0
            WINDOW film AS (PARTITION BY tmdb_id ORDER BY snapshot_date)
        )
        SELECT snapshot_date FROM step WHERE ratio IS NOT NULL
        GROUP BY snapshot_date
        HAVING count(*) >= :fewest
           AND NOT percentile_cont(0.5) WITHIN GROUP (ORDER BY ratio) BETWEEN 1 / :highest AND :highest
        ORDER BY snapshot_date DESC LIMIT 1
    """)
    values = {"films": SAMPLED_FILMS, "fewest": FEWEST_FILMS, "highest": HIGHEST_SCALE_RATIO}
    day: dt.date | None = connection.execute(query, values).scalar()
    return day
