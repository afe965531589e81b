"""One request over the wire: the seam where tests put a function instead of a network.

What belongs here: sending bytes and receiving bytes over connections that are kept. What does not: credentials' rules,
retries, pace, the meaning of an answer.

A transport is a function from `Request` to `Response`. It raises `ConnectionFailedError` when no whole answer came; its text
never repeats the URL, which may hold a v3 key, and nothing here logs. The real one stands on `http.client`: at the
rates a local server allows, the time a request costs us is what limits the whole, and this costs a fraction of what a
general HTTP library does.
"""

from __future__ import annotations

import base64
import http.client
import select
import socket
import ssl
import struct
import threading
import time
import urllib.request
import zlib
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol, cast
from urllib.parse import SplitResult, unquote, urlsplit

SECONDS_SURELY_OPEN = 1.0

LARGEST_BODY = 64 * 1024 * 1024
"""Bytes an answer may unpack to; a details document has some tens of thousands."""


class ByteStream(Protocol):
    """What an unread body can do."""

    def read(self, amt: int = ..., /) -> bytes:
        """The next bytes, empty at the end."""

    def close(self) -> None:
        """Give the connection up."""


@dataclass(frozen=True)
class Request:
    """A GET request."""

    url: str
    headers: Mapping[str, str]
    connect_seconds: float = 5.0
    read_seconds: float = 12.0
    stream: bool = False


