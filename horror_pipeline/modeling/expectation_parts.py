"""Explanations of expectations: which groups of inputs contribute most to a film's prediction, in words."""

from __future__ import annotations

import calendar
import datetime as dt
from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from horror_pipeline.modeling.artifacts import Artifact
from horror_pipeline.modeling.explanation import Film, explain, in_words, out_for
from horror_pipeline.modeling.specs import MODELS, PRERELEASE, RUNTIME, Floats, ModelSpec
from horror_pipeline.modeling.training import Champion

LOWEST_POPULARITY = 0.01
"""A lower popularity counts as this before taking the logarithm, which differs hugely between tiny values."""

BACKGROUND_FILMS = 2

GROUPS: dict[str, tuple[str, ...]] = {
    "season": (
        *("release_month", "release_weekday", "season_sin", "season_cos"),
        *("is_october", "is_summer", "is_holiday_season", "is_new_years_day"),
    ),
    "age": ("release_year", "release_decade", "days_since_release"),
    "language": ("original_language", "is_english", "is_title_translated"),
    "title": ("title_length", "title_words", "has_title_digit", "has_subtitle"),
    "series": ("is_sequel_title", "collection_earlier_films", "collection_years_since_last"),
    "director": ("director_earlier_films", "director_years_since_last"),
    "length": (RUNTIME,),
    "popularity before release": (PRERELEASE,),
    "votes": ("vote_count", "log_vote_count", "log_vote_rate"),
    "genres": (),
}
"""Inputs of the same subject form a group. Inputs that are not named here are genres."""

LANGUAGES = {
    "cn": "Cantonese",
    "da": "Danish",
    "de": "German",
    "en": "English",
    "es": "Spanish",
    "fi": "Finnish",
    "fr": "French",
    "hi": "Hindi",
    "id": "Indonesian",
    "it": "Italian",
    "ja": "Japanese",
    "ko": "Korean",
    "ml": "Malayalam",
    "nl": "Dutch",
    "no": "Norwegian",
    "pl": "Polish",
    "pt": "Portuguese",
    "ru": "Russian",
    "sv": "Swedish",
    "ta": "Tamil",
    "te": "Telugu",
    "th": "Thai",
    "tl": "Tagalog",
    "tr": "Turkish",
    "zh": "Chinese",
}
"""English names of the languages that most horror films are made in, by TMDB's code."""


def explain_batch(films: pd.DataFrame, champions: Mapping[str, Champion | None], now: dt.datetime) -> pd.DataFrame:
    """Explain the predictions of a batch.

    Args:
        films: rows of `movie_features`.
        champions: the champion of each model; a model without a usable champion has predicted nothing.
        now: the batch's `predicted_at`.

    Returns:
        Rows of `prediction_explanations`.
    """
    explained = []
    for name, champion in champions.items():
        spec = MODELS[name]
        rows = films[films["stage"] == spec.stage]
        if champion is not None and champion.artifact is not None and len(rows):
            found = explain_expectations(spec, champion.artifact, rows)
            key = {"tmdb_id": rows["tmdb_id"], "target": spec.target, "model_version": champion.model_version}
            explained.append(found.assign(**key))
    none = pd.DataFrame(columns=["tmdb_id", "target", "model_version", "base", "parts"])
    return pd.concat(explained or [none], ignore_index=True).assign(horizon_days=0, explained_at=now)


def explain_expectations(spec: ModelSpec, artifact: Artifact, films: pd.DataFrame) -> pd.DataFrame:
    """Explain why each film's prediction differs from the mean prediction of all the films.

    Args:
        spec: the model.
        artifact: its champion.
        films: rows of `movie_features`, at least one, all of the model's stage.

    Returns:
        A frame with the index of `films`: `base`, and `parts`, which is a list of labels with their effects. Base and
        effects add up to the prediction of a rating, or to the logarithm of a predicted popularity.
    """
    preprocessor, estimator = artifact.estimator[0], artifact.estimator[-1]

    def value(rows: Floats) -> Floats:
        return scaled(spec, np.asarray(estimator.predict(rows), dtype="float64"))

    rows, columns = preprocessor.transform(films[artifact.features]), columns_of(preprocessor.inputs.preprocessed_names)
    with threadpool_limits(limits=1):
        base, parts = explain(value, rows, list(columns.values()), BACKGROUND_FILMS)
        named = in_words(base, parts, value(rows), films, [WORDS[name] for name in columns])
    return pd.DataFrame({"base": base, "parts": named}, index=films.index)


