"""The made-up TMDB over HTTP/1.1, in threads of this process."""

from __future__ import annotations

import contextlib
import datetime as dt
import http
import socket
import threading
from collections.abc import Callable
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, unquote

from horror_pipeline.demo.routes import Answer, DemoTmdb, failure, notice
from horror_pipeline.errors import HorrorError

LAST_PORT = 65_535
SECONDS_TO_NOTICE_STOP = 0.02
_NOT_SUPPORTED = failure(405, 42, "This request method is not supported for this resource.")


def utc_today() -> dt.date:
    """Return the present day, UTC."""
    return dt.datetime.now(dt.UTC).date()


class DemoServer(ThreadingHTTPServer):
    """A running demo TMDB with a thread for each connection. As a context manager, it stops on exit.

    Attributes:
        port: the port it listens on.
        api_url: the value for `TMDB_API_URL`.
        exports_url: the value for `TMDB_EXPORTS_URL`.
    """

    daemon_threads = True
    request_queue_size = 256

    def __init__(self, address: tuple[str, int], tmdb: DemoTmdb) -> None:
        self.tmdb, self.lock = tmdb, threading.Lock()
        self.connections: set[socket.socket] = set()
        self._thread = threading.Thread(target=self._run, name="demo-tmdb", daemon=True)
        super().__init__(address, _Handler)
        host, self.port = self.server_address[:2]
        self.api_url = f"http://{host!s}:{self.port}/3"
        self.exports_url = f"http://{host!s}:{self.port}/p/exports"
        self._thread.start()

    def _run(self) -> None:
        self.tmdb.warm()  # until then requests wait in the listener's queue
        self.serve_forever(SECONDS_TO_NOTICE_STOP)

    def server_close(self) -> None:
        """Wait for the thread to end, and close all connections; a second call does nothing."""
        if self._thread.is_alive():
            self.shutdown()
            self._thread.join()
        super().server_close()
        for connection in tuple(self.connections):
            with contextlib.suppress(OSError):  # its client has closed it
                connection.shutdown(socket.SHUT_RDWR)


def serve(
    port: int = 0, *, host: str = "127.0.0.1", today: Callable[[], dt.date] = utc_today, scale: float = 1.0
) -> DemoServer:
    """Start the made-up TMDB in threads of this process; the returned server accepts requests at once.

    Args:
        port: the port to listen on; 0 picks a free one.
        host: the address to listen on.
        today: returns the present day, UTC.
        scale: the share of the films to make, as in `Catalogue`.

    Raises:
        HorrorError: the server cannot listen on the address.
    """
    try:
        return DemoServer((host, port), DemoTmdb(today, scale=scale))
    except (OSError, OverflowError) as error:
        reason = error.strerror if isinstance(error, OSError) else f"a port is at most {LAST_PORT}"
        raise HorrorError(
            f"the demo TMDB cannot listen on {host}:{port} ({reason})",
            "choose another port, or stop the program that uses this one",
        ) from None


def banner(api_url: str, exports_url: str) -> str:
    """Return the text that says what the demo is and which settings use it."""
    return "\n".join(
        (
            notice(),
            "Use it in another shell, where TMDB_API_KEY is not set, with:",
            f"  export TMDB_API_URL={api_url}",
            f"  export TMDB_EXPORTS_URL={exports_url}",
            "Ctrl-C stops it.",
        )
    )


class _Handler(BaseHTTPRequestHandler):
    """A client's connection, kept open; requests are answered one after another."""

    server: DemoServer
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def setup(self) -> None:
        super().setup()
        self.server.connections.add(self.connection)

    def finish(self) -> None:
        self.server.connections.discard(self.connection)
        with contextlib.suppress(OSError):
            super().finish()

    def handle(self) -> None:
        with contextlib.suppress(ConnectionError):
            super().handle()

    def do_GET(self) -> None:  # the base class calls this name
        path, _, query = self.path.partition("?")
        parameters = dict(parse_qsl(query, keep_blank_values=True))
        with self.server.lock:
            answer = self.server.tmdb.answer(unquote(path), parameters, self.headers.get("Authorization", ""))
        self._send(answer)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Refuse a request that is not GET, and end the connection, because the body of such a request is not read."""
        self.close_connection = True
        self._send(_NOT_SUPPORTED)

    def _send(self, answer: Answer) -> None:
        head = (
            f"HTTP/1.1 {answer.status} {http.HTTPStatus(answer.status).phrase}\r\n"
            f"Date: {_http_date(self.server.tmdb.today())}\r\n"
            f"Server: horror-demo\r\n"
            f"Content-Type: {answer.content_type}\r\n"
            f"Content-Length: {len(answer.body)}\r\n"
            f"Connection: {'close' if self.close_connection else 'keep-alive'}\r\n\r\n"
        )
        self.wfile.write(head.encode() + answer.body)

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing: queries may hold a credential."""


def _http_date(today: dt.date) -> str:
    """Return the demo's day with the present time of day, so that `Date` is right in a demo whose day is not today."""
    return format_datetime(dt.datetime.combine(today, dt.datetime.now(dt.UTC).timetz()), usegmt=True)
