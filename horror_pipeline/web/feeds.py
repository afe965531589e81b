"""Feeds and files for other programs: a calendar, an Atom feed, and a list for Radarr.

Ids, times and order come from stored data and never from the clock, so they are the same whenever a feed is read again.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from xml.etree import ElementTree

from fastapi import APIRouter
from sqlalchemy import text
from starlette.responses import JSONResponse, Response

from horror_pipeline.web import mover_queries, wording
from horror_pipeline.web.database import read_rows
from horror_pipeline.web.endpoints import Sources

DAYS_KEPT = 30
"""Days that a film stays in the calendar after its release."""

LINE_BYTES = 75
UNPRINTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\ufffe\uffff]")

_UPCOMING = text("""
    SELECT tmdb_id, title, movies.release_date, overview, genres, noted_at, moves
    FROM movies CROSS JOIN LATERAL (
        SELECT max(noted_at) AS noted_at, count(*) - 1 AS moves FROM release_date_changes AS change
        WHERE change.tmdb_id = movies.tmdb_id
    ) AS changes
    WHERE movies.release_date >= :first AND gone_at IS NULL AND noted_at IS NOT NULL
    ORDER BY movies.release_date, tmdb_id LIMIT 2000
""")

# Radarr has two list types that read this: "Custom Lists" reads `id`, "StevenLu Custom" reads `title` and `imdb_id`.
_ANTICIPATED = text("""
    SELECT tmdb_id AS id, title, imdb_id
    FROM latest_predictions JOIN (SELECT tmdb_id, imdb_id FROM movies) AS movie USING (tmdb_id)
    WHERE stage = 'before_release' AND imdb_id ~ '^tt[0-9]+$' AND release_date >= :today
    ORDER BY predicted_popularity DESC NULLS LAST, tmdb_id LIMIT 100
""")


def router(sources: Sources) -> APIRouter:
    """Create the routes below `/feeds/`."""
    routes = APIRouter(include_in_schema=False, prefix="/feeds")

    @routes.get("/upcoming.ics")
    async def upcoming() -> Response:
        first = sources.today - timedelta(days=DAYS_KEPT)
        rows = await sources.database.run(lambda connection: read_rows(connection, _UPCOMING, first=first))
        return Response(calendar(rows), media_type="text/calendar; charset=utf-8")

    @routes.get("/breakouts.atom")
    async def breakouts() -> Response:
        rows = await sources.database.run(mover_queries.breakouts)
        return Response(atom(rows), media_type="application/atom+xml; charset=utf-8")

    @routes.get("/radarr.json")
    async def radarr() -> Response:
        rows = await sources.database.run(lambda connection: read_rows(connection, _ANTICIPATED, today=sources.today))
        return JSONResponse(rows)

    return routes


# -- the calendar ------------------------------------------------------------------------------------------------------


def calendar(films: Iterable[Mapping[str, Any]]) -> bytes:
    """Write releases as an iCalendar of all-day events; one that moved has a higher SEQUENCE and a later DTSTAMP."""
    lines = ["BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//horror_pipeline//releases//EN", "CALSCALE:GREGORIAN"]
    lines += ["METHOD:PUBLISH", "X-WR-CALNAME:Horror releases", "REFRESH-INTERVAL;VALUE=DURATION:P1D"]
    for film in films:
        lines += _event(film)
    lines.append("END:VCALENDAR")
    return "".join(f"{folded}\r\n" for line in lines for folded in _folded(line)).encode()


def _event(film: Mapping[str, Any]) -> Iterator[str]:
    yield "BEGIN:VEVENT"
    yield f"UID:movie-{film['tmdb_id']}@horror-pipeline"
    yield f"DTSTAMP:{film['noted_at'].astimezone(UTC):%Y%m%dT%H%M%SZ}"
    yield f"SEQUENCE:{film['moves']}"
    yield f"DTSTART;VALUE=DATE:{film['release_date']:%Y%m%d}"
    yield f"SUMMARY:{_escaped(film['title'])}"
    if film["overview"]:
        yield f"DESCRIPTION:{_escaped(film['overview'])}"
    yield f"CATEGORIES:{','.join(_escaped(genre) for genre in film['genres']) or 'Horror'}"
    yield "TRANSP:TRANSPARENT"
    yield "END:VEVENT"


def _escaped(value: str) -> str:
    value = UNPRINTABLE.sub(" ", value).replace("\\", "\\\\").replace(";", "\\;").replace(",", "\\,")
    return value.replace("\r\n", "\\n").replace("\n", "\\n").replace("\r", "\\n")


def _folded(line: str) -> Iterator[str]:
    """Break a line between characters into pieces of at most `LINE_BYTES`; all but the first begin with a space."""
    piece = ""
    for character in line:
        if len((piece + character).encode()) > LINE_BYTES:
            yield piece
            piece = " "
        piece += character
    yield piece


# -- the feed ----------------------------------------------------------------------------------------------------------


def atom(breakouts: list[dict[str, Any]]) -> bytes:
    """Write breakouts as an Atom feed, the newest first."""
    feed = ElementTree.Element("feed", xmlns="http://www.w3.org/2005/Atom")
    _add(feed, "id", "tag:horror-pipeline,2026:breakouts")
    _add(feed, "title", "Horror films that break out")
    _add(feed, "updated", _instant(max((row["snapshot_date"] for row in breakouts), default=date(1970, 1, 1))))
    _add(_add(feed, "author"), "name", "horror_pipeline")
    _add(feed, "link", rel="self", href="/feeds/breakouts.atom")
    for row in breakouts:
        entry = _add(feed, "entry")
        _add(entry, "id", f"tag:horror-pipeline,2026:breakout/{row['tmdb_id']}/{row['snapshot_date']}")
        _add(entry, "title", f"{row['title']}: {_change(row)}")
        _add(entry, "updated", _instant(row["snapshot_date"]))
        _add(entry, "link", href=f"/movies/{row['tmdb_id']}")
        share = wording.percentile(row["change_percentile"])
        _add(entry, "summary", f"{_change(row)}, larger than {share} of the changes of such films.")
    return bytes(ElementTree.tostring(feed, encoding="utf-8", xml_declaration=True))


def _change(row: Mapping[str, Any]) -> str:
    before, now = wording.popularity(row["popularity_before"]), wording.popularity(row["popularity"])
    return f"from {before} to {now} in {wording.days(row['span_days'])}"


def _instant(day: date) -> str:
    return datetime.combine(day, time(), UTC).isoformat()


def _add(parent: ElementTree.Element, name: str, content: str = "", **attributes: str) -> ElementTree.Element:
    element = ElementTree.SubElement(parent, name, attributes)
    element.text = UNPRINTABLE.sub(" ", content)
    return element
