"""One request over the wire: the seam where tests put a function instead of a network.

What belongs here: sending bytes and receiving bytes through urllib3. What does not: credentials' rules, retries, pace,
the meaning of an answer.

A transport is a function from `Request` to `Response`. It raises `ConnectionFailed` when no whole answer came; its text
never repeats the URL, which may hold a v3 key.
"""

from __future__ import annotations

import logging
import re
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from io import BytesIO
from typing import Protocol
from urllib.parse import urlsplit

import urllib3
from urllib3.exceptions import HTTPError, NewConnectionError, TimeoutError

KEY_IN_URL = re.compile(r"(api_key=)[^&\s'\")]+")


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
    """An answer: `body` is whole, or `stream` is still to be read when the request asked for it."""

    status: int
    headers: Mapping[str, str]
    body: bytes = b""
    stream: ByteStream | None = None


Transport = Callable[[Request], Response]


class ConnectionFailed(Exception):
    """No whole answer came. `reached` is False when there was not even a connection."""

    def __init__(self, reason: str, *, reached: bool) -> None:
        """Keep the reason in words that hold no URL."""
        super().__init__(reason)
        self.reached = reached


class _KeyFilter(logging.Filter):
    """Takes a v3 key out of what urllib3 logs at DEBUG: the request line."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = KEY_IN_URL.sub(r"\1***", record.getMessage()), ()
        return True


_KEY_FILTER = _KeyFilter()


class PooledTransport:
    """urllib3 with connections kept alive, one host per pool, proxies as the environment names them.

    Args:
        base_url: the host whose connections are kept.
        connections: how many at most; further threads wait for one.
    """

    def __init__(self, base_url: str, connections: int) -> None:
        """Open nothing yet."""
        # One filter object: a second client does not add a second.
        logging.getLogger("urllib3.connectionpool").addFilter(_KEY_FILTER)
        parts = urlsplit(base_url)
        proxy = urllib.request.getproxies().get(parts.scheme)
        bypass = parts.hostname is None or bool(urllib.request.proxy_bypass(parts.hostname))
        self._manager = (
            urllib3.ProxyManager(proxy, maxsize=connections, block=True)
            if proxy and not bypass
            else urllib3.PoolManager(maxsize=connections, block=True)
        )

    def __call__(self, request: Request) -> Response:
        """Send the request.

        Raises:
            ConnectionFailed: refused, reset, timed out, or the body was cut short.
        """
        timeout = urllib3.Timeout(connect=request.connect_seconds, read=request.read_seconds)
        try:
            answer = self._manager.urlopen(
                "GET",
                request.url,
                headers=request.headers,
                timeout=timeout,
                retries=False,
                redirect=False,
                preload_content=not request.stream,
                decode_content=not request.stream,
            )
        except HTTPError as error:
            raise ConnectionFailed(_reason(error), reached=not _never_connected(error)) from None
        if request.stream:
            return Response(answer.status, answer.headers, stream=answer)
        return Response(answer.status, answer.headers, answer.data)

    def close(self) -> None:
        """Close every connection."""
        self._manager.clear()


def _never_connected(error: HTTPError) -> bool:
    return isinstance(error, (NewConnectionError, urllib3.exceptions.ConnectTimeoutError))


def _reason(error: HTTPError) -> str:
    if isinstance(error, urllib3.exceptions.NameResolutionError):
        return "the host name could not be resolved"
    if isinstance(error, NewConnectionError):
        return "connection refused"
    if isinstance(error, TimeoutError):
        return "timed out"
    if isinstance(error, urllib3.exceptions.SSLError):
        return "the TLS certificate or handshake failed"
    if isinstance(error, urllib3.exceptions.ProxyError):
        return "the proxy failed"
    return "the connection was cut"


def whole_body(stream: ByteStream | None) -> ByteStream:
    """A stream that is there: an empty one where the transport gave none."""
    return stream if stream is not None else BytesIO()
