from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator

import dagster as dg
import pytest
from sqlalchemy import Engine

from horror_pipeline.defs import raw
from horror_pipeline.tmdb.transport import Request, Response
from horror_pipeline.warehouse import raw as raw_table
from horror_pipeline_tests.defs.runs import NOW, Ingest, checks, figures
from horror_pipeline_tests.tmdb.fake import V3, FakeTmdb, answer, document, film, make_client, refusal


@pytest.fixture
def tmdb() -> FakeTmdb:
    films = [film(number, f"2020-{number % 12 + 1:02}-10") for number in range(1, 26)]
    return FakeTmdb([*films, film(40, "2021-06-06"), film(41, "2021-07-07", vote_count=3)])


@pytest.fixture
def ingest(engine: Engine, tmdb: FakeTmdb) -> Iterator[Ingest]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield Ingest(engine, tmdb, instance)


def test_pages_and_documents_are_stored_as_received(ingest: Ingest) -> None:
    result = ingest.run(raw.discover_pages, raw.movie_details)
    assert ingest.rows("SELECT release_year, count(*) FROM raw.discover_pages GROUP BY 1 ORDER BY 1") == [
        (2020, 2),
        (2021, 1),
    ]
    assert ingest.value("SELECT count(*) FROM raw.movie_details") == 26
    assert ingest.value("SELECT payload FROM raw.movie_details WHERE tmdb_id = 40") == document(40, "2021-06-06")
    assert figures(result, "raw/movie_details", "2020")["new"] == 25
    assert figures(result, "raw/movie_details", "2021")["new"] == 1
    assert figures(result, "raw/movie_details", "2021")["requests"] == 26
    assert figures(result, "raw/discover_pages", "2020")["dagster/partition_row_count"] == 2
    assert all(check.passed for check in checks(result).values())


def test_the_same_day_again_asks_for_no_details(ingest: Ingest, tmdb: FakeTmdb) -> None:
    ingest.run(raw.discover_pages, raw.movie_details)
    tmdb.asked.clear()
    ingest.run(raw.discover_pages, raw.movie_details)
    assert tmdb.asked == {"/discover/movie": 3}
    counts = ingest.rows("SELECT asset, requests, retries, refusals FROM request_counts ORDER BY asset")
    assert counts == [("raw/discover_pages", 6, 0, 0), ("raw/movie_details", 26, 0, 0)]


def test_the_next_day_asks_for_what_changed_and_what_is_new(ingest: Ingest, tmdb: FakeTmdb) -> None:
    ingest.run(raw.discover_pages, raw.movie_details)
    tmdb.changes["2026-11-22"] = [{"id": 3, "adult": False}, {"id": 777, "adult": False}]
    tmdb.films.append(film(50, "2021-01-01"))
    ingest.now = NOW + dt.timedelta(days=1)
    with ingest.engine.begin() as connection:
        raw_table.replace_changes(connection, NOW.date(), [(1, json.dumps({"results": [{"id": 3}]}))], ingest.now)
    tmdb.asked.clear()
    result = ingest.run(raw.discover_pages, raw.movie_details)
    assert tmdb.asked["details"] == 2
    assert figures(result, "raw/movie_details", "2020")["due"] == {"changed": 1, "new": 1}
    assert figures(result, "raw/movie_details", "2020")["unchanged"] == 1


def test_a_listing_that_stays_short_fails_its_check_and_not_the_run(ingest: Ingest, tmdb: FakeTmdb) -> None:
    tmdb.promised = 2
    check = checks(ingest.run(raw.discover_pages))["sweep_is_complete"]
    assert not check.passed
    assert check.severity == dg.AssetCheckSeverity.WARN
    assert check.description == "2020 is short by 2 films; 2021 is short by 2 films"


def test_a_year_that_fails_does_not_cost_the_others_theirs(ingest: Ingest, tmdb: FakeTmdb) -> None:
    def broken(request: Request) -> Response | None:
        return refusal(503, 9) if "gte=2020-01-01" in request.url else None

    tmdb.disturb = broken
    result = ingest.run(raw.discover_pages, succeeds=False)
    assert ingest.rows("SELECT DISTINCT release_year FROM raw.discover_pages") == [(2021,)]
    key = dg.AssetKey(["raw", "discover_pages"])
    assert ingest.instance.get_materialized_partitions(key) == {"2021"}
    (failure,) = [event for event in result.all_events if event.is_step_failure]
    assert "1 of 2 partitions are not done: 2020; the others are stored" in str(failure.step_failure_data.error)


