"""The feeds as the programs that read them see them."""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta
from typing import Any

import feedparser
from fastapi.testclient import TestClient
from icalendar import Calendar
from sqlalchemy import Engine, text

from horror_pipeline.warehouse import movies
from horror_pipeline_tests.web import rows

SOON = date(2026, 12, 11)
ODD = "Häxan; Teil 2, «\\zwei»\n" + "lang " * 30 + "\x07"


def events(client: TestClient) -> dict[str, Any]:
    answer = client.get("/feeds/upcoming.ics")
    assert answer.headers["content-type"] == "text/calendar; charset=utf-8"
    assert max(map(len, answer.content.split(b"\r\n"))) <= 75
    return {str(event["UID"]): event for event in Calendar.from_ical(answer.content).walk("VEVENT")}


def announce(engine: Engine, tmdb_id: int, release_date: date | None, read_at: datetime) -> None:
    with engine.begin() as connection:
        connection.execute(
            text("UPDATE movies SET release_date = :day, details_fetched_at = :at WHERE tmdb_id = :id"),
            {"day": release_date, "at": read_at, "id": tmdb_id},
        )
        movies.note_release_dates(connection)


def test_the_calendar_has_an_event_for_each_coming_film(client: TestClient, engine: Engine) -> None:
    assert events(client) == {}
    rows.add_film(engine, 1, ODD, overview=ODD, release_date=SOON, genres=["Horror", "Science Fiction"])
    rows.add_film(engine, 2, release_date=None)
    rows.add_film(engine, 3, release_date=rows.TODAY - timedelta(days=100))
    rows.add_film(engine, 4, release_date=SOON, gone_at=rows.NOW)
    for tmdb_id, day in ((1, SOON), (2, None), (3, rows.TODAY - timedelta(days=100)), (4, SOON)):
        announce(engine, tmdb_id, day, rows.NOW)
    (event,) = events(client).values()
    assert event["UID"] == "movie-1@horror-pipeline"
    assert event.decoded("DTSTART") == SOON
    assert str(event["SUMMARY"]) == ODD.replace("\x07", " ")
    assert str(event["DESCRIPTION"]) == ODD.replace("\x07", " ")
    assert event["SEQUENCE"] == 0


def test_a_second_reading_moves_only_what_was_moved(client: TestClient, engine: Engine) -> None:
    for tmdb_id in (1, 2):
        rows.add_film(engine, tmdb_id, release_date=SOON)
        announce(engine, tmdb_id, SOON, rows.NOW)
    first = client.get("/feeds/upcoming.ics").content
    announce(engine, 2, SOON, rows.NOW + timedelta(days=1))  # read again, and nothing is new
    assert client.get("/feeds/upcoming.ics").content == first

    announce(engine, 1, SOON + timedelta(days=7), rows.NOW + timedelta(days=2))
    found = events(client)
    moved, kept = found["movie-1@horror-pipeline"], found["movie-2@horror-pipeline"]
    assert (moved["SEQUENCE"], moved.decoded("DTSTART")) == (1, SOON + timedelta(days=7))
    assert moved.decoded("DTSTAMP") == rows.NOW + timedelta(days=2)
    assert (kept["SEQUENCE"], kept.decoded("DTSTAMP")) == (0, rows.NOW)


def test_the_feed_has_the_first_day_of_each_breakout(client: TestClient, engine: Engine) -> None:
    assert feedparser.parse(client.get("/feeds/breakouts.atom").content).entries == []
    rows.add_film(engine, 1, "Saw <X> & \x08friends")
    rows.add_film(engine, 2)
    for back in (0, 1, 2, 30):
        rows.add_mover(engine, 1, snapshot_date=rows.TODAY - timedelta(days=back))
    rows.add_mover(engine, 2, is_breakout=False)
    answer = client.get("/feeds/breakouts.atom")
    assert answer.headers["content-type"] == "application/atom+xml; charset=utf-8"
    feed = feedparser.parse(answer.content)
    assert not feed.bozo
    assert feed.version == "atom10"
    assert [entry.id for entry in feed.entries] == [
        "tag:horror-pipeline,2026:breakout/1/2026-11-20",
        "tag:horror-pipeline,2026:breakout/1/2026-10-23",
    ]
    entry = feed.entries[0]
    assert entry.title == "Saw <X> &  friends: from 3.00 to 9.00 in 7 days"
    assert entry.summary == "from 3.00 to 9.00 in 7 days, larger than 99.72 % of the changes of such films."
    assert entry.link == "/movies/1"
    assert entry.updated_parsed[:4] == (2026, 11, 20, 0)


def test_radarr_reads_the_most_anticipated_films_by_their_ids(client: TestClient, engine: Engine) -> None:
    assert client.get("/feeds/radarr.json").json() == []
    for tmdb_id, imdb_id, expected in ((1, "tt0000001", 3.0), (2, "tt0000002", 9.0), (3, None, 20.0)):
        rows.add_film(engine, tmdb_id, imdb_id=imdb_id, release_date=SOON)
        rows.add_prediction(engine, tmdb_id, stage="before_release", predicted_popularity=expected)
    rows.add_film(engine, 4, imdb_id="tt0000004")
    rows.add_prediction(engine, 4)
    found = client.get("/feeds/radarr.json").json()
    assert found == [{"id": n, "title": f"Film {n}", "imdb_id": f"tt000000{n}"} for n in (2, 1)]
    assert all(re.fullmatch(r"tt\d{7,}", film["imdb_id"]) for film in found)
