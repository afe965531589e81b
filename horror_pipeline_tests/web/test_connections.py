"""Clients that are silent or slow, over real sockets."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator

import pytest
from fastapi import FastAPI
from sqlalchemy import URL

from horror_pipeline.web import connections
from horror_pipeline.web.app import create_app
from horror_pipeline_tests.web.browser import served

HALF_SENT = b"GET /static/0/app.js HTTP/1.1\r\nHost: x\r\n"


@pytest.fixture
def port(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    monkeypatch.setattr(connections, "REQUEST_SECONDS", 0.5)
    monkeypatch.setattr(connections, "MAX_CONNECTIONS", 20)
    app: FastAPI = create_app(URL.create("postgresql", host="127.0.0.1", port=1))
    with served(app, http=connections.BoundedConnection, limit_concurrency=40) as base:
        yield int(base.rpartition(":")[2])


def connect(port: int, sent: bytes = b"") -> socket.socket:
    client = socket.create_connection(("127.0.0.1", port), timeout=5)
    client.sendall(sent)
    return client


def status(client: socket.socket) -> bytes:
    client.sendall(b"\r\n")
    return client.recv(12)


def is_closed(client: socket.socket) -> bool:
    try:
        return client.recv(1) == b""
    except ConnectionResetError:
        return True


@pytest.mark.parametrize("sent", [b"", HALF_SENT])
def test_clients_that_send_no_request_shut_nobody_out(port: int, sent: bytes) -> None:
    crowd = [connect(port, sent) for _ in range(60)]
    visitor = connect(port, HALF_SENT)
    try:
        assert status(visitor) == b"HTTP/1.1 404"
        assert is_closed(crowd[0])
    finally:
        for client in (visitor, *crowd):
            client.close()


@pytest.mark.parametrize("sent", [b"", HALF_SENT, HALF_SENT + b"\r\n" + HALF_SENT])
def test_a_request_that_is_never_finished_is_given_up(port: int, sent: bytes) -> None:
    client = connect(port, sent)
    started = time.monotonic()
    try:
        while not is_closed(client):  # what was answered before is read first
            pass
        assert time.monotonic() - started < 4
    finally:
        client.close()