def scaled(spec: ModelSpec, predicted: Floats) -> Floats:
    """Return predictions on the scale on which parts add up: the logarithm of a popularity, or the rating itself."""
    within = spec.clip(predicted)
    return np.log(np.maximum(within, LOWEST_POPULARITY)) if spec.is_popularity else within


def columns_of(preprocessed_names: list[str]) -> dict[str, list[int]]:
    """Return the positions of each group's columns among the preprocessed ones; groups without columns are left out."""
    group_of = {name: group for group, names in GROUPS.items() for name in names}
    columns: dict[str, list[int]] = {name: [] for name in GROUPS}
    for place, name in enumerate(preprocessed_names):
        category = name.rpartition("_")[0]
        columns[group_of.get(name) or group_of.get(category, "genres")].append(place)
    return {name: places for name, places in columns.items() if places}


def _season(film: Film) -> str:
    if np.isnan(film["release_month"]):
        return "no release date yet"
    if film["is_new_years_day"] == 1:
        return "out on 1 January, or on a day not known"
    return f"out in {calendar.month_name[int(film['release_month'])]}"


def _age(film: Film) -> str:
    days = film["days_since_release"]
    if np.isnan(days) or days == 0:
        return "not out yet" if film["stage"] == "before_release" else "just out"
    return out_for(days)


def _language(film: Film) -> str:
    code = film["original_language"]
    if not isinstance(code, str):
        return "language unknown"
    return f"in {LANGUAGES[code]}" if code in LANGUAGES else f"in the language {code}"


def _title(film: Film) -> str:
    words = film["title_words"]
    return "its title" if np.isnan(words) else f"title of {words:.0f} {'word' if words == 1 else 'words'}"


def _series(film: Film) -> str:
    if film["collection_earlier_films"] > 0:
        return f"part {film['collection_earlier_films'] + 1:.0f} of a series"
    return "titled like a sequel" if film["is_sequel_title"] == 1 else "no sequel"


def _director(film: Film) -> str:
    count = film["director_earlier_films"]
    if not count > 0:
        return "no earlier film by its director in the catalogue"
    return f"{count:.0f} earlier {'film' if count == 1 else 'films'} by its director in the catalogue"


def _length(film: Film) -> str:
    return "length unknown" if np.isnan(film[RUNTIME]) else f"{film[RUNTIME]:.0f} minutes long"


def _before_release(film: Film) -> str:
    popularity = film[PRERELEASE]
    return "popularity before release unknown" if np.isnan(popularity) else f"a popularity of {popularity:,.1f} so far"


def _votes(film: Film) -> str:
    count = film["vote_count"]
    return "no votes" if not count > 0 else f"{count:,.0f} {'vote' if count == 1 else 'votes'}"


_NO_GENRES = {name for names in GROUPS.values() for name in names}


def _genres(film: Film) -> str:
    flags = [name for name, value in film.items() if value == 1 and name[:3] == "is_" and name not in _NO_GENRES]
    genres = [name.removeprefix("is_").replace("_", " ") for name in flags]
    others = ", ".join(genre for genre in genres if genre != "horror")
    if "horror" not in genres:
        return others or "no genre known"
    return f"horror with {others}" if others else "horror alone"


WORDS: dict[str, Callable[[Film], str]] = {
    "season": _season,
    "age": _age,
    "language": _language,
    "title": _title,
    "series": _series,
    "director": _director,
    "length": _length,
    "popularity before release": _before_release,
    "votes": _votes,
    "genres": _genres,
}
"""Functions that put a film's values into words, by group of inputs."""
