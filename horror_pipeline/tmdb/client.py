"""The TMDB client: credential, rate, retries and typed errors.

The credential never leaves this module in a message. A v4 token is sent as a header, and a v3 key as a query parameter
that only the transport sees. Every error raised here is a new one, without a cause, whose text is redacted.
"""

from __future__ import annotations

import datetime as dt
import random
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import astuple, dataclass
from itertools import count
from typing import TypeVar
from urllib.parse import quote, quote_plus, urlencode, urlsplit

from horror_pipeline.domain import credential_form
from horror_pipeline.errors import CredentialError, TmdbError, UnavailableError
from horror_pipeline.tmdb.payloads import Document, Json, MalformedError, parse
from horror_pipeline.tmdb.rate_limiter import RateLimiter
from horror_pipeline.tmdb.retry_policy import Retry, classify_response, server_date
from horror_pipeline.tmdb.transport import ConnectionFailedError, Request, RequestsTransport, Response, Transport

ATTEMPTS = 8
"""Attempts at one request once TMDB was reached; they take about two minutes."""

ATTEMPTS_BEFORE_FIRST_ANSWER = 4
"""Attempts as long as TMDB was never reached; few, so that a wrong address is reported within seconds."""

FIRST_BACKOFF_SECONDS = 0.5
LONGEST_BACKOFF_SECONDS = 30.0
EXPORT_SECONDS = 900.0
LARGEST_EXPORT_BYTES = 1 << 29
USER_AGENT = "horror-pipeline"

T = TypeVar("T")


@dataclass(frozen=True)
class ClientStats:
    """Counts of a client's requests, and the seconds from the first of them to the latest answer."""

    requests: int = 0
    retries: int = 0
    rate_limited: int = 0
    seconds: float = 0.0

    def __sub__(self, earlier: ClientStats) -> ClientStats:
        """Return the counts since `earlier`."""
        return ClientStats(*(now - then for now, then in zip(astuple(self), astuple(earlier), strict=True)))


