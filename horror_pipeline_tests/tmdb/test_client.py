from __future__ import annotations

import datetime as dt
import io
import logging
import traceback
from collections.abc import Callable

import pytest

from horror_pipeline.errors import (
    BadRequestError,
    CredentialError,
    ExportUnavailableError,
    NotFoundError,
    TmdbError,
    UnavailableError,
)
from horror_pipeline.tmdb.client import ATTEMPTS, ATTEMPTS_BEFORE_FIRST_ANSWER
from horror_pipeline.tmdb.payloads import MalformedError
from horror_pipeline.tmdb.transport import ConnectionFailedError, Request, Response
from horror_pipeline_tests.tmdb.fake import API, V3, V4, FakeClock, answer, cut_off, make_client, refusal

Reply = Response | Callable[[Request], Response]


class Script:
    """Answers one reply after the other, the last for ever."""

    def __init__(self, *replies: Reply) -> None:
        self.replies = list(replies)
        self.requests: list[Request] = []

    def __call__(self, request: Request) -> Response:
        self.requests.append(request)
        reply = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
        return reply(request) if callable(reply) else reply


GOOD = answer({"ok": True})


def test_a_v3_key_goes_into_the_query_and_a_v4_token_into_the_header() -> None:
    v3, v4 = Script(GOOD), Script(GOOD)
    make_client(v3).fetch("/movie/1", {"language": "en-US"})
    make_client(v4, api_key=V4).fetch("/movie/1", {"language": "en-US"})
    assert v3.requests[0].url == f"{API}/movie/1?language=en-US"
    assert v3.requests[0].secret_query == f"api_key={V3}"
    assert "Authorization" not in v3.requests[0].headers
    assert v4.requests[0].secret_query == ""
    assert v4.requests[0].url == f"{API}/movie/1?language=en-US"
    assert v4.requests[0].headers["Authorization"] == f"Bearer {V4}"


def test_without_a_credential_none_is_sent() -> None:
    script = Script(GOOD)
    make_client(script, api_key=None).fetch("/movie/1")
    assert script.requests[0].secret_query == ""
    assert "Authorization" not in script.requests[0].headers


@pytest.mark.parametrize(
    "trouble",
    [
        refusal(429, 25),
        refusal(500, 11),
        refusal(500, 15),
        refusal(502, 43),
        refusal(503, 9),
        refusal(503, 46),
        refusal(504, 24),
        answer(b"upstream trouble", 502),
        answer(b"<html>Maintenance</html>"),  # HTML under status 200
        answer(b'{"id": 1, "tit'),
        answer(b"[1, 2]"),
        answer(b"", 204),
        cut_off,
    ],
)
def test_what_may_pass_is_asked_again(trouble: Reply) -> None:
    client = make_client(Script(trouble, trouble, GOOD))
    assert client.fetch("/movie/1").body == {"ok": True}
    assert (client.stats.requests, client.stats.retries) == (3, 2)


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (refusal(401, 7), CredentialError),
        (refusal(401, 10), CredentialError),
        (refusal(403, 45), CredentialError),
        (answer(b"not json", 401), CredentialError),
        (refusal(404, 34), NotFoundError),
        (refusal(404, 6), NotFoundError),
        (refusal(400, 22), BadRequestError),
        (refusal(422, 20), BadRequestError),
        (refusal(500, 44), BadRequestError),
        (answer(b"", 302), BadRequestError),
    ],
)
def test_what_will_not_pass_is_told_apart_and_asked_once(reply: Response, error: type[TmdbError]) -> None:
    client = make_client(Script(reply))
    with pytest.raises(error):
        client.fetch("/movie/1")
    assert client.stats.requests == 1


def test_what_keeps_failing_is_unavailable_after_bounded_attempts_and_time() -> None:
    clock = FakeClock()
    client = make_client(Script(refusal(503, 9)), clock=clock)
    with pytest.raises(UnavailableError, match=f"after {ATTEMPTS} attempts.*run again"):
        client.fetch("/movie/1")
    assert client.stats.requests == ATTEMPTS
    assert 20 < sum(clock.slept) < 180


