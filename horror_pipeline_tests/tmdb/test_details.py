from __future__ import annotations

import datetime as dt
import json

import pytest

from horror_pipeline.errors import CredentialError, UnavailableError
from horror_pipeline.tmdb.details import MOST_FAILURES_IN_A_ROW, details_of
from horror_pipeline.tmdb.payloads import payload_hash
from horror_pipeline.tmdb.transport import Request, Response
from horror_pipeline_tests.tmdb.fake import FakeTmdb, document, film, make_client, refusal

NOW = dt.datetime(2026, 11, 22, 12, tzinfo=dt.UTC)


def clock() -> dt.datetime:
    return NOW


def test_each_film_is_asked_once_and_told_apart() -> None:
    left_out = {name: value for name, value in document(2).items() if name != "credits"}
    tmdb = FakeTmdb([film(1), film(2)], documents={2: left_out})
    found = {one.tmdb_id: one for one in details_of(make_client(tmdb), [1, 2, 3], clock)}
    assert json.loads(found[1].text or "") == document(1)
    assert found[1].missing == []
    assert found[2].missing == ["credits"]
    assert (found[3].text, found[3].failure) == (None, None)  # gone
    assert {one.fetched_at for one in found.values()} == {NOW}
    assert tmdb.asked["details"] == 3


def test_a_left_out_part_is_taken_from_what_was_stored_and_stays_missing() -> None:
    left_out = {name: value for name, value in document(1, title="New").items() if name != "credits"}
    (found,) = details_of(make_client(FakeTmdb([film(1)], documents={1: left_out})), [1], clock)
    whole = found.with_kept_parts({"credits": document(1)["credits"], "keywords": {"keywords": []}})
    assert json.loads(whole.text or "") == document(1, title="New")
    assert whole.digest == payload_hash(document(1, title="New"))
    assert whole.missing == ["credits"]
    assert found.with_kept_parts({}) is found


def test_credits_and_keywords_are_asked_for_in_one_language() -> None:
    tmdb = FakeTmdb([film(1)])
    list(details_of(make_client(tmdb), [1], clock))
    assert tmdb.queries[0]["append_to_response"] == "credits,keywords,release_dates,watch/providers"
    assert tmdb.queries[0]["language"] == "en-US"


def test_a_film_that_keeps_failing_does_not_cost_the_others() -> None:
    def broken(request: Request) -> Response | None:
        return refusal(500, 11) if "/movie/2?" in request.url else None

    tmdb = FakeTmdb([film(number) for number in range(1, 6)], disturb=broken)
    found = {one.tmdb_id: one for one in details_of(make_client(tmdb), range(1, 6), clock)}
    assert found[2].failure is not None
    assert [one.tmdb_id for one in found.values() if one.text is None] == [2]


def test_an_invalid_id_is_asked_once() -> None:
    tmdb = FakeTmdb(disturb=lambda _: refusal(500, 44))
    (found,) = details_of(make_client(tmdb), [1], clock)
    assert found.failure is not None
    assert tmdb.asked["details"] == 1


def test_a_document_of_another_film_is_not_taken() -> None:
    tmdb = FakeTmdb([film(1)], documents={1: document(2)})
    (found,) = details_of(make_client(tmdb), [1], clock)
    assert found.failure is not None
    assert "another film" in found.failure


def test_an_outage_ends_the_reading() -> None:
    tmdb = FakeTmdb(disturb=lambda _: refusal(503, 9))
    seen = []
    with pytest.raises(UnavailableError, match="in a row"):
        for one in details_of(make_client(tmdb), range(1, 1000), clock):
            seen.append(one)
    assert len(seen) == MOST_FAILURES_IN_A_ROW - 1


def test_a_refused_credential_ends_the_reading_at_once() -> None:
    tmdb = FakeTmdb(disturb=lambda _: refusal(401, 7))
    with pytest.raises(CredentialError):
        list(details_of(make_client(tmdb), range(1, 1000), clock))
    assert tmdb.asked["details"] <= 8
