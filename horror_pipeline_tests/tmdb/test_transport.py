"""The real transport against a socket that misbehaves as servers do."""

from __future__ import annotations

import gzip
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from horror_pipeline.tmdb.transport import ConnectionFailedError, PooledTransport, Request

Serve = Callable[[socket.socket, int], None]


@pytest.fixture
def serve() -> Iterator[Callable[[Serve], str]]:
    """Starts a server that hands every accepted connection, with its number, to a function; gives its URL."""
    sockets: list[socket.socket] = []

    def start(handle: Serve) -> str:
        listener = socket.create_server(("127.0.0.1", 0))
        sockets.append(listener)

        def loop() -> None:
            number = 0
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                number += 1
                threading.Thread(target=handle, args=(connection, number), daemon=True).start()

        threading.Thread(target=loop, daemon=True).start()
        return f"http://127.0.0.1:{listener.getsockname()[1]}"

    yield start
    for one in sockets:
        one.close()


def request(url: str, **extra: float) -> Request:
    return Request(f"{url}/3/movie/1?api_key=SECRETKEY", {}, **extra)  # type: ignore[arg-type]


def read_head(connection: socket.socket) -> bytes:
    head = b""
    while b"\r\n\r\n" not in head:
        piece = connection.recv(4096)
        if not piece:
            return b""
        head += piece
    return head


def well(connection: socket.socket, _: int) -> None:
    with connection:
        while read_head(connection):
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nDate: now\r\n\r\n{}")


def test_connections_are_kept(serve: Callable[[Serve], str]) -> None:
    seen = []

    def handle(connection: socket.socket, number: int) -> None:
        seen.append(number)
        well(connection, number)

    transport, url = PooledTransport(), serve(handle)
    for _ in range(5):
        assert transport(request(url)).body == b"{}"
    transport.close()
    assert seen == [1]


def test_nothing_is_logged(serve: Callable[[Serve], str], caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    transport = PooledTransport()
    transport(request(serve(well)))
    transport.close()
    assert caplog.text == ""


def test_a_packed_answer_is_unpacked(serve: Callable[[Serve], str]) -> None:
    def handle(connection: socket.socket, _: int) -> None:
        packed = gzip.compress(b'{"id": 1}')
        with connection:
            read_head(connection)
            head = f"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {len(packed)}\r\n\r\n"
            connection.sendall(head.encode() + packed)

    transport = PooledTransport()
    assert transport(request(serve(handle))).body == b'{"id": 1}'
    transport.close()


def test_a_connection_the_server_closed_meanwhile_is_not_used_again(
    serve: Callable[[Serve], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("horror_pipeline.tmdb.transport.SECONDS_SURELY_OPEN", 0.0)

    def once(connection: socket.socket, _: int) -> None:
        with connection:
            read_head(connection)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")

    transport, url = PooledTransport(), serve(once)
    for _ in range(3):
        assert transport(request(url)).body == b"{}"
        time.sleep(0.02)
    transport.close()


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf", "cut"),
        (b"", "cut"),
        (b"SSH-2.0-OpenSSH\r\n\r\n", "BadStatusLine"),
        (b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nhalf", "error"),
        (
            b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 20\r\n\r\n" + gzip.compress(b"x" * 50)[:20],
            "HTTPException",
        ),
    ],
)
def test_half_an_answer_is_no_answer(serve: Callable[[Serve], str], reply: bytes, reason: str) -> None:
    def handle(connection: socket.socket, _: int) -> None:
        with connection:
            read_head(connection)
            connection.sendall(reply)

    transport, url = PooledTransport(), serve(handle)
    with pytest.raises(ConnectionFailedError, match=reason) as caught:
        transport(request(url))
    transport.close()
    assert caught.value.reached
    assert "SECRETKEY" not in str(caught.value)


def test_an_answer_that_never_comes_times_out(serve: Callable[[Serve], str]) -> None:
    def handle(connection: socket.socket, _: int) -> None:
        read_head(connection)
        threading.Event().wait(3)
        connection.close()

    transport, url = PooledTransport(), serve(handle)
    with pytest.raises(ConnectionFailedError, match="timed out"):
        transport(request(url, read_seconds=0.1))
    transport.close()


def test_a_closed_port_was_never_reached() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    transport, url = PooledTransport(), f"http://127.0.0.1:{port}"
    with pytest.raises(ConnectionFailedError, match="refused") as caught:
        transport(request(url))
    assert not caught.value.reached


def test_a_stream_is_not_read_ahead(serve: Callable[[Serve], str]) -> None:
    transport, url = PooledTransport(), serve(well)
    response = transport(Request(url, {}, stream=True))
    assert response.body == b""
    assert response.stream is not None
    assert response.stream.read(10) == b"{}"
    response.stream.close()
    transport.close()
