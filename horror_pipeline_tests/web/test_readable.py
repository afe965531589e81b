"""The pages that need no script."""

from __future__ import annotations

import html
import re
from datetime import timedelta

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine, delete, insert

from horror_pipeline.warehouse import tables
from horror_pipeline_tests.web import rows

HOSTILE = "<script>alert(1)</script>"


def words(page: str) -> str:
    """The page's text, one space between words."""
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]*>", " ", page)))


def add_call(engine: Engine, tmdb_id: int, gain: float, back: int = 7) -> None:
    row = {"made_on": rows.TODAY - timedelta(days=back), "tmdb_id": tmdb_id, "horizon_days": 7, "is_backtest": False}
    row |= {"target_date": rows.TODAY, "origin_popularity": 5.0, "forecast_popularity": 8.0, "gain": gain}
    row |= {"popularity_lower": 6.0, "popularity_upper": 12.5, "outcome_popularity": 13.0}
    with engine.begin() as connection:
        connection.execute(insert(tables.forecast_calls), row)


def test_a_films_page_says_everything_without_a_script(client: TestClient, engine: Engine) -> None:
    rows.add_source(engine)
    where = {"releases": {"US": {"theatrical": "2024-10-31"}}, "watch_options": {"DE": {"rent": ["Crypt", "Tomb"]}}}
    rows.add_film(engine, 7, "The Thing", overview="Cold.", directors=["John"], genres=["Horror", "Mystery"], **where)
    rows.add_prediction(engine, 7, top_1_percent_probability=0.004, rating_7_probability=0.123)
    rows.add_forecast(engine, 7, rise_probability=0.63)
    rows.add_forecast(engine, 7, 3, forecast_popularity=2.0)
    rows.add_mover(engine, 7)
    rows.add_explanation(engine, 7)
    rows.add_explanation(engine, 7, horizon_days=7)
    rows.add_snapshots(engine, 7, {rows.TODAY - timedelta(days=back): 2.0 + back for back in range(5)})
    answer = client.get("/movies/7")
    assert answer.status_code == 200
    assert "<script" not in answer.text and "style=" not in answer.text
    said = words(answer.text)
    assert "The Thing (2024) · Horror, measured" in said
    assert "Popularity 0 2 4 6 18 Nov 21 Nov 24 Nov 27 Nov real" in said
    assert "31 Oct 2024 · Horror, Mystery" in said
    assert "expected for such a film: 2.00 (1.00 – 5.00)" in said
    assert "chance of the top 1 % of films once it is out and has ten votes: under 1 %. It is based on" in said
    assert "chance of 7 or more for such a film: 12 %" in said
    assert "Chance that its popularity is higher in 7 days than on 22 Nov 2026: 63 %" in said
    assert "Popularity: from 2.72 to 2.00 out in October +18 % in French −9 %" in said
    assert "Why, 7 days ahead: from +172 % for all films to what is forecast of this one out in October +18 %" in said
    assert "everything else" not in said  # it is next to nothing
    assert (
        "From 3.00 to 9.00 in 7 days; such films went to 3.20. Rank 20 → 4. Larger than 99.72 % of the changes "
        "of such films; unusual 99.5 %, because more of them than usual rose that day." in said
    )
    assert "It can differ from the forecast below, which comes from this film's own history." in said
    assert "Made-up data." in said
    assert "7 days ahead 29 Nov 2026 3.00 1.50 – 4.50" in said
    assert "3 days ahead 25 Nov 2026 · no change is forecast 2.00 1.50 – 4.50" in said
    assert "Popularity, votes and titles are made up;" in said
    assert "Where to watch is made up." in said and "DE – rent: Crypt, Tomb US theatrical 31 Oct 2024 –" in said
    assert 'property="og:title" content="The Thing (2024)"' in answer.text
    assert "og:image" not in answer.text  # made-up films have no posters
    assert answer.headers["etag"]


def test_films_like_a_coming_one_stand_there_with_their_first_days(client: TestClient, engine: Engine) -> None:
    release, people = rows.TODAY - timedelta(days=60), {"directors": ["Ann", "Bo"], "cast_names": ["Cy"]}
    series = {"collection_id": 5, "collection_name": "The Things"}
    rows.add_film(
        engine, 1, "Coming", release_date=rows.TODAY + timedelta(days=9), keywords=["ice"], **people, **series
    )
    rows.add_film(engine, 2, "Like It", release_date=release, keywords=["snow", "ice"], **people, **series)
    rows.add_film(engine, 3, "Older", directors=["Bo"], popularity=3.0)
    rows.add_film(engine, 4, "Also Coming", release_date=rows.TODAY + timedelta(days=9))
    rows.add_similar(engine, 1, 2, 3, 4)
    rows.add_snapshots(engine, 2, {release + timedelta(days=day): 5.0 + day for day in (-1, 2, 30, 91)})
    answer = client.get("/api/movies/1").json()
    like_it, older, coming = answer["similar"]
    assert like_it["shared"] == ["The Things", "Ann", "Bo", "Cy", "ice"]
    assert (like_it["release_popularity"], like_it["highest_popularity"], like_it["days_stored"]) == (7.0, 35.0, 2)
    assert (older["shared"], older["score"], older["highest_popularity"], older["days_stored"]) == (
        ["Bo"],
        0.8,
        None,
        0,
    )
    assert coming["shared"] == []
    first = answer["similar_first_days"]
    assert (first["films_released"], first["films_with_first_days"], first["popularity"]) == (2, 1, 2.0)
    said = words(client.get("/movies/1").text)
    assert "For 1 of them, first days are stored: the median of their highest popularity is 35.0 , after 7.00" in said
    assert "Like It 23 Sep 2026 · The Things, Ann, Bo, Cy, ice 90 % 7.00 35.0 – 1.00 6.0 100" in said
    rows.add_similar(engine, 3, 2)
    with engine.begin() as connection:
        connection.execute(delete(tables.movie_snapshots))
    assert "Nothing is stored of their first 90 days" in words(client.get("/movies/3").text)


