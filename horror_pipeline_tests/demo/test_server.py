from __future__ import annotations

import contextlib
import http.client
import json
import socket
import threading
from collections.abc import Iterator
from email.utils import parsedate_to_datetime

import pytest

from horror_pipeline.demo.server import DemoServer, banner, serve
from horror_pipeline.errors import HorrorError
from horror_pipeline_tests.demo.conftest import TODAY


@pytest.fixture(scope="module")
def server() -> Iterator[DemoServer]:
    with serve(today=lambda: TODAY, scale=0.02) as running:
        yield running


@pytest.fixture
def connection(server: DemoServer) -> Iterator[http.client.HTTPConnection]:
    one = http.client.HTTPConnection("127.0.0.1", server.port, timeout=5)
    yield one
    one.close()


def test_one_connection_serves_many_requests(connection: http.client.HTTPConnection) -> None:
    connection.connect()
    port = connection.sock.getsockname()[1]
    for _ in range(3):
        connection.request("GET", "/3/authentication?api_key=demo")
        response = connection.getresponse()
        assert response.status == 200
        assert json.loads(response.read())["success"]
        assert connection.sock.getsockname()[1] == port


def test_headers_say_type_length_and_the_demos_own_day(connection: http.client.HTTPConnection) -> None:
    connection.request("GET", "/3/authentication?api_key=demo")
    response = connection.getresponse()
    assert response.headers["Content-Type"] == "application/json;charset=utf-8"
    assert int(response.headers["Content-Length"]) == len(response.read())
    assert parsedate_to_datetime(response.headers["Date"]).date() == TODAY


def test_parameters_are_decoded(connection: http.client.HTTPConnection) -> None:
    connection.request("GET", "/3/discover/movie?api_key=demo&with_genres=27%2C53&vote_count.gte=1")
    rows = json.loads(connection.getresponse().read())["results"]
    assert rows
    assert all({27, 53} <= set(row["genre_ids"]) for row in rows)


def test_a_bearer_token_is_taken_from_its_header(connection: http.client.HTTPConnection) -> None:
    connection.request("GET", "/3/authentication", headers={"Authorization": "Bearer demo"})
    assert connection.getresponse().status == 200


def test_requests_sent_at_once_are_answered_in_order(server: DemoServer) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=5) as raw:
        request = b"GET /3/%b HTTP/1.1\r\nHost: demo\r\n%b\r\n"
        raw.sendall(
            request % (b"authentication?api_key=x", b"") + request % (b"nothing?api_key=x", b"Connection: close\r\n")
        )
        received = b"".join(iter(lambda: raw.recv(65536), b""))
    assert received.index(b"HTTP/1.1 200 OK") < received.index(b"HTTP/1.1 404 Not Found")


@pytest.mark.parametrize(
    "request_bytes",
    [b"POST /3/authentication HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}", b"nonsense\r\n\r\n", b"GET /" + b"x" * 200_000],
)
def test_what_is_no_get_ends_the_connection_and_harms_nobody(
    server: DemoServer, connection: http.client.HTTPConnection, request_bytes: bytes
) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=5) as raw:
        try:
            raw.sendall(request_bytes)
            received = b"".join(iter(lambda: raw.recv(65536), b""))
        except ConnectionError:
            received = b""
    assert received == b"" or received.startswith(b"HTTP/1.1 405")
    connection.request("GET", "/3/authentication?api_key=demo")
    assert connection.getresponse().status == 200


def test_many_clients_at_once_get_their_own_answers(server: DemoServer) -> None:
    seen: list[int] = []

    def ask(page: int) -> None:
        one = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
        for _ in range(20):
            one.request("GET", f"/3/discover/movie?api_key=demo&page={page}")
            assert json.loads(one.getresponse().read())["page"] == page
            seen.append(page)
        one.close()

    threads = [threading.Thread(target=ask, args=(page,)) for page in range(1, 9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(seen) == 160


def test_a_port_in_use_is_one_clear_error(server: DemoServer) -> None:
    with pytest.raises(HorrorError, match=r"\(Address already in use\); choose another port") as caught:
        serve(server.port)
    assert "\n" not in str(caught.value)


def test_a_port_that_cannot_be_is_one_clear_error() -> None:
    with pytest.raises(HorrorError, match="choose another port"):
        serve(70_000)


def test_stopping_frees_the_port_and_ends_open_connections() -> None:
    running = serve(today=lambda: TODAY, scale=0.01)
    idle = socket.create_connection(("127.0.0.1", running.port), timeout=5)
    with idle:
        idle.sendall(b"GET /3/authentication?api_key=x HTTP/1.1\r\n\r\n")
        assert idle.recv(65536)
        running.server_close()
        running.server_close()
        with contextlib.suppress(ConnectionResetError):
            assert idle.recv(1) == b""
    with serve(running.port, today=lambda: TODAY, scale=0.01) as again:
        assert again.port == running.port


def test_the_banner_says_what_it_is_and_how_to_use_it() -> None:
    text = banner("http://127.0.0.1:8840/3", "http://127.0.0.1:8840/p/exports")
    assert "invented" in text
    assert "export TMDB_API_URL=http://127.0.0.1:8840/3" in text