def test_an_outage_is_told_after_two_years_not_after_all(ingest: Ingest, tmdb: FakeTmdb) -> None:
    tmdb.disturb = lambda _: refusal(503, 9)
    result = ingest.run(raw.discover_pages, first="2012", last="2021", succeeds=False)
    (failure,) = [event for event in result.all_events if event.is_step_failure]
    assert "10 of 10 partitions are not done: 2012, 2013" in str(failure.step_failure_data.error)
    assert tmdb.asked["/discover/movie"] == 2 * 8


def test_years_that_cannot_be_read_cost_no_other_year_while_tmdb_answers(ingest: Ingest, tmdb: FakeTmdb) -> None:
    absurd = answer({"page": 1, "results": [], "total_results": 10**9, "total_pages": 10**9})
    tmdb.disturb = lambda request: absurd if any(f"gte={year}" in request.url for year in (2016, 2017, 2018)) else None
    ingest.run(raw.discover_pages, first="2016", last="2021", succeeds=False)
    assert ingest.rows("SELECT DISTINCT release_year FROM raw.discover_pages ORDER BY 1") == [(2019,), (2020,), (2021,)]


def test_films_that_fail_one_after_the_other_are_first_in_line_only_once(ingest: Ingest, tmdb: FakeTmdb) -> None:
    asked: list[str] = []

    def fail(request: Request) -> Response | None:
        if "/movie/" not in request.url or "/discover/" in request.url:
            return None
        asked.append(request.url)
        return refusal(500, 44)

    tmdb.disturb = fail
    ingest.run(raw.discover_pages)
    ingest.client = make_client(tmdb, connections=1)
    ingest.run(raw.movie_details, succeeds=False)
    first = asked.copy()
    ingest.now += dt.timedelta(minutes=1)
    ingest.run(raw.movie_details, succeeds=False)
    assert asked[len(first) :] != first


def test_years_read_before_pages_were_found_moving_are_swept_again(ingest: Ingest, tmdb: FakeTmdb) -> None:
    def drop(request: Request) -> Response | None:
        if "gte=2021-01-01" in request.url and tmdb.asked["/discover/movie"] <= 3:
            return answer({"page": 1, "results": [], "total_results": 1, "total_pages": 1})
        return None

    tmdb.disturb = drop
    result = ingest.run(raw.discover_pages)
    assert figures(result, "raw/discover_pages", "2020")["passes"] == 2
    assert figures(result, "raw/discover_pages", "2021")["films"] == 1


def test_a_killed_run_is_continued_where_it_stopped(ingest: Ingest, tmdb: FakeTmdb) -> None:
    def outage(request: Request) -> Response | None:
        return refusal(401, 7) if tmdb.asked["details"] > 15 else None

    tmdb.disturb = outage
    ingest.client = make_client(tmdb, connections=1)
    raw_batch, raw.DOCUMENTS_A_BATCH = raw.DOCUMENTS_A_BATCH, 5
    try:
        ingest.run(raw.discover_pages, raw.movie_details, succeeds=False)
    finally:
        raw.DOCUMENTS_A_BATCH = raw_batch
    stored = ingest.value("SELECT count(*) FROM raw.movie_details")
    assert stored == 15
    tmdb.disturb = None
    tmdb.asked.clear()
    ingest.run(raw.discover_pages, raw.movie_details)
    assert tmdb.asked["details"] == 26 - stored


def test_a_part_left_out_keeps_what_was_stored_and_is_asked_for_again(ingest: Ingest, tmdb: FakeTmdb) -> None:
    offers = {"results": {"US": {"rent": [{"provider_name": "Crypt"}]}}}
    tmdb.documents[3] = document(3, "2020-04-10", **{"watch/providers": offers})
    ingest.run(raw.discover_pages, raw.movie_details)
    tmdb.documents[3] = {k: v for k, v in document(3, "2020-04-10", title="New").items() if k != "credits"}
    page = json.dumps({"results": [{"id": 3}]})
    with ingest.engine.begin() as connection:
        raw_table.replace_changes(connection, NOW.date(), [(1, page)], NOW)
    ingest.now += dt.timedelta(days=1)
    ingest.run(raw.movie_details)
    query = """
        SELECT payload ->> 'title', payload -> 'credits', payload -> 'watch/providers', missing_parts
        FROM raw.movie_details WHERE tmdb_id = 3
    """
    assert ingest.rows(query) == [("New", document(3)["credits"], offers, ["credits"])]
    del tmdb.documents[3]
    ingest.now += dt.timedelta(days=1)
    ingest.run(raw.movie_details)
    assert ingest.value("SELECT missing_parts FROM raw.movie_details WHERE tmdb_id = 3") == []


