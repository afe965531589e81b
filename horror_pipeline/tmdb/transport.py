"""One request over the wire, sent with `requests`.

A transport is a function from `Request` to `Response`, which raises `ConnectionFailedError` if no whole answer arrived.
Tests pass a function of their own.

The credential is added to the URL only in our own connection class, as it is written to the socket. So the URLs that
`requests` and urllib3 log, quote or store do not hold it: urllib3 logs each path with its query at DEBUG.
"""

from __future__ import annotations

import http.client
import io
import socket
import ssl
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from http.cookiejar import DefaultCookiePolicy
from typing import Any, cast

import requests
import urllib3
from requests.adapters import HTTPAdapter
from urllib3 import exceptions as errors
from urllib3.connection import HTTPConnection, HTTPSConnection

LARGEST_BODY_BYTES = 8 * 1024 * 1024
"""Largest size of an answer, before and after decompression. A details document has tens of kilobytes. Parsed, JSON may
take twenty times its size."""

PIECE_BYTES = 1 << 16


@dataclass(frozen=True)
class Request:
    """A GET request.

    Attributes:
        url: address without the credential.
        headers: these may hold a credential.
        secret_query: query parameters that hold a credential, encoded.
        connect_seconds: limit of connecting to one address.
        read_seconds: limit of each wait for further bytes.
        whole_seconds: limit of the whole answer, from connecting to the last byte.
        largest_bytes: limit of the body's size, before and after decompression.
        is_stream: whether to return the body unread.
    """

    url: str
    headers: Mapping[str, str] = field(repr=False)
    secret_query: str = field(default="", repr=False)
    connect_seconds: float = 5.0
    read_seconds: float = 12.0
    whole_seconds: float = 60.0
    largest_bytes: int = LARGEST_BODY_BYTES
    is_stream: bool = False


@dataclass(frozen=True)
class Response:
    """An answer. Only a request with `is_stream` gets a `stream`, which the caller closes, and an empty `body`."""

    status: int
    headers: Mapping[str, str]
    body: bytes = b""
    stream: io.BufferedIOBase | None = None


Transport = Callable[[Request], Response]

_ERRORS = (OSError, http.client.HTTPException, errors.HTTPError, zlib.error)  # those of `requests` are OSErrors


class ConnectionFailedError(Exception):
    """No whole answer arrived. `reached` is False if not even a connection was made."""

    def __init__(self, reason: str, *, reached: bool = True) -> None:
        super().__init__(reason)
        self.reached = reached


class RequestsTransport:
    """Send requests over kept connections, from any number of threads.

    Proxies and certificates come from the environment: HTTPS_PROXY, NO_PROXY, REQUESTS_CA_BUNDLE. Plain HTTP, which
    only local servers speak, never goes through a proxy. Redirects are not followed, cookies are not kept, and
    credentials in ~/.netrc are not sent.

    Args:
        connections: connections kept open to each host.
    """

    def __init__(self, connections: int = 10) -> None:
        self._session = _Session()
        self._session.headers.clear()
        self._session.auth = lambda prepared: prepared  # without one, `requests` looks into ~/.netrc
        self._session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, _Adapter(pool_maxsize=connections))

    def __call__(self, request: Request) -> Response:
        """Send the request.

        Raises:
            ConnectionFailedError: the connection failed, or the answer was cut short, too slow or too large.
        """
        _DEADLINE.set(time.monotonic() + request.whole_seconds)
        _SECRET_QUERY.set(request.secret_query)
        try:
            answer = self._session.get(
                request.url,
                headers=dict(request.headers),
                timeout=(request.connect_seconds, request.read_seconds),
                stream=True,
                proxies={"http": ""} if request.url.startswith("http://") else None,
            )
            stream = _Stream(answer.raw, request.largest_bytes)
            if request.is_stream:
                return Response(answer.status_code, answer.headers, stream=stream)
            with stream:
                body = _read(stream, answer.headers.get("Content-Encoding", ""), request.largest_bytes)
            return Response(answer.status_code, answer.headers, body)
        except _ERRORS as error:
            failure = _failure(error)
        raise failure  # outside of the handler: the library's error, which quotes more, is not kept as context

    def close(self) -> None:
        """Close every kept connection."""
        self._session.close()


class _Session(requests.Session):
    def get_redirect_target(self, resp: requests.Response) -> None:
        """Return no target, because `requests` reads the whole body of a redirect even if it does not follow it."""


class _Stream(io.BufferedIOBase):
    """A body as sent by the server, limited in size. Errors of libraries are raised as `ConnectionFailedError`."""

    def __init__(self, raw: urllib3.BaseHTTPResponse, largest: int) -> None:
        self._raw, self._largest, self._received = raw, largest, 0

    def read(self, size: int | None = None, /) -> bytes:
        try:
            piece = self._raw.read(size, decode_content=False)
            self._received += len(piece)
            failure = None if self._received <= self._largest else _too_large(self._largest)
        except _ERRORS as error:
            failure = _failure(error)
        if failure is None:
            return piece
        raise failure

    def tell(self) -> int:
        return self._received

    def close(self) -> None:
        self._raw.close()  # a body read to its end has already given its connection back
        super().close()


