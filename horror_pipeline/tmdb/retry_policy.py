"""What an answer of TMDB means: good, to be requested again, or one of the typed errors."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

from horror_pipeline.domain import EXPORTS_REACH_DAYS
from horror_pipeline.errors import BadRequestError, CredentialError, ExportUnavailableError, NotFoundError
from horror_pipeline.tmdb.payloads import MalformedError, parse
from horror_pipeline.tmdb.transport import Response

LONGEST_RETRY_AFTER_SECONDS = 60.0

_CREDENTIAL_CODES = frozenset({7, 10, 45})
_INVALID_ID_CODE = 44
_LONGEST_MESSAGE = 200


@dataclass(frozen=True)
class Retry:
    """The decision to send a request again.

    Attributes:
        reason: what was wrong with the answer.
        is_rate_limited: whether TMDB refused the request because there were too many.
        wait_seconds: the wait that the server asked for; None where it asked for nothing usable.
    """

    reason: str
    is_rate_limited: bool = False
    wait_seconds: float | None = None


def classify_response(response: Response, path: str) -> Retry | None:
    """Return None for a good answer, and `Retry` for an error that may be temporary.

    Raises:
        CredentialError: status 401, or one of TMDB's own codes for a refused credential.
        ExportUnavailableError: status 403 or 404 for a stream, because the exports server has no such file.
        NotFoundError: status 404.
        BadRequestError: TMDB rejected the request in another way.
    """
    status = response.status
    if status == 200:
        return None
    if response.stream is not None and status in (403, 404):
        raise ExportUnavailableError(
            f"{path} is not there ({status}): not published yet, or expired after about {EXPORTS_REACH_DAYS} days"
        )
    code, message = _complaint(response.body)
    answered = (
        f"{path} answered {status}"
        + (f", code {code}" if code is not None else "")
        + (f": {message}" if message else "")
    )
    if status == 401 or (code in _CREDENTIAL_CODES and status != 429):
        raise CredentialError(
            f"TMDB refused the credential ({answered})",
            "set TMDB_API_KEY to a valid v3 API key or v4 read access token "
            "from https://www.themoviedb.org/settings/api",
        )
    if status == 404:
        raise NotFoundError(answered, "check TMDB_API_URL")
    may_pass = status < 300 or status in (408, 429) or status >= 500
    if may_pass and (status, code) != (500, _INVALID_ID_CODE):
        return Retry(answered, status == 429, _retry_after(response.headers))
    raise BadRequestError(f"TMDB rejected a request: {answered}", "check TMDB_API_URL")


def server_date(headers: Mapping[str, str]) -> dt.datetime | None:
    """Return the answer's `Date`, UTC; None where there is no readable one."""
    try:
        moment = parsedate_to_datetime(headers.get("Date", ""))
        return moment.astimezone(dt.UTC) if moment.tzinfo else moment.replace(tzinfo=dt.UTC)
    except (ValueError, TypeError, OverflowError):
        return None


def _complaint(body: bytes) -> tuple[int | None, str]:
    """Return TMDB's own code and message, where the body has them."""
    try:
        complaint = parse(body).body
    except MalformedError:
        return None, ""
    code, message = complaint.get("status_code"), complaint.get("status_message")
    text = " ".join(message.split())[:_LONGEST_MESSAGE] if isinstance(message, str) else ""
    return (code if isinstance(code, int) else None), text


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds of a positive `Retry-After`, capped. TMDB has sent 0, which is ignored."""
    try:
        seconds = float(headers.get("Retry-After", ""))
    except ValueError:
        return None
    return min(seconds, LONGEST_RETRY_AFTER_SECONDS) if seconds > 0 else None
