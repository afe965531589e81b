"""Invented films in the shapes of TMDB's API and exports.

As at TMDB, an unknown date or text is "", an unknown image, id or series is null, and an unknown runtime, budget or
revenue is 0. The demo has no images: every path is null.
"""

from __future__ import annotations

import datetime as dt
from functools import lru_cache
from json import JSONEncoder
from typing import Any

from horror_pipeline.demo import daily_state
from horror_pipeline.demo.catalogue import GENRES, LANGUAGES, Film, Person


def overview(film: Film, day: dt.date) -> str:
    """Return the plot, marked as invented, with a version number that counts the edits of the record."""
    return f"{film.plot} Invented for the demo, version {1 + daily_state.edits(film, day)}." if film.plot else ""


def row(film: Film, day: dt.date, seed: int) -> dict[str, Any]:
    """Return a result of /discover/movie."""
    votes = daily_state.vote_count(film, day)
    return {
        "adult": False,
        "backdrop_path": None,
        "genre_ids": list(film.genre_ids),
        "id": film.id,
        "original_language": film.language,
        "original_title": film.original_title,
        "overview": overview(film, day),
        "popularity": daily_state.popularity(film, day, seed),
        "poster_path": None,
        "release_date": film.release_date.isoformat() if film.release_date else "",
        "softcore": False,
        "title": film.title,
        "video": False,
        "vote_average": daily_state.vote_average(film, votes),
        "vote_count": votes,
    }


def details(film: Film, day: dt.date, seed: int, append: list[str]) -> dict[str, Any]:
    """Return the body of /movie/{id} with the sub-objects asked for; unknown names are ignored, as TMDB does."""
    body = row(film, day, seed)
    del body["genre_ids"]
    is_released = daily_state.status(film, day) == "Released"
    _, language, country, country_name = LANGUAGES[film.language]
    body |= {
        "belongs_to_collection": _series(film),
        "budget": film.budget_usd,
        "genres": [{"id": genre, "name": GENRES[genre]} for genre in film.genre_ids],
        "homepage": "",
        "imdb_id": _imdb_id(film),
        "origin_country": [country],
        "production_companies": [],
        "production_countries": [{"iso_3166_1": country, "name": country_name}],
        "revenue": int(film.budget_usd * (1 + film.reach)) if is_released and film.reach > 0 else 0,
        "runtime": film.runtime_minutes if is_released or film.is_runtime_known_early else 0,
        "spoken_languages": [{"english_name": language, "iso_639_1": film.language, "name": language}],
        "status": daily_state.status(film, day),
        "tagline": film.tagline,
    }
    for part in append:
        if part in _PARTS:
            body[part] = _PARTS[part](film)
    if "watch/providers" in append:
        body["watch/providers"] = {"results": {country: _offers(film)} if is_released else {}}
    return body


def export_line(film: Film, day: dt.date, seed: int) -> bytes:
    """Return a line of a day's id export, made from a template because 90 days have hundreds of thousands of lines."""
    line = '{"adult":false,"id":%d,"original_title":%s,"popularity":%s,"video":false}'
    return (line % (film.id, _quoted(film.original_title), daily_state.popularity(film, day, seed))).encode()


_quoted = lru_cache(maxsize=1 << 13)(JSONEncoder(ensure_ascii=False).encode)


def change(film: Film, today: dt.date) -> dict[str, Any]:
    """Return a result of /movie/changes; null flags mean that the record is gone."""
    flag = None if daily_state.is_gone(film, today) else False
    return {"id": film.id, "adult": flag, "softcore": flag}


def _imdb_id(film: Film) -> str | None:
    """Return an id of IMDb's form that IMDb does not use."""
    return f"tt{film.id}" if film.has_imdb_id else None


def _series(film: Film) -> dict[str, Any] | None:
    if film.series is None:
        return None
    name = f"{film.series.title} Collection"
    return {"id": film.series.id, "name": name, "poster_path": None, "backdrop_path": None}


def _credits(film: Film) -> dict[str, Any]:
    cast = [
        _person(person)
        | {"character": "Victim" if place else "Self-Appointed Hero", "order": place, "cast_id": place + 1}
        for place, person in enumerate(film.cast)
    ]
    crew = [_person(person) | {"department": "Directing", "job": "Director"} for person in film.directors]
    crew.append(_person(film.directors[0]) | {"department": "Writing", "job": "Writer"})
    return {"cast": cast, "crew": crew}


def _person(person: Person) -> dict[str, Any]:
    return {
        "adult": False,
        "credit_id": f"demo{person.id}",
        "gender": person.gender,
        "id": person.id,
        "name": person.name,
        "original_name": person.name,
        "popularity": round(0.5 + 2.0 ** (person.draw + 0.5), 4),
        "profile_path": None,
    }


def _keywords(film: Film) -> dict[str, Any]:
    return {"keywords": [{"id": number, "name": word} for number, word in film.keywords]}


def _release_dates(film: Film) -> dict[str, Any]:
    """Return the dates of the release in theaters and of the digital release 60 days later, in the film's country."""
    days = {3: film.release_date, 4: film.release_date + dt.timedelta(days=60)} if film.release_date else {}
    dates = [
        {"certification": "", "descriptors": [], "iso_639_1": "", "note": "", "type": kind}
        | {"release_date": f"{day}T00:00:00.000Z"}
        for kind, day in days.items()
    ]
    return {"results": [{"iso_3166_1": LANGUAGES[film.language][2], "release_dates": dates}] if dates else []}


def _offers(film: Film) -> dict[str, Any]:
    service = {"logo_path": None, "provider_id": 9_000_001, "provider_name": "Crypt & Chill", "display_priority": 1}
    return {"link": "", ("flatrate", "rent", "buy")[film.id % 3]: [service]}


_PARTS = {
    "credits": _credits,
    "keywords": _keywords,
    "release_dates": _release_dates,
}
