"""The made-up TMDB over HTTP/1.1, in a thread of this process."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import errno
import http
import signal
import socket
import threading
from collections.abc import Callable
from email.utils import format_datetime
from types import FrameType
from typing import cast
from urllib.parse import parse_qsl, unquote

from horror_pipeline.demo.catalogue import DEMO_SEED
from horror_pipeline.demo.routes import Answer, DemoTmdb, failure, notice
from horror_pipeline.errors import HorrorError

LONGEST_HEAD = 64 * 1024
LAST_PORT = 65_535
_NOT_SUPPORTED = failure(405, 42, "This request method is not supported for this resource.")
_REASONS = {status.value: status.phrase for status in http.HTTPStatus}


def utc_today() -> dt.date:
    """Return the present day, UTC."""
    return dt.datetime.now(dt.UTC).date()


class DemoServer:
    """A running demo TMDB; a context manager that stops the server on exit.

    Attributes:
        port: the port it listens on.
        api_url: the value for `TMDB_API_URL`.
        exports_url: the value for `TMDB_EXPORTS_URL`.
    """

    def __init__(self, tmdb: DemoTmdb, listener: socket.socket) -> None:
        self._tmdb = tmdb
        self._listener = listener
        host, self.port = listener.getsockname()[:2]
        self.api_url = f"http://{host}:{self.port}/3"
        self.exports_url = f"http://{host}:{self.port}/p/exports"
        self._loop = asyncio.new_event_loop()
        self._stopping = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="demo-tmdb", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Close all connections and wait for the thread to end; a second call does nothing."""
        with contextlib.suppress(RuntimeError):  # the loop is closed already
            self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join()

    def __enter__(self) -> DemoServer:
        """Return the server, which already runs."""
        return self

    def __exit__(self, *exception: object) -> None:
        """Stop the server."""
        self.stop()

    def _run(self) -> None:
        try:
            self._loop.run_until_complete(self._serve())
        finally:
            self._loop.close()

    async def _serve(self) -> None:
        self._tmdb.warm()  # until then requests wait in the listener's queue
        open_connections: set[asyncio.Transport] = set()
        server = await self._loop.create_server(lambda: _Connection(self._tmdb, open_connections), sock=self._listener)
        await self._stopping.wait()
        server.close()
        for connection in tuple(open_connections):
            connection.abort()
        await asyncio.sleep(0)  # lets aborted connections close their sockets


def serve(
    port: int = 0,
    *,
    host: str = "127.0.0.1",
    today: Callable[[], dt.date] = utc_today,
    seed: int = DEMO_SEED,
    scale: float = 1.0,
) -> DemoServer:
    """Serve the made-up TMDB from a thread of this process; it accepts requests when this returns.

    Args:
        port: the port to listen on; 0 picks a free one.
        host: the address to listen on.
        today: returns the present day, UTC.
        seed: another seed makes other films.
        scale: the share of the films to make, as in `Catalogue`.

    Raises:
        HorrorError: the address cannot be listened on.
    """
    listener = _listen(host, port)
    return DemoServer(DemoTmdb(today, seed, scale), listener)


def run_forever(
    host: str = "127.0.0.1",
    port: int = 0,
    *,
    on_ready: Callable[[DemoServer], None],
    today: Callable[[], dt.date] = utc_today,
    seed: int = DEMO_SEED,
) -> None:
    """Serve until SIGINT or SIGTERM; call it from the main thread only.

    Args:
        host: the address to listen on.
        port: the port to listen on; 0 picks a free one.
        on_ready: called once with the running server.
        today: returns the present day, UTC.
        seed: another seed makes other films.

    Raises:
        HorrorError: the address cannot be listened on.
    """
    stopped = threading.Event()

    def stop(number: int, frame: FrameType | None) -> None:
        stopped.set()

    previous = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        with serve(port, host=host, today=today, seed=seed) as server:
            on_ready(server)
            stopped.wait()
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


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


def _listen(host: str, port: int) -> socket.socket:
    try:
        if not 0 <= port <= LAST_PORT:
            raise OSError(errno.EINVAL, "no such port")
        return socket.create_server((host, port), backlog=256)
    except OSError as error:
        reason = str(error.strerror).partition(" (while")[0]  # what follows repeats the address
        raise HorrorError(
            f"the demo TMDB cannot listen on {host}:{port} ({reason})",
            "choose another port, or stop the program that uses this one",
        ) from None


class _Connection(asyncio.Protocol):
    """A client's connection, kept open; requests are served one after another."""

    def __init__(self, tmdb: DemoTmdb, open_connections: set[asyncio.Transport]) -> None:
        self._tmdb = tmdb
        self._open = open_connections
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._open.add(self._transport)
        # asyncio sets this only for sockets made with an explicit protocol, which accepted ones are not.
        self._transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def connection_lost(self, exc: Exception | None) -> None:
        self._open.discard(self._transport)

    def data_received(self, data: bytes) -> None:
        self._received += data
        while b"\r\n\r\n" in self._received:
            head, _, self._received = self._received.partition(b"\r\n\r\n")
            if not self._respond(head.decode("latin-1")):
                self._transport.close()
                return
        if len(self._received) > LONGEST_HEAD:
            self._transport.close()

    def _respond(self, head: str) -> bool:
        """Send the response to one request; return False where the connection has to end."""
        request, *lines = head.split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        method, _, rest = request.partition(" ")
        target, _, version = rest.partition(" ")
        is_kept = version == "HTTP/1.1" and headers.get("connection", "").lower() != "close"
        if method != "GET" or not version.startswith("HTTP/1."):
            # A body that may follow is not read, so the connection cannot be used again.
            self._send(_NOT_SUPPORTED, is_kept=False)
            return False
        path, _, query = target.partition("?")
        parameters = dict(parse_qsl(query, keep_blank_values=True))
        self._send(self._tmdb.answer(unquote(path), parameters, headers.get("authorization", "")), is_kept)
        return is_kept

    def _send(self, answer: Answer, is_kept: bool) -> None:
        head = (
            f"HTTP/1.1 {answer.status} {_REASONS[answer.status]}\r\n"
            f"Date: {_http_date(self._tmdb.today())}\r\n"
            f"Server: horror-demo\r\n"
            f"Content-Type: {answer.content_type}\r\n"
            f"Content-Length: {len(answer.body)}\r\n"
            f"Connection: {'keep-alive' if is_kept else 'close'}\r\n\r\n"
        )
        self._transport.write(head.encode() + answer.body)


def _http_date(today: dt.date) -> str:
    """Return the demo's own day with the present time of day, so that a demo of another day is consistent."""
    return format_datetime(dt.datetime.combine(today, dt.datetime.now(dt.UTC).timetz()), usegmt=True)
