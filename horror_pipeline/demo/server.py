"""The made-up TMDB over HTTP/1.1, in a thread of this process.

What belongs here: sockets, connections, headers, starting and stopping. What does not: what is answered (answers.py).
"""

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
from types import FrameType, TracebackType
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
    """The present day, UTC."""
    return dt.datetime.now(dt.UTC).date()


class DemoServer:
    """A running demo TMDB; a context manager that stops it at its end.

    Attributes:
        port: where it listens.
        api_url: what to use as `TMDB_API_URL`.
        exports_url: what to use as `TMDB_EXPORTS_URL`.
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
        """Close every connection and wait for the thread to end; a second call does nothing."""
        with contextlib.suppress(RuntimeError):  # the loop is closed already
            self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join()

    def __enter__(self) -> DemoServer:
        """The server itself; it runs already."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop it."""
        self.stop()

    def _run(self) -> None:
        try:
            self._loop.run_until_complete(self._serve())
        finally:
            self._loop.close()

    async def _serve(self) -> None:
        self._tmdb.warm()  # early requests wait in the listener's queue meanwhile
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
    """Serve the made-up TMDB from a thread of this process; it answers when this returns.

    Args:
        port: 0 takes any free one.
        host: address to listen on.
        today: the present day whenever it is asked for, UTC.
        seed: another seed, other films.
        scale: share of the films to make; 0.05 gives some 150 horror films instead of some 3,000.

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
    """Serve until SIGINT or SIGTERM; for the main thread only.

    Args:
        host: address to listen on.
        port: 0 takes any free one.
        on_ready: called once with the running server, to tell its URLs.
        today: the present day whenever it is asked for, UTC.
        seed: another seed, other films.

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
    """What to tell whoever started the demo: what it is, and the settings that use it."""
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
            f"the demo TMDB cannot listen on {host}:{port} ({reason}); choose another port, or stop what uses this one"
        ) from None


class _Connection(asyncio.Protocol):
    """One client's connection, kept open; requests are answered one after another."""

    def __init__(self, tmdb: DemoTmdb, open_connections: set[asyncio.Transport]) -> None:
        self._tmdb = tmdb
        self._open = open_connections
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._open.add(self._transport)
        # asyncio does so only for sockets whose protocol is spelt out, which an accepted one's is not.
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
        """Answer one request; False ends the connection."""
        request, *lines = head.split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        method, _, rest = request.partition(" ")
        target, _, version = rest.partition(" ")
        is_kept = version == "HTTP/1.1" and headers.get("connection", "").lower() != "close"
        if method != "GET" or not version.startswith("HTTP/1."):
            # Whatever body follows is not read, so the connection cannot go on.
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
    """The demo's own day at the present time of day: a demo of another day is consistent in itself."""
    return format_datetime(dt.datetime.combine(today, dt.datetime.now(dt.UTC).timetz()), usegmt=True)