def test_a_film_that_keeps_failing_is_told_and_stays_due(ingest: Ingest, tmdb: FakeTmdb) -> None:
    tmdb.disturb = lambda request: refusal(500, 44) if "/movie/3?" in request.url else None
    result = ingest.run(raw.discover_pages, raw.movie_details)
    check = checks(result)["every_due_film_was_read"]
    assert not check.passed
    assert check.metadata["films"].value == [3]
    tmdb.disturb = None
    tmdb.asked.clear()
    ingest.run(raw.movie_details)
    assert tmdb.asked == {"details": 1}


def test_a_gone_film_is_a_state_and_not_a_lost_row(ingest: Ingest, tmdb: FakeTmdb) -> None:
    tmdb.gone.add(7)
    result = ingest.run(raw.discover_pages, raw.movie_details)
    assert figures(result, "raw/movie_details", "2020")["gone"] == 1
    assert ingest.rows("SELECT payload, gone_at IS NULL FROM raw.movie_details WHERE tmdb_id = 7") == [(None, False)]
    tmdb.asked.clear()
    ingest.run(raw.discover_pages, raw.movie_details)
    assert tmdb.asked["details"] == 0


def test_a_row_without_an_id_is_rejected_with_its_reason(ingest: Ingest, tmdb: FakeTmdb) -> None:
    tmdb.films.append({**film(1, "2021-02-02"), "id": "one"})
    ingest.run(raw.discover_pages)
    query = "SELECT source_table, release_year, reason, payload ->> 'id' FROM raw.rejected_records"
    assert ingest.rows(query) == [("raw.discover_pages", 2021, "a listing row without usable id", "one")]


def test_rows_that_are_no_film_cost_themselves_and_not_the_ingest(ingest: Ingest, tmdb: FakeTmdb) -> None:
    odd = [None, 7, "Nul\0Byte", [[1]], {"id": 10**400}]

    def with_odd_rows(request: Request) -> Response | None:
        if "gte=2021-01-01" not in request.url:
            return None
        rows = [film(99, "2021-06-01"), *odd]
        return answer({"page": 1, "results": rows, "total_results": 1, "total_pages": 1})

    tmdb.disturb = with_odd_rows
    ingest.run(raw.discover_pages)
    rejected = ingest.rows("SELECT payload::text FROM raw.rejected_records ORDER BY 1")
    assert sorted(rejected) == sorted([("null",), ("7",), ('"Nul\ufffdByte"',), ("[[1]]",), ('{"id": null}',)])


def test_changes_of_a_day_are_replaced_as_a_whole(ingest: Ingest, tmdb: FakeTmdb) -> None:
    tmdb.changes = {
        "2026-01-05": [{"id": number, "adult": None} for number in range(1, 46)],
        "2026-01-06": [],
    }
    result = ingest.run(raw.movie_changes, first="2026-01-05", last="2026-01-06")
    pages = "SELECT change_date::text, count(*) FROM raw.movie_changes GROUP BY 1 ORDER BY 1"
    assert ingest.rows(pages) == [("2026-01-05", 3), ("2026-01-06", 1)]
    assert figures(result, "raw/movie_changes", "2026-01-05")["films"] == 45
    tmdb.changes["2026-01-05"] = []
    ingest.run(raw.movie_changes, first="2026-01-05", last="2026-01-06")
    assert ingest.rows(pages) == [("2026-01-05", 1), ("2026-01-06", 1)]


def test_no_event_of_a_failed_run_holds_the_credential(ingest: Ingest, tmdb: FakeTmdb) -> None:
    tmdb.disturb = lambda request: answer({"status_code": 7, "status_message": request.url + request.secret_query}, 401)
    result = ingest.run(succeeds=False)
    told = "".join(str(event) for event in result.all_events)
    assert "CredentialError" in told
    assert V3 not in told
    assert tmdb.asked["/discover/movie"] <= 4