def _read(stream: io.BufferedIOBase, encoding: str, largest: int) -> bytes:
    """Read and decompress a body.

    Raises:
        ConnectionFailedError: the body is damaged, ends too early, or is larger than `largest` bytes.
    """
    pieces = iter(lambda: stream.read(PIECE_BYTES), b"")
    if encoding.lower() != "gzip":
        return b"".join(pieces)
    inflater, body = zlib.decompressobj(wbits=31), bytearray()
    for piece in pieces:
        body += inflater.decompress(piece, largest - len(body) + 1)
        if len(body) > largest:
            raise _too_large(largest)
    if not inflater.eof:
        raise ConnectionFailedError("the compressed body ends too early")
    return bytes(body)


def _too_large(largest: int) -> ConnectionFailedError:
    return ConnectionFailedError(f"the body is larger than {largest:,} bytes")


# -- our own connections ----------------------------------------------------------------------------------------------


_DEADLINE: ContextVar[float] = ContextVar("deadline")
_SECRET_QUERY: ContextVar[str] = ContextVar("secret_query")
"""The deadline and the secret query are those of the request that the current thread is sending."""


class _TimedReader(io.RawIOBase):
    """The input of a socket, which ends in TimeoutError when the deadline has passed."""

    def __init__(self, raw: io.RawIOBase, sock: socket.socket, deadline: float) -> None:
        self._raw, self._sock, self._deadline = raw, sock, deadline

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int | None:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("timed out")
        if left < (self._sock.gettimeout() or left + 1):
            self._sock.settimeout(left)
        return cast("int | None", self._raw.readinto(buffer))

    def close(self) -> None:
        self._raw.close()
        super().close()


class _TimedResponse(http.client.HTTPResponse):
    """An answer whose status line, headers and body together have one deadline."""

    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        raw = self.fp.detach()
        self.fp = io.BufferedReader(_TimedReader(raw, sock, _DEADLINE.get()))


class _OwnConnection(HTTPConnection):
    """Add the credential to the request line, enforce the deadline of answers, and prefer an address that worked."""

    response_class = _TimedResponse

    def putrequest(self, method: str, url: str, *args: Any, **kwargs: Any) -> None:
        secret = _SECRET_QUERY.get()
        super().putrequest(method, f"{url}{'&' if '?' in url else '?'}{secret}" if secret else url, *args, **kwargs)

    def _new_conn(self) -> socket.socket:
        """Connect to the address at which the host was last reached; if that fails, resolve the host's name."""
        host = self.host
        try:
            self.host = _REACHED_AT.pop((host, self.port), host)
            sock = super()._new_conn()
        except errors.HTTPError:
            if self.host == host:
                raise
            self.host = host
            sock = super()._new_conn()
        finally:
            self.host = host
        _REACHED_AT[host, self.port] = sock.getpeername()[0]
        return sock


class _OwnTlsConnection(_OwnConnection, HTTPSConnection):
    """`_OwnConnection` over TLS."""


_REACHED_AT: dict[tuple[str, int | None], str] = {}
"""The address at which each host and port was reached last."""


class _OwnPool(urllib3.HTTPConnectionPool):
    ConnectionCls = _OwnConnection


class _OwnTlsPool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _OwnTlsConnection


class _Adapter(HTTPAdapter):
    """The adapter of `requests` with our own connections, direct and through a proxy."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = {"http": _OwnPool, "https": _OwnTlsPool}

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> Any:
        manager = super().proxy_manager_for(*args, **kwargs)
        manager.pool_classes_by_scheme = {"http": _OwnPool, "https": _OwnTlsPool}
        return manager


# -- what went wrong --------------------------------------------------------------------------------------------------

_NEVER_REACHED = (errors.NewConnectionError, errors.ConnectTimeoutError, errors.ProxyError, ssl.SSLError)

_REASONS: tuple[tuple[tuple[type[BaseException], ...], str], ...] = (
    ((errors.ProxyError,), "the proxy could not be used"),
    ((socket.gaierror,), "the host name could not be resolved"),
    ((TimeoutError,), "timed out"),
    ((ConnectionRefusedError,), "connection refused"),
    ((ssl.SSLError,), "the TLS certificate or handshake failed"),
    ((zlib.error,), "the compressed body is damaged"),
    ((http.client.IncompleteRead, errors.IncompleteRead, ConnectionError), "the connection was cut"),
)


def _failure(error: BaseException) -> ConnectionFailedError:
    """Describe an error in our own words, because its text may quote the URL, or what the server sent."""
    chain = list(_chain(error))
    reached = not any(isinstance(link, _NEVER_REACHED) for link in chain)
    for kinds, reason in _REASONS:
        if any(isinstance(link, kinds) for link in chain):
            return ConnectionFailedError(reason, reached=reached)
    return ConnectionFailedError(f"the connection failed ({type(chain[-1]).__name__})", reached=reached)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """Yield the error, then the error that it was raised from, and so on."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
