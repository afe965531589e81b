"""A film's releases by country and its watch options, from parts of its details document."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping
from typing import Any

from horror_pipeline.transform.json_values import members, names

RELEASE_KINDS = {1: "premiere", 2: "limited", 3: "theatrical", 4: "digital", 5: "physical", 6: "tv"}
"""Kinds of releases by TMDB's number."""

OFFERS = {"flatrate": "subscription", "free": "free", "ads": "with ads", "rent": "rent", "buy": "buy"}
"""Kinds of offers by TMDB's name, which is also JustWatch's."""

_COUNTRY = re.compile(r"[A-Z]{2}")
_DAY = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2})(T.*)?", re.DOTALL)


def releases(part: Mapping[str, Any] | None) -> dict[str, dict[str, str]] | None:
    """Return the first day, in ISO 8601, by country and kind of release; None if TMDB did not send this part."""
    if part is None:
        return None
    by_country: dict[str, dict[str, str]] = {}
    for of_country in members(part, "results"):
        country = of_country.get("iso_3166_1")
        if not isinstance(country, str) or not _COUNTRY.fullmatch(country):
            continue
        for release in members(of_country, "release_dates"):
            number, day = release.get("type"), _day(release.get("release_date"))
            kind = RELEASE_KINDS.get(number) if isinstance(number, int) else None
            if kind is not None and day is not None:
                kinds = by_country.setdefault(country, {})
                kinds[kind] = min(day, kinds.get(kind, day))
    return by_country


def watch_options(part: Mapping[str, Any] | None) -> dict[str, dict[str, list[str]]] | None:
    """Return the services by country and kind of offer; None if TMDB did not send this part."""
    if part is None:
        return None
    results = part.get("results")
    by_country = {}
    for country, offers in results.items() if isinstance(results, Mapping) else ():
        if _COUNTRY.fullmatch(country) and isinstance(offers, Mapping):
            services = {kind: names(members(offers, name), "provider_name") for name, kind in OFFERS.items()}
            if offered := {kind: listed for kind, listed in services.items() if listed}:
                by_country[country] = offered
    return by_country


def _day(value: object) -> str | None:
    match = _DAY.fullmatch(value) if isinstance(value, str) else None
    try:
        return dt.date.fromisoformat(match[1]).isoformat() if match else None
    except ValueError:
        return None