def test_a_host_that_was_never_reached_is_given_up_sooner() -> None:
    def refused(_: Request) -> Response:
        raise ConnectionFailedError("connection refused", reached=False)

    clock = FakeClock()
    client = make_client(refused, clock=clock)
    with pytest.raises(UnavailableError, match="connection refused"):
        client.fetch("/movie/1")
    assert client.stats.requests == ATTEMPTS_BEFORE_FIRST_ANSWER
    assert sum(clock.slept) < 10


def test_retry_after_is_honoured_when_positive_and_capped() -> None:
    for header, low, high in (("7", 7.0, 7.1), ("0", 0.2, 1.0), ("86400", 60.0, 60.1), ("soon", 0.2, 1.0)):
        clock = FakeClock()
        script = Script(answer(b"{}", 429, {"Retry-After": header}), GOOD)
        client = make_client(script, clock=clock)
        client.fetch("/movie/1")
        assert low <= sum(clock.slept) <= high, header
        assert client.stats.rate_limited == 1


def test_a_body_of_the_wrong_shape_is_asked_again() -> None:
    def check(body: dict[str, object]) -> None:
        if "results" not in body:
            raise MalformedError("no results")

    client = make_client(Script(GOOD, answer({"results": []})))
    assert client.fetch("/discover/movie", check=check).body == {"results": []}
    assert client.stats.retries == 1


def test_the_credential_is_checked_within_seconds() -> None:
    clock = FakeClock()
    script = Script(refusal(503, 9))
    with pytest.raises(UnavailableError):
        make_client(script, clock=clock).check_credential()
    assert len(script.requests) == 2
    assert sum(clock.slept) < 2
    assert script.requests[0].connect_seconds + script.requests[0].read_seconds <= 5
    make_client(Script(GOOD)).check_credential()


@pytest.mark.parametrize("key", [V3, V4, "a key/with+odd&characters"])
@pytest.mark.parametrize(
    "reply", [refusal(401, 7, f"key {V3} is wrong"), refusal(400, 1, f"{V4} no"), refusal(503, 9), cut_off]
)
def test_no_error_holds_the_credential(key: str, reply: Reply, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    echo = reply if callable(reply) else Response(reply.status, {}, reply.body.replace(b"no", key.encode()))
    try:
        make_client(Script(echo), api_key=key).fetch("/movie/1")
    except TmdbError as error:
        told = "".join(traceback.format_exception(error)) + caplog.text
        assert key not in told
        assert "a+key" not in told
        assert "a%20key" not in told
        assert error.__cause__ is None
        assert "\n" not in str(error)
    else:
        pytest.fail("it should have raised")


def test_the_server_s_date_is_told() -> None:
    client = make_client(Script(answer({"ok": True}, headers={"Date": "Sun, 22 Nov 2026 12:00:00 GMT"})))
    assert client.server_date is None
    client.fetch("/authentication")
    assert client.server_date == dt.datetime(2026, 11, 22, 12, tzinfo=dt.UTC)


def test_an_export_is_streamed_without_the_credential() -> None:
    def serve(request: Request) -> Response:
        assert request.is_stream
        assert V3 not in request.url + request.secret_query + str(request.headers)
        return Response(200, {"Content-Length": "5"}, stream=io.BytesIO(b"bytes"))

    with make_client(serve).open_export("http://files.test/p/exports/x.json.gz") as export:
        assert export.headers.get("Content-Length", "") == "5"
        assert export.stream is not None
        assert export.stream.read(9) == b"bytes"


@pytest.mark.parametrize("status", [403, 404])
def test_an_export_that_is_not_there_is_told_from_an_outage(status: int) -> None:
    client = make_client(Script(Response(status, {}, stream=io.BytesIO())))
    with pytest.raises(ExportUnavailableError), client.open_export("http://files.test/x.gz"):
        pass
    client = make_client(Script(Response(503, {}, stream=io.BytesIO())))
    with pytest.raises(UnavailableError), client.open_export("http://files.test/x.gz"):
        pass


@pytest.mark.parametrize("key", ["eyJ.new\nline", "eyJ.ümlaut", "key\r"])
def test_a_key_that_can_be_in_no_header_is_refused_without_being_repeated(key: str) -> None:
    with pytest.raises(CredentialError) as caught:
        make_client(Script(GOOD), api_key=key)
    assert key not in str(caught.value)