def test_films_are_compared_by_days_since_release(client: TestClient, engine: Engine) -> None:
    release = rows.TODAY - timedelta(days=40)
    rows.add_film(engine, 1, "New", release_date=release)
    rows.add_film(engine, 2, "Newer", release_date=rows.TODAY - timedelta(days=7))
    rows.add_film(engine, 3, HOSTILE, release_date=None)
    rows.add_snapshots(engine, 1, {release + timedelta(days=day): 10.0 + day for day in (-61, 0, 7, 30)})
    rows.add_snapshots(engine, 2, {rows.TODAY: 4.0})
    found = client.get("/api/compare?ids=2,1,2").json()["films"]
    assert [film["tmdb_id"] for film in found] == [2, 1]
    assert found[1]["days"] == [{"days_since_release": day, "popularity": 10.0 + day} for day in (0, 7, 30)]
    page = client.get("/compare?ids=1,2,3").text
    assert (
        "Day New Newer <script>alert(1)</script> release 10.0 – – 7 days after 17.0 4.00 – 30 days after 40.0"
        in words(page)
    )
    assert "no day within 60 days before" in words(page) and "<script" not in page and "style=" not in page
    assert 'href="/compare?ids=1,3"' in page
    assert page.count('class="line-') == 2
    assert "0 10 20 30 40 release +10 +20 +30 Popularity by days" in words(page)
    assert 'href="/compare?ids=2,1"' in client.get("/compare?ids=2&add=new").text
    assert "No other film" in words(client.get("/compare?add=nothing").text)
    assert client.get("/api/compare?ids=1,9").status_code == client.get("/compare?ids=9").status_code == 404
    assert client.get("/api/compare?ids=1,2,3,4,5,6").status_code == client.get("/compare?ids=x").status_code == 422


def test_the_history_of_an_id_that_is_gone_goes_on_under_the_one_that_replaced_it(
    client: TestClient, engine: Engine
) -> None:
    days = [rows.TODAY - timedelta(days=back) for back in (3, 2, 1)]
    rows.add_film(engine, 1, imdb_id="tt0084787", gone_at=rows.NOW)
    rows.add_film(engine, 2, imdb_id="tt0084787")
    rows.add_film(engine, 3)
    rows.add_snapshots(engine, 1, dict.fromkeys(days[:2], 4.0))
    rows.add_snapshots(engine, 2, dict.fromkeys(days[1:], 5.0))
    found = client.get("/api/movies/2").json()
    assert [row["popularity"] for row in found["history"]] == [4.0, 5.0, 5.0]
    assert (found["movie"]["replaces"], found["movie"]["replaced_by"]) == ([1], None)
    gone = client.get("/api/movies/1").json()["movie"]
    assert (gone["replaces"], gone["replaced_by"]) == ([], 2)
    assert "under another id now" in words(client.get("/movies/1").text)
    assert client.get("/api/movies/3").json()["movie"]["replaces"] == []


def test_texts_of_films_are_text(client: TestClient, engine: Engine) -> None:
    rows.add_film(engine, 7, HOSTILE, overview=HOSTILE, tagline=HOSTILE, directors=[HOSTILE], poster_path='/x"onload="')
    rows.add_film(engine, 8, watch_options={"DE": {"rent": ["Crypt"]}})
    rows.add_source(engine, is_demo=False, api_url="https://api.themoviedb.org/3")
    answer = client.get("/movies/7")
    assert "<script" not in answer.text
    assert 'onload="' not in answer.text
    assert answer.text.count("og:image") == 1
    assert "Made-up data." not in answer.text
    assert "Popularity, votes and titles are TMDB's;" in html.unescape(answer.text)
    assert "Where to watch is JustWatch's data, by way of TMDB." in html.unescape(client.get("/movies/8").text)


def test_a_film_that_is_unknown_is_said_in_words(client: TestClient, offline_client: TestClient) -> None:
    answer = client.get("/movies/7")
    assert answer.status_code == 404
    assert "No such film is known here." in words(answer.text)
    assert client.get("/movies/0").status_code == 422
    assert offline_client.get("/movies/7").status_code == 503
    assert "This page has no data: cannot reach the database." in words(offline_client.get("/lists").text)


