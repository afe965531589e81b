"""The features of films as of a moment: their declaration, and their computation from rows of `movies`.

Nothing here is fitted to data: imputers, encoders and scalers are part of the models' pipelines.

Every feature follows these rules:

* It contains nothing of the film's future. A feature of stage `before_release` is computed from release date, genres,
  language, title, runtime and credits alone. It uses no votes, rating or popularity, and nothing that is added later
  because a film became known (posters, keywords, taglines and budgets). The one exception is the popularity that was
  observed before the release.
* Of earlier films of a director or collection, only their number and dates are used, and only if they were released
  strictly before the film and not after `as_of`. Their votes and popularity are not used, because only today's values
  are known, and these may reflect the success of the later film.
* TMDB's ids are not a feature, because they grow with time and with popularity.
* An unknown value is missing, never 0, and no feature indicates that something is missing.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from horror_pipeline.domain import GENRE_NAMES, Stage

Kind = Literal["number", "flag", "category", "history"]

GENRES = {f"is_{name.lower().replace(' ', '_')}": name for name in sorted(GENRE_NAMES.values(), key=str.lower)}
"""Genre name by feature name. Other genres count only toward `genre_count`."""

SEQUEL_TITLE = (
    r"(?i)(?:\b(?:[2-9]|1\d|ii|iii|iv|v|vi|vii|viii|ix|x)\b\s*(?:$|[:\-–])"
    r"|\b(?:part|chapter|volume|vol\.?|returns?|sequel)\b)"
)
SUBTITLE = r"[:–]|\s-\s"
DAYS_PER_YEAR = 365.25
NEW_FILM_DAYS = 60
"""Added to a film's age before dividing votes by it, because the rate of the first days is too noisy."""


@dataclass(frozen=True)
class Feature:
    """One column of `movie_features`.

    Args:
        name: column name, with the unit as suffix.
        kind: `number`, `flag` (0 or 1), `category` (text), or `history` (a number from the daily history, known
            only for films that are upcoming or were released since the history began).
        stage: the earliest stage at which the feature is known.
    """

    name: str
    kind: Kind
    stage: Stage


def _features(kind: Kind, stage: Stage, *names: str) -> tuple[Feature, ...]:
    return tuple(Feature(name, kind, stage) for name in names)


FEATURES: tuple[Feature, ...] = (
    *_features(
        "number",
        "before_release",
        "runtime_minutes",
        "release_year",
        "release_month",
        "release_decade",
        "release_weekday",
        "season_sin",
        "season_cos",
        "days_since_release",
        "genre_count",
        "title_length",
        "title_words",
        "director_earlier_films",
        "director_years_since_last",
        "collection_earlier_films",
        "collection_years_since_last",
    ),
    *_features(
        "flag",
        "before_release",
        "is_october",
        "is_summer",
        "is_holiday_season",
        "is_new_years_day",
        "is_english",
        "is_title_translated",
        "has_title_digit",
        "has_subtitle",
        "is_sequel_title",
        *GENRES,
    ),
    *_features("category", "before_release", "original_language"),
    *_features("history", "before_release", "prerelease_popularity"),
    *_features("number", "after_release", "vote_count", "log_vote_count", "log_vote_rate"),
)
"""Every feature, in the order of the columns of `movie_features`; comments in `warehouse/tables.py` explain them."""

FROM_DETAILS = (
    "runtime_minutes",
    "director_earlier_films",
    "director_years_since_last",
    "collection_earlier_films",
    "collection_years_since_last",
)
"""Features that come from a film's details, and are unknown for films of which only the listing was read."""

TARGETS = ("popularity", "vote_average")
"""What the models predict, as of the same moment as the features. No target is ever used as a feature."""


def feature_names(stage: Stage) -> list[str]:
    """Return the names of the features that a model of a stage may use, in order."""
    return [feature.name for feature in FEATURES if feature.stage == "before_release" or stage == "after_release"]


def build_features(movies: pd.DataFrame, as_of: dt.datetime) -> pd.DataFrame:
    """Compute every film's features as of a moment.

    Args:
        movies: one row per film: `tmdb_id`, `title`, `original_title`, `original_language`, `release_date`,
            `runtime_minutes`, `genres` (list), `directors` (list or None), `collection_id`, `vote_count`, `popularity`,
            `vote_average`, `prerelease_popularity` (the last popularity observed before the release).
        as_of: the moment at which votes and popularity were observed, with zone. Films released later are upcoming.

    Returns:
        One row per film, sorted by `release_date` (undated last) and `tmdb_id`: `tmdb_id`, `release_date`
        (datetime64), `stage`, a column per entry of `FEATURES`, and `TARGETS`. Numbers and flags are float64, NaN where
        unknown.
    """
    today = pd.Timestamp(as_of.astimezone(dt.UTC).date())
    films = movies.assign(release_date=pd.to_datetime(movies["release_date"], errors="coerce").astype("datetime64[s]"))
    films = films.sort_values(["release_date", "tmdb_id"], na_position="last").reset_index(drop=True)
    columns: dict[str, Any] = {
        "tmdb_id": films["tmdb_id"].astype("int64"),
        "release_date": films["release_date"],
        "stage": np.where(films["release_date"] <= today, "after_release", "before_release"),
        **_calendar(films["release_date"], today),
        **_genres(films["genres"]),
        **_titles(films),
        **_earlier_films(films, today),
    }
    columns |= _votes(films["vote_count"], columns["days_since_release"])
    columns |= {target: _number(films[target]) for target in TARGETS}
    columns["runtime_minutes"] = _number(films["runtime_minutes"]).where(lambda minutes: minutes > 0)
    columns["prerelease_popularity"] = _number(films["prerelease_popularity"])
    columns["original_language"] = (
        films["original_language"].astype("object").where(films["original_language"].notna(), None)
    )
    columns["is_english"] = films["original_language"].eq("en").fillna(False).astype("float64")
    frame = pd.DataFrame(columns)
    return frame[["tmdb_id", "release_date", "stage", *(feature.name for feature in FEATURES), *TARGETS]]


