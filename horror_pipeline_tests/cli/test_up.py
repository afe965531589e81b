from __future__ import annotations

import http.server
import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from horror_pipeline.cli import up
from horror_pipeline.errors import HorrorError
from horror_pipeline.settings import Settings


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


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    made = Settings(_env_file=None, horror_home=tmp_path, horror_ui_port=3100)
    made.dagster_home.mkdir()
    return made


def statuses(*healthy: tuple[bool, bool]) -> bytes:
    told = [{"daemonType": "ONE", "required": required, "healthy": well} for required, well in healthy]
    return json.dumps({"data": {"instance": {"daemonHealth": {"allDaemonStatuses": told}}}}).encode()


def test_a_port_in_use_names_the_setting_to_change() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(HorrorError, match=rf"port {port} .* set HORROR_UI_PORT to another"):
            up.require_free_port("127.0.0.1", port, "HORROR_UI_PORT")


def test_a_free_port_is_fine() -> None:
    up.require_free_port("127.0.0.1", up.free_port(), "HORROR_UI_PORT")


def test_a_home_is_served_once_at_a_time(settings: Settings) -> None:
    first, again = (
        settings.model_copy(update={"horror_ui_port": up.free_port(), "horror_web_port": up.free_port()})
        for _ in range(2)
    )
    with (
        up.reserved(first),
        pytest.raises(HorrorError, match=r"another `horror up` serves .*; stop it, or set HORROR_HOME"),
        up.reserved(again),
    ):
        pass
    with up.reserved(again):  # what is over holds up nothing
        pass


@pytest.mark.parametrize(("status", "answers"), [(200, True), (503, False)])
def test_a_page_answers_with_200(answering: Answering, status: int, answers: bool) -> None:
    answering.status = status
    assert up.answers(answering.url)() is answers


def test_nobody_there_is_no_answer() -> None:
    assert up.answers(f"http://127.0.0.1:{up.free_port()}")() is False


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
    assert up.daemon_is_healthy(answering.url)() is healthy


def test_the_ui_and_the_daemon_find_the_code_server_where_it_listens(settings: Settings) -> None:
    code, ui, daemon, web = up.children(settings)
    workspace = settings.dagster_home / "workspace.yaml"
    (entry,) = yaml.safe_load(workspace.read_text())["load_from"]
    assert entry["grpc_server"]["host"] == "127.0.0.1"
    assert code.command[code.command.index("-p") + 1] == str(entry["grpc_server"]["port"])
    assert str(workspace) in ui.command and str(workspace) in daemon.command
    assert ui.command[ui.command.index("-p") + 1] == "3100"
    assert len({child.log for child in (code, ui, daemon, web)}) == 4


def test_only_the_ui_and_the_dashboard_listen_beyond_loopback_when_asked_to(tmp_path: Path) -> None:
    settings = Settings(_env_file=None, horror_home=tmp_path, horror_web_host="0.0.0.0")  # noqa: S104
    settings.dagster_home.mkdir()
    commands = [" ".join(child.command) for child in up.children(settings)]
    assert [("0.0.0.0" in command) for command in commands[:3]] == [False, True, False]  # noqa: S104
    assert up.url(settings, 3000) == "http://127.0.0.1:3000"
