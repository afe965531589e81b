from __future__ import annotations

import http.server
import json
import socket
import threading
from collections.abc import Iterator

import pytest

from horror_pipeline.errors import HorrorError
from horror_pipeline.runtime import ports


class Answering:
    """A server that answers every request with a status and a body."""

    def __init__(self) -> None:
        self.status, self.body = 200, b"{}"
        answering = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(answering.status)
                self.send_header("Content-Length", str(len(answering.body)))
                self.end_headers()
                self.wfile.write(answering.body)

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                self.do_GET()

            def log_message(self, *_: object) -> None:
                pass

        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}"
        self.thread = threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.01})
        self.thread.start()


@pytest.fixture
def answering() -> Iterator[Answering]:
    one = Answering()
    yield one
    one.http.shutdown()
    one.thread.join()
    one.http.server_close()


def statuses(*healthy: tuple[bool, bool]) -> bytes:
    told = [{"daemonType": "ONE", "required": required, "healthy": well} for required, well in healthy]
    return json.dumps({"data": {"instance": {"daemonHealth": {"allDaemonStatuses": told}}}}).encode()


def test_a_port_in_use_names_the_setting_to_change() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(HorrorError, match=rf"port {port} .* set HORROR_UI_PORT to another"):
            ports.require_free_port("127.0.0.1", port, "HORROR_UI_PORT")


@pytest.mark.parametrize("host", ["192.0.2.1", "no.such.host.invalid", "127.0.0.1:80"])
def test_an_address_of_no_machine_names_the_setting_to_change(host: str) -> None:
    with pytest.raises(HorrorError, match="set HORROR_WEB_HOST to an address of this machine"):
        ports.require_free_port(host, ports.free_port(), "HORROR_UI_PORT")


def test_a_free_port_is_fine() -> None:
    ports.require_free_port("127.0.0.1", ports.free_port(), "HORROR_UI_PORT")


@pytest.mark.parametrize(("status", "answers"), [(200, True), (503, False)])
def test_a_page_answers_with_200(answering: Answering, status: int, answers: bool) -> None:
    answering.status = status
    assert ports.answers(answering.url) is answers


def test_a_proxy_for_the_internet_is_not_asked_for_this_machine(
    answering: Answering, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{ports.free_port()}")
    assert ports.answers(answering.url)


def test_nobody_there_is_no_answer() -> None:
    assert ports.answers(f"http://127.0.0.1:{ports.free_port()}") is False


@pytest.mark.parametrize(
    ("told", "healthy"),
    [
        (statuses((True, True), (True, True)), True),
        (statuses((True, True), (True, False)), False),
        (statuses((True, True), (False, False)), True),  # one that is not needed
    ],
)
def test_the_daemon_is_well_when_all_that_is_needed_of_it_is(answering: Answering, told: bytes, healthy: bool) -> None:
    answering.body = told
    assert ports.daemon_is_healthy(answering.url) is healthy


@pytest.mark.parametrize(
    ("host", "url"),
    [("127.0.0.1", "http://127.0.0.1:80"), ("0.0.0.0", "http://127.0.0.1:80"), ("::1", "http://[::1]:80")],  # noqa: S104
)
def test_what_listens_is_reached_by_an_address_of_this_machine(host: str, url: str) -> None:
    assert ports.local_url(host, 80) == url