def build_listed_features(movies: pd.DataFrame, as_of: dt.datetime) -> pd.DataFrame:
    """Compute the features of films of which only the listing was read; features that come from details are NaN.

    Args:
        movies: as in `build_features`, without `runtime_minutes`, `directors`, `collection_id` and
            `prerelease_popularity`.
        as_of: as in `build_features`.
    """
    unknown = dict.fromkeys(("runtime_minutes", "directors", "collection_id", "prerelease_popularity"))
    frame = build_features(movies.assign(**unknown), as_of)
    return frame.assign(**dict.fromkeys(FROM_DETAILS, np.nan))


def _number(values: pd.Series) -> pd.Series:
    return pd.to_numeric(values, errors="coerce").astype("float64")


def _calendar(dates: pd.Series, today: pd.Timestamp) -> dict[str, pd.Series]:
    known, month = dates.notna(), dates.dt.month.astype("float64")
    angle = 2 * np.pi * (dates.dt.day_of_year.astype("float64") - 1) / DAYS_PER_YEAR
    year = dates.dt.year.astype("float64")
    flags = {
        "is_october": month.eq(10),
        "is_summer": month.isin([6, 7, 8]),
        "is_holiday_season": month.isin([11, 12]),
        "is_new_years_day": month.eq(1) & dates.dt.day.eq(1),
    }
    return {
        "release_year": year,
        "release_month": month,
        "release_decade": year // 10 * 10,
        "release_weekday": dates.dt.day_of_week.astype("float64"),
        "season_sin": np.sin(angle),
        "season_cos": np.cos(angle),
        "days_since_release": (today - dates).dt.days.astype("float64").clip(lower=0).fillna(0.0),
        **{name: flag.astype("float64").where(known) for name, flag in flags.items()},
    }


def _genres(genres: pd.Series) -> dict[str, pd.Series]:
    # Each distinct combination is processed once, because there are far fewer combinations than films.
    combination = genres.map(lambda names: tuple(names) if names is not None else ())
    codes, distinct = pd.factorize(combination)
    columns = {
        name: np.fromiter((genre in names for names in distinct), dtype="float64", count=len(distinct))
        for name, genre in GENRES.items()
    }
    columns["genre_count"] = np.fromiter((len(set(names)) for names in distinct), dtype="float64", count=len(distinct))
    return {name: pd.Series(values[codes], index=genres.index) for name, values in columns.items()}


def _titles(films: pd.DataFrame) -> dict[str, pd.Series]:
    title = films["title"].fillna("").astype("str")
    original = films["original_title"].fillna("").astype("str")
    flags = {
        "is_title_translated": original.ne("") & title.ne(original),
        "has_title_digit": title.str.contains(r"\d", regex=True),
        "has_subtitle": title.str.contains(SUBTITLE, regex=True),
        "is_sequel_title": title.str.contains(SEQUEL_TITLE, regex=True),
    }
    return {
        "title_length": title.str.len().astype("float64"),
        "title_words": (title.str.count(r"\s+") + 1).astype("float64"),
        **{name: flag.astype("float64") for name, flag in flags.items()},
    }


def _votes(votes: pd.Series, days: pd.Series) -> dict[str, pd.Series]:
    count = _number(votes)
    log_count = np.log1p(count.clip(lower=0))
    return {"vote_count": count, "log_vote_count": log_count, "log_vote_rate": log_count - np.log(days + NEW_FILM_DAYS)}


def _earlier_films(films: pd.DataFrame, today: pd.Timestamp) -> dict[str, pd.Series]:
    directors = films["directors"].map(lambda names: list(names) if names is not None and not _is_na(names) else [])
    columns: dict[str, pd.Series] = {}
    for prefix, makers in (("director", directors.explode()), ("collection", films["collection_id"])):
        count, years = _earlier_of(makers.dropna().astype("str"), films["release_date"], today)
        columns[f"{prefix}_earlier_films"] = count.reindex(films.index).fillna(0.0)
        columns[f"{prefix}_years_since_last"] = years.reindex(films.index)
    return columns


def _is_na(value: object) -> bool:
    return isinstance(value, float)  # a missing list reads as NaN


def _earlier_of(makers: pd.Series, dates: pd.Series, today: pd.Timestamp) -> tuple[pd.Series, pd.Series]:
    """Count the films that the same maker released strictly before each film, and the years since the last of them.

    Args:
        makers: director or collection, indexed by film; of several directors, the highest count and the fewest years
            are returned.
        dates: release dates, indexed by film.
        today: films released after this day are only announced, and are not counted.
    """
    links = pd.DataFrame({"film": makers.index, "maker": makers.to_numpy(), "date": dates.loc[makers.index].to_numpy()})
    released = links[links["date"] <= today].sort_values("date", kind="stable")
    released = released.assign(count=released.groupby("maker").cumcount() + 1.0, last=released["date"])
    moment = links["date"].where(links["date"] <= today, today + pd.Timedelta(days=1))
    queries = links.assign(date=moment.astype(dates.dtype), own=links["date"].fillna(today)).sort_values(
        "date", kind="stable"
    )
    found = pd.merge_asof(
        queries, released[["date", "maker", "count", "last"]], on="date", by="maker", allow_exact_matches=False
    )
    found["years"] = (found["own"] - found["last"]).dt.days / DAYS_PER_YEAR
    by_film = found.groupby("film")
    return by_film["count"].max(), by_film["years"].min()