def test_the_track_record_shows_the_best_and_the_worst_calls_with_what_came(client: TestClient, engine: Engine) -> None:
    empty = words(client.get("/track-record").text)
    assert "No forecast has been compared with a later day yet." in empty
    for tmdb_id, gain in ((1, 5.0), (2, -2.0)):
        rows.add_film(engine, tmdb_id)
        add_call(engine, tmdb_id, gain)
    add_call(engine, 1, 3.0, back=9)
    rows.add_forecast_score(engine, 7, rows.TODAY)
    group = {"made_on": rows.TODAY - timedelta(days=7), "horizon_days": 7, "dimension": "votes"}
    group |= {"target_date": rows.TODAY, "is_backtest": False, "films": 400, "films_in_interval": 320}
    group |= {"total_error": 200.0, "total_error_no_change": 400.0}
    votes = ["below 10", "10 to 99", "100 to 999", "1,000 or more"]
    with engine.begin() as connection:
        connection.execute(insert(tables.forecast_group_scores), [group | {"category": name} for name in votes[::-1]])
    said = words(client.get("/track-record").text)
    best, worst = said.index("Best calls"), said.index("Worst calls")
    assert "Film 1 made on 15 Nov 2026 5.00 8.00 6.00 – 12.5 13.0 outside" in said[best:worst]
    assert said.count("Film 1") == 1
    assert "Film 2" in said[worst:]
    assert "November 2026 live 1,000 0.70 1.00 30 % 79 %" in said
    assert "below 10 live 400 0.50 1.00 50 % 80 %" in said
    assert "Film 1" not in words(client.get("/track-record?horizon=1").text)
    assert client.get("/track-record?horizon=2").status_code == 422
    record = client.get("/api/track-record").json()
    assert [(call["tmdb_id"], call["gain"]) for call in record["calls"]] == [(1, 5.0), (2, -2.0)]
    assert record["groups"][0]["skill"] == 0.5
    assert [row["category"] for row in record["groups"]] == votes


@pytest.mark.parametrize("path", ["/lists", "/track-record"])
def test_an_empty_database_has_pages_as_well(client: TestClient, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 200
    assert "yet" in words(answer.text)


def test_the_lists_lead_to_the_films(client: TestClient, engine: Engine) -> None:
    for tmdb_id in (1, 2):
        rows.add_film(engine, tmdb_id)
    rows.add_film(engine, 3, "Soon", release_date=rows.TODAY + timedelta(days=3))
    rows.add_prediction(engine, 3, stage="before_release")
    for tmdb_id, back in ((4, 0), (5, 31)):  # in December, and in January
        rows.add_film(engine, tmdb_id, release_date=rows.TODAY + timedelta(days=9 + back))
        rows.add_prediction(engine, tmdb_id, stage="before_release", actual_popularity=0.25)
    rows.add_film(engine, 6, release_date=rows.TODAY + timedelta(days=9))
    rows.add_prediction(engine, 6, stage="before_release", actual_popularity=2.5)  # it is expected to fall
    rows.add_explanation(engine, 4)
    rows.add_mover(engine, 1)
    rows.add_forecast(engine, 2)
    rows.add_forecast(engine, 4, 14)
    page = client.get("/lists").text
    assert [page.count(f'href="/movies/{tmdb_id}"') for tmdb_id in range(1, 7)] == [2, 2, 2, 3, 2, 2]
    surprise = "Film 4 1 Dec 2026 × 2.00 , counted from 1: popularity 0.25 now, 2.00 (1.00 – 5.00) expected. Why: 2.72"
    assert surprise in words(page)
    assert "Forecast for 6 Dec 2026, from its own history: 3.00 (1.50 – 4.50)." in words(page)
    assert "Soon 25 Nov 2026 2.00 (1.00 – 5.00) 6.5 (5.5 – 7.5)" in words(page)


def test_the_list_of_coming_films_goes_on_over_pages(client: TestClient, engine: Engine) -> None:
    for tmdb_id in range(1, 46):
        rows.add_film(engine, tmdb_id, release_date=rows.TODAY + timedelta(days=tmdb_id))
        rows.add_prediction(engine, tmdb_id, stage="before_release")

    def listed(path: str) -> tuple[list[int], list[str]]:
        coming = client.get(path).text.split('id="coming"')[1]
        return [int(found) for found in re.findall(r"/movies/(\d+)", coming)], re.findall(r'"(/lists[?#].*?)"', coming)

    assert listed("/lists") == (list(range(1, 21)), ["/lists?skip=20#coming"])
    assert listed("/lists?skip=20") == (list(range(21, 41)), ["/lists?skip=0#coming", "/lists?skip=40#coming"])
    assert listed("/lists?skip=40") == (list(range(41, 46)), ["/lists?skip=20#coming"])
    assert listed("/lists?skip=60") == ([], ["/lists?skip=40#coming"])
    assert client.get("/lists?skip=-1").status_code == 422
