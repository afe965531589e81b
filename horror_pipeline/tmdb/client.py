"""The TMDB client: credential, pace, retries, and errors told apart.

What belongs here: getting one JSON object, or one stream, out of TMDB, or a typed error. What does not: which pages or
films to ask for, storage, Dagster.

The credential never leaves this module: a v4 token is a header, a v3 key is added to the URL at the moment of sending,
and every error raised here is new, without cause, its words redacted.
"""

from __future__ import annotations

import datetime as dt
import random
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Protocol, TypeVar
from urllib.parse import quote, quote_plus, urlencode, urlsplit

from horror_pipeline.domain import credential_form
from horror_pipeline.errors import CredentialError, TmdbError, UnavailableError
from horror_pipeline.tmdb.payloads import Document, Json, MalformedError, parse
from horror_pipeline.tmdb.rate_limiter import Limiter
from horror_pipeline.tmdb.retry_policy import Again, judge, judge_export, server_date
from horror_pipeline.tmdb.streams import ExportStream
from horror_pipeline.tmdb.transport import (
    ConnectionFailedError,
    PooledTransport,
    Request,
    Response,
    Transport,
)

ATTEMPTS = 8
"""Attempts at one request once TMDB has answered at all: about two minutes of patience."""

ATTEMPTS_BEFORE_FIRST_ANSWER = 4
"""Attempts while TMDB was never reached: a wrong address is told in seconds."""

FIRST_BACKOFF_SECONDS = 0.5
LONGEST_BACKOFF_SECONDS = 30.0
USER_AGENT = "horror-pipeline"

T = TypeVar("T")


class ClientSettings(Protocol):
    """The settings a client is made from."""

    @property
    def tmdb_api_key(self) -> Any: ...  # noqa: D102

    @property
    def tmdb_api_url(self) -> str: ...  # noqa: D102

    @property
    def tmdb_exports_url(self) -> str: ...  # noqa: D102

    @property
    def tmdb_requests_per_second(self) -> float: ...  # noqa: D102

    @property
    def tmdb_connections(self) -> int: ...  # noqa: D102


@dataclass(frozen=True)
class ClientStats:
    """What a client did: requests sent, and seconds from the first of them to the latest answer."""

    requests: int = 0
    retries: int = 0
    rate_limited: int = 0
    failures: int = 0
    seconds: float = 0.0

    def __sub__(self, earlier: ClientStats) -> ClientStats:
        """What was done since `earlier`."""
        return ClientStats(
            self.requests - earlier.requests,
            self.retries - earlier.retries,
            self.rate_limited - earlier.rate_limited,
            self.failures - earlier.failures,
            self.seconds - earlier.seconds,
        )


