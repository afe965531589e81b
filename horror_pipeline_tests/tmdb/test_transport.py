"""The real transport against a socket that misbehaves as servers do."""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Callable, Iterator

import pytest

from horror_pipeline.tmdb.transport import ConnectionFailed, PooledTransport, Request

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

    transport = PooledTransport(url := serve(handle), 2)
    for _ in range(5):
        assert transport(request(url)).body == b"{}"
    transport.close()
    assert seen == [1]


def test_no_key_is_in_the_debug_log(serve: Callable[[Serve], str], caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    transport = PooledTransport(url := serve(well), 1)
    transport(request(url))
    transport.close()
    assert "api_key=***" in caplog.text
    assert "SECRETKEY" not in caplog.text


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf", "cut"),
        (b"", "cut"),
        (b"SSH-2.0-OpenSSH\r\n\r\n", "cut"),
    ],
)
def test_half_an_answer_is_no_answer(serve: Callable[[Serve], str], reply: bytes, reason: str) -> None:
    def handle(connection: socket.socket, _: int) -> None:
        with connection:
            read_head(connection)
            connection.sendall(reply)

    transport = PooledTransport(url := serve(handle), 1)
    with pytest.raises(ConnectionFailed, match=reason) as caught:
        transport(request(url))
    transport.close()
    assert caught.value.reached
    assert "SECRETKEY" not in str(caught.value)


def test_an_answer_that_never_comes_times_out(serve: Callable[[Serve], str]) -> None:
    def handle(connection: socket.socket, _: int) -> None:
        read_head(connection)
        threading.Event().wait(3)
        connection.close()

    transport = PooledTransport(url := serve(handle), 1)
    with pytest.raises(ConnectionFailed, match="timed out"):
        transport(request(url, read_seconds=0.1))
    transport.close()


def test_a_closed_port_was_never_reached() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    transport = PooledTransport(url := f"http://127.0.0.1:{port}", 1)
    with pytest.raises(ConnectionFailed, match="refused") as caught:
        transport(request(url))
    assert not caught.value.reached


def test_a_stream_is_not_read_ahead(serve: Callable[[Serve], str]) -> None:
    transport = PooledTransport(url := serve(well), 1)
    response = transport(Request(url, {}, stream=True))
    assert response.body == b""
    assert response.stream is not None
    assert response.stream.read(10) == b"{}"
    response.stream.close()
    transport.close()