@dataclass(frozen=True)
class Response:
    """An answer: `body` is whole, or `stream` is still to be read when the request asked for it.

    Header names are looked up whatever their case.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes = b""
    stream: ByteStream | None = None


Transport = Callable[[Request], Response]


class ConnectionFailedError(Exception):
    """No whole answer came. `reached` is False when there was not even a connection."""

    def __init__(self, reason: str, *, reached: bool) -> None:
        """Keep the reason in words that hold no URL."""
        super().__init__(reason)
        self.reached = reached


class PooledTransport:
    """Connections kept alive, as many as threads ask at once.

    HTTPS goes through the proxy that the environment names for the host; plain HTTP, which only local servers speak,
    goes straight.
    """

    def __init__(self) -> None:
        """Open nothing yet."""
        self._lock = threading.Lock()
        self._idle: dict[str, list[tuple[http.client.HTTPConnection, float]]] = defaultdict(list)

    def __call__(self, request: Request) -> Response:
        """Send the request.

        Raises:
            ConnectionFailedError: refused, reset, timed out, or the body was cut short.
        """
        parts = urlsplit(request.url)
        origin = f"{parts.scheme}://{parts.netloc}"
        connection = self._take(origin) or _connect(parts, request.connect_seconds)
        started = time.monotonic()
        try:
            _allow(connection.sock, request.read_seconds)
            connection.request("GET", _target(parts), headers=dict(request.headers))
            answer = connection.getresponse()
            headers = cast(Mapping[str, str], answer.headers)  # it has a mapping's methods, and ignores case
            if request.stream:
                return Response(answer.status, headers, stream=_Stream(connection, answer))
            body = _unpacked(answer.read(), answer.headers.get("Content-Encoding", ""))
        except (OSError, http.client.HTTPException, zlib.error) as error:
            connection.close()
            timed_out = time.monotonic() - started >= request.read_seconds  # the kernel's timeout looks like the end
            raise ConnectionFailedError("timed out" if timed_out else _reason(error), reached=True) from None
        except BaseException:  # a KeyboardInterrupt in the middle of an answer: the connection is of no use any more
            connection.close()
            raise
        if not answer.will_close:
            with self._lock:
                self._idle[origin].append((connection, time.monotonic()))
        return Response(answer.status, headers, body)

    def _take(self, origin: str) -> http.client.HTTPConnection | None:
        """A kept connection that the server has not closed meanwhile."""
        while True:
            with self._lock:
                idle = self._idle[origin]
                if not idle:
                    return None
                connection, since = idle.pop()
            # A server closes what is idle, not what was just answered.
            if time.monotonic() - since < SECONDS_SURELY_OPEN or not _is_dropped(connection):
                return connection
            connection.close()

    def close(self) -> None:
        """Close every kept connection."""
        with self._lock:
            for idle in self._idle.values():
                while idle:
                    idle.pop()[0].close()


class _Stream:
    """The rest of an answer; its connection is not kept."""

    def __init__(self, connection: http.client.HTTPConnection, answer: http.client.HTTPResponse) -> None:
        self._connection, self._answer = connection, answer

    def read(self, amt: int = -1, /) -> bytes:
        return self._answer.read(amt if amt >= 0 else None)

    def close(self) -> None:
        self._answer.close()
        self._connection.close()


def _connect(parts: SplitResult, seconds: float) -> http.client.HTTPConnection:
    """A new connection, through a proxy where the environment names one for this host."""
    host, is_tls = parts.hostname or "", parts.scheme == "https"
    port = parts.port or (443 if is_tls else 80)
    proxy = _proxy(parts)
    to, at = (proxy.hostname or "", proxy.port or 8080) if proxy else (host, port)
    connection: http.client.HTTPConnection
    if is_tls:
        connection = http.client.HTTPSConnection(to, at, timeout=seconds, context=ssl.create_default_context())
        if proxy:
            connection.set_tunnel(host, port, headers=_proxy_credential(proxy))
    else:
        connection = http.client.HTTPConnection(to, at, timeout=seconds)
    try:
        connection.connect()
    except (OSError, http.client.HTTPException) as error:
        connection.close()
        raise ConnectionFailedError(_reason(error), reached=False) from None
    connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def _allow(sock: socket.socket, seconds: float) -> None:
    """Bound each wait for the other side.

    The kernel bounds a plain socket's: Python's own timeout asks before every read and write whether it would wait,
    which doubles the number of system calls.
    """
    if isinstance(sock, ssl.SSLSocket):
        sock.settimeout(seconds)
    elif sock.gettimeout() is not None:
        sock.settimeout(None)
        whole = int(seconds)
        bound = struct.pack("@ll", whole, int((seconds - whole) * 1_000_000))
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, bound)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, bound)


def _proxy(parts: SplitResult) -> SplitResult | None:
    proxy = urllib.request.getproxies().get("https")
    if parts.scheme != "https" or not proxy or urllib.request.proxy_bypass(parts.hostname or ""):
        return None
    return urlsplit(proxy if "://" in proxy else f"http://{proxy}")


def _proxy_credential(proxy: SplitResult) -> dict[str, str]:
    if proxy.username is None:
        return {}
    pair = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}"
    return {"Proxy-Authorization": "Basic " + base64.b64encode(pair.encode()).decode()}


def _target(parts: SplitResult) -> str:
    return (parts.path or "/") + (f"?{parts.query}" if parts.query else "")


def _is_dropped(connection: http.client.HTTPConnection) -> bool:
    """Whether a kept connection has something to read: its end, as no answer is owed."""
    if connection.sock is None:
        return True
    poll = select.poll()
    poll.register(connection.sock, select.POLLIN)
    return bool(poll.poll(0))


def _unpacked(body: bytes, encoding: str) -> bytes:
    if encoding.lower() != "gzip":
        return body
    inflate = zlib.decompressobj(16 + zlib.MAX_WBITS)
    found = inflate.decompress(body, LARGEST_BODY)
    if not inflate.eof:
        raise http.client.HTTPException("the body ends too early, or never")
    return found


def _reason(error: Exception) -> str:
    """The error's kind in our own words: its text may repeat the URL."""
    if isinstance(error, socket.gaierror):
        return "the host name could not be resolved"
    if isinstance(error, TimeoutError):
        return "timed out"
    if isinstance(error, ConnectionRefusedError):
        return "connection refused"
    if isinstance(error, ssl.SSLError):
        return "the TLS certificate or handshake failed"
    if isinstance(error, (http.client.IncompleteRead, http.client.RemoteDisconnected, ConnectionError)):
        return "the connection was cut"
    return f"the connection failed ({type(error).__name__})"