class TmdbClient:
    """Asks TMDB, from any number of threads, under one rate.

    Args:
        api_url: base URL of the v3 API.
        exports_url: base URL of the daily id exports.
        api_key: v3 key or v4 token, told apart by form; None sends none (the demo needs none).
        requests_per_second: ceiling of all requests together.
        connections: connections kept open at once.
        transport: sends a request; by default over kept connections.
        limiter: by default one of `requests_per_second`.
    """

    def __init__(
        self,
        *,
        api_url: str,
        exports_url: str,
        api_key: str | None,
        requests_per_second: float,
        connections: int,
        transport: Transport | None = None,
        limiter: Limiter | None = None,
    ) -> None:
        """Open nothing yet.

        Raises:
            CredentialError: the key holds characters that can be in none.
        """
        self.api_url = api_url.rstrip("/")
        self.exports_url = exports_url.rstrip("/")
        self.connections = connections
        self.limiter = limiter or Limiter(requests_per_second)
        self._pool = PooledTransport()
        self._transport: Transport = transport or self._pool
        self._secret = api_key
        self._headers, self._key_query = _credential(api_key)
        self._lock = threading.Lock()
        self._counts = dict.fromkeys(("requests", "retries", "rate_limited", "failures"), 0)
        self._first = self._latest = float("nan")
        self._date: dt.datetime | None = None
        self._was_reached = False

    @classmethod
    def from_settings(cls, settings: ClientSettings) -> TmdbClient:
        """A client as the settings say."""
        key = settings.tmdb_api_key
        return cls(
            api_url=settings.tmdb_api_url,
            exports_url=settings.tmdb_exports_url,
            api_key=key.get_secret_value() if key else None,
            requests_per_second=settings.tmdb_requests_per_second,
            connections=settings.tmdb_connections,
        )

    def __enter__(self) -> TmdbClient:
        """Use as a context manager: connections are closed at the end."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connections."""
        self.close()

    def close(self) -> None:
        """Close every connection."""
        self._pool.close()

    @property
    def stats(self) -> ClientStats:
        """What was done so far; subtract an earlier one for the difference."""
        with self._lock:
            seconds = self._latest - self._first if self._counts["requests"] else 0.0
            return ClientStats(**self._counts, seconds=seconds)

    def server_date(self) -> dt.datetime | None:
        """The `Date` of TMDB's latest answer, UTC; None before the first answer or where it sends none."""
        return self._date

    def get(self, path: str, **params: str | int) -> Json:
        """One JSON object.

        Args:
            path: like `/discover/movie`; only integers may be put into it.
            params: query parameters, without the credential.

        Raises:
            CredentialError: the credential was refused.
            NotFoundError: the record no longer exists.
            BadRequestError: TMDB rejected the request itself.
            UnavailableError: still failing after every retry.
        """
        return self.fetch(path, params).body

    def fetch(
        self,
        path: str,
        params: Mapping[str, str | int] | None = None,
        *,
        check: Callable[[Json], object] | None = None,
        cancel: threading.Event | None = None,
    ) -> Document:
        """As `get`, with the text to store.

        Args:
            path: as in `get`.
            params: as in `get`.
            check: raises `MalformedError` on a body of the wrong shape, which is then asked for again.
            cancel: set it to give up waiting.

        Raises:
            CancelledError: `cancel` was set.
            TmdbError: as in `get`.
        """

        def read(response: Response) -> Document:
            document = parse(response.body)
            if check is not None:
                check(document.body)
            return document

        request = Request(self._url(path, params or {}), self._headers)
        return self._ask(request, path, read, cancel=cancel)

    def check_credential(self) -> None:
        """Ask TMDB whether it takes the credential; answers within seconds.

        Raises:
            CredentialError: it does not.
            UnavailableError: TMDB could not be asked.
        """
        path = "/authentication"
        request = Request(self._url(path, {}), self._headers, connect_seconds=2.0, read_seconds=3.0)
        self._ask(request, path, lambda response: parse(response.body), attempts=2)

    @contextmanager
    def open_export(self, url: str) -> Iterator[ExportStream]:
        """Stream a daily export, as it is on the server (gzip), without any credential.

        Raises:
            ExportUnavailableError: not published yet, or expired (403, 404).
            UnavailableError: still failing after every retry before the first byte, or cut short while read.
        """
        request = Request(url, {"User-Agent": USER_AGENT}, read_seconds=30.0, stream=True)
        response = self._ask(request, urlsplit(url).path, lambda answer: answer, judged=judge_export)
        stream = ExportStream(response)
        try:
            yield stream
        finally:
            stream.close()

    # -- one request, and again ----------------------------------------------------------------------------------------

    def _ask(
        self,
        request: Request,
        what: str,
        read: Callable[[Response], T],
        *,
        attempts: int | None = None,
        cancel: threading.Event | None = None,
        judged: Callable[[Response, str], Again | None] = judge,
    ) -> T:
        attempt = 0
        while True:
            attempt += 1
            trouble = self._attempt(request, what, read, judged, cancel, is_retry=attempt > 1)
            if not isinstance(trouble, Again):
                return trouble
            allowed = attempts or (ATTEMPTS if self._was_reached else ATTEMPTS_BEFORE_FIRST_ANSWER)
            if attempt >= allowed:
                self._count("failures")
                raise UnavailableError(
                    f"TMDB at {_host(request.url)} keeps failing after {attempt} attempts: "
                    f"{self._redacted(trouble.reason)}; check the network and TMDB_API_URL, then run again"
                )
            self._back_off(trouble, attempt, cancel)

    def _attempt(
        self,
        request: Request,
        what: str,
        read: Callable[[Response], T],
        judged: Callable[[Response, str], Again | None],
        cancel: threading.Event | None,
        *,
        is_retry: bool,
    ) -> T | Again:
        """Send once: what was read, or why to ask again."""
        self.limiter.acquire(cancel)
        if not self._counts["requests"]:
            self._first = self.limiter.clock()
        self._count("requests")
        if is_retry:
            self._count("retries")
        try:
            response = self._transport(request)
        except ConnectionFailedError as failure:
            self._was_reached = self._was_reached or failure.reached
            return Again(str(failure))
        finally:
            self._latest = self.limiter.clock()
        self._was_reached = True
        self._date = server_date(response.headers) or self._date
        try:
            trouble = judged(response, what)
            if trouble is None:
                found = read(response)
                self.limiter.succeeded()
                return found
        except MalformedError as error:
            return Again(f"{what}: {error}")
        except TmdbError as error:
            raise type(error)(self._redacted(str(error))) from None
        if response.stream is not None:
            response.stream.close()
        return trouble

    def _back_off(self, trouble: Again, attempt: int, cancel: threading.Event | None) -> None:
        ceiling = min(LONGEST_BACKOFF_SECONDS, FIRST_BACKOFF_SECONDS * 2 ** (attempt - 1))
        seconds = trouble.wait or ceiling * random.uniform(0.5, 1.0)  # noqa: S311 - jitter, not a secret
        if trouble.rate_limited:
            self._count("rate_limited")
            self.limiter.refused(seconds)  # everybody waits, this thread among them, in its next acquire
        else:
            self.limiter.failed()
            self.limiter.wait(seconds, cancel)

    def _url(self, path: str, params: Mapping[str, str | int]) -> str:
        query = "&".join(part for part in (urlencode(params), self._key_query) if part)
        return f"{self.api_url}{path}" + (f"?{query}" if query else "")

    def _count(self, name: str, more: int = 1) -> None:
        with self._lock:
            self._counts[name] += more
            self._latest = self.limiter.clock()

    def _redacted(self, text: str) -> str:
        """The text without the credential in any of the forms a server could echo it in."""
        if not self._secret:
            return text
        for form in {self._secret, quote(self._secret, safe=""), quote_plus(self._secret)}:
            text = text.replace(form, "***")
        return text


def _credential(api_key: str | None) -> tuple[dict[str, str], str]:
    """The headers of every request, and the query a v3 key needs.

    What is not a v4 token is sent as a v3 key. The settings refuse a credential that is neither, except on loopback,
    where a test server may take any.
    """
    headers = {"User-Agent": USER_AGENT, "Accept": "application/json", "Accept-Encoding": "gzip"}
    if not api_key:
        return headers, ""
    if not (api_key.isascii() and api_key.isprintable()):
        raise CredentialError("TMDB_API_KEY holds characters that no key has; copy it again")
    if credential_form(api_key) == "v4":
        return headers | {"Authorization": f"Bearer {api_key}"}, ""
    return headers, urlencode({"api_key": api_key})


def _host(url: str) -> str:
    return urlsplit(url).hostname or "?"