class TmdbClient:
    """Send requests to TMDB, from any number of threads, under one rate.

    Args:
        api_url: base URL of the v3 API.
        exports_url: base URL of the daily id exports.
        api_key: v3 key or v4 token, distinguished by its form; None sends no credential, which the demo accepts.
        requests_per_second: the highest rate of all requests together.
        connections: the most requests under way at once.
        transport: sends a request; by default a `RequestsTransport`.
        limiter: limits the rate; by default a `RateLimiter` of `requests_per_second`.

    Attributes:
        server_date: the `Date` of TMDB's latest answer, UTC; None where no answer had one.

    Raises:
        CredentialError: the key holds characters that no key has.
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
        limiter: RateLimiter | None = None,
    ) -> None:
        self.api_url = api_url.rstrip("/")
        self.exports_url = exports_url.rstrip("/")
        self.connections = max(1, connections)
        self.server_date: dt.datetime | None = None
        self.limiter = limiter or RateLimiter(requests_per_second)
        self._requests = RequestsTransport(self.connections)
        self._transport: Transport = transport or self._requests
        self._secret = api_key
        self._headers, self._key_query = _credential(api_key)
        self._lock = threading.Lock()
        self._counts = dict.fromkeys(("requests", "retries", "rate_limited"), 0)
        self._first = self._latest = float("nan")
        self._was_reached = False

    def __enter__(self) -> TmdbClient:
        """Use as a context manager, which closes the connections at its end."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close every connection."""
        self._requests.close()

    @property
    def stats(self) -> ClientStats:
        """The counts so far; subtract earlier counts to get those since then."""
        with self._lock:
            seconds = self._latest - self._first if self._counts["requests"] else 0.0
            return ClientStats(**self._counts, seconds=seconds)

    def fetch(
        self,
        path: str,
        params: Mapping[str, str | int] | None = None,
        *,
        check: Callable[[Json], object] | None = None,
        cancel: threading.Event | None = None,
    ) -> Document:
        """Return the JSON object at a path, with its text to store.

        Args:
            path: for example `/discover/movie`. It is not escaped, so insert only integers.
            params: query parameters, without the credential.
            check: raises `MalformedError` on a body of the wrong shape, which is then requested again.
            cancel: set it to end the waiting.

        Raises:
            CredentialError: TMDB refused the credential.
            NotFoundError: the record no longer exists.
            BadRequestError: TMDB rejected the request itself.
            UnavailableError: the last retry failed as well.
            CancelledError: `cancel` was set.
        """

        def read(response: Response) -> Document:
            document = parse(response.body)
            if check is not None:
                check(document.body)
            return document

        url = f"{self.api_url}{path}" + (f"?{urlencode(params)}" if params else "")
        return self._ask(Request(url, self._headers, self._key_query), read, cancel=cancel)

    def check_credential(self) -> None:
        """Ask TMDB whether it accepts the credential, within seconds.

        Raises:
            CredentialError: TMDB refused the credential.
            UnavailableError: TMDB did not answer.
        """
        url = f"{self.api_url}/authentication"
        request = Request(url, self._headers, self._key_query, connect_seconds=2.0, read_seconds=3.0, whole_seconds=5.0)
        self._ask(request, lambda response: parse(response.body), attempts=2)

    def answers(self) -> bool:
        """Return whether TMDB answers at all, within seconds.

        Raises:
            CredentialError: TMDB refused the credential.
        """
        try:
            self.check_credential()
        except UnavailableError:
            return False
        return True

    @contextmanager
    def open_export(self, url: str) -> Iterator[Response]:
        """Open a daily export as a stream of its gzip bytes, without sending the credential.

        Raises:
            ExportUnavailableError: the export is not published yet, or has expired (403, 404).
            UnavailableError: the last retry failed as well.
        """
        request = Request(
            url,
            {"User-Agent": USER_AGENT},
            read_seconds=30.0,
            whole_seconds=EXPORT_SECONDS,
            largest_bytes=LARGEST_EXPORT_BYTES,
            is_stream=True,
        )
        response = self._ask(request, lambda answer: answer)
        try:
            yield response
        finally:
            _close(response)

    # -- one request and its retries -----------------------------------------------------------------------------------

    def _ask(
        self,
        request: Request,
        read: Callable[[Response], T],
        *,
        attempts: int | None = None,
        cancel: threading.Event | None = None,
    ) -> T:
        for attempt in count(1):
            self.limiter.acquire(cancel)
            result = self._attempt(request, read)
            if not isinstance(result, Retry):
                return result
            if attempt >= (attempts or (ATTEMPTS if self._was_reached else ATTEMPTS_BEFORE_FIRST_ANSWER)):
                raise UnavailableError(
                    f"TMDB at {urlsplit(request.url).hostname} keeps failing after {attempt} attempts: "
                    f"{self._redacted(result.reason)}",
                    "check the network and TMDB_API_URL, then run again",
                )
            self._back_off(result, attempt, cancel)
            self._count("retries")
        raise AssertionError("unreachable")

    def _attempt(self, request: Request, read: Callable[[Response], T]) -> T | Retry:
        """Send the request once; return what `read` makes of the answer, or why to send it again."""
        path = urlsplit(request.url).path
        self._count("requests")
        try:
            response = self._transport(request)
        except ConnectionFailedError as error:
            self._was_reached = self._was_reached or error.reached
            return Retry(str(error))
        finally:
            self._latest = self.limiter.clock()
        self._was_reached = True
        self.server_date = server_date(response.headers) or self.server_date
        try:
            retry = classify_response(response, path)
            if retry is None:
                result = read(response)
                self.limiter.succeeded()
                return result
        except MalformedError as error:
            retry = Retry(f"{path}: {error}")
        except TmdbError as error:
            _close(response)
            raise type(error)(self._redacted(error.problem), error.remedy) from None
        _close(response)
        return retry

    def _back_off(self, retry: Retry, attempt: int, cancel: threading.Event | None) -> None:
        ceiling = min(LONGEST_BACKOFF_SECONDS, FIRST_BACKOFF_SECONDS * 2 ** (attempt - 1))
        seconds = retry.wait_seconds or ceiling * random.uniform(0.5, 1.0)  # noqa: S311 - jitter, not a secret
        if retry.is_rate_limited:
            self._count("rate_limited")
            self.limiter.refused(seconds)  # every thread waits, this one in its next `acquire`
        else:
            self.limiter.failed()
            self.limiter.wait(seconds, cancel)

    def _count(self, name: str) -> None:
        with self._lock:
            self._latest = self.limiter.clock()
            if not self._counts["requests"]:
                self._first = self._latest
            self._counts[name] += 1

    def _redacted(self, text: str) -> str:
        """Return the text without the credential, in any form in which a server could echo it."""
        if not self._secret:
            return text
        for form in {self._secret, quote(self._secret, safe=""), quote_plus(self._secret)}:
            text = text.replace(form, "***")
        return text


def _credential(api_key: str | None) -> tuple[dict[str, str], str]:
    """Return the headers of every request, and the query parameter of a v3 key.

    Whatever is not a v4 token is sent as a v3 key. The settings refuse a credential that is neither, unless the API is
    on a loopback address, where a test server may accept any credential.
    """
    headers = {"User-Agent": USER_AGENT, "Accept": "application/json", "Accept-Encoding": "gzip"}
    if not api_key:
        return headers, ""
    if not (api_key.isascii() and api_key.isprintable()):
        raise CredentialError("TMDB_API_KEY holds characters that no key has", "copy it again")
    if credential_form(api_key) == "v4":
        return headers | {"Authorization": f"Bearer {api_key}"}, ""
    return headers, urlencode({"api_key": api_key})


def _close(response: Response) -> None:
    if response.stream is not None:
        response.stream.close()
