"""What an answer of TMDB means: good, to be asked again, gone, our own mistake, or the end of the run.

What belongs here: reading status, TMDB's code and `Retry-After`. What does not: sending, waiting, counting.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

from horror_pipeline.errors import BadRequestError, CredentialError, ExportUnavailableError, NotFoundError, TmdbError
from horror_pipeline.tmdb.transport import Response

LONGEST_RETRY_AFTER_SECONDS = 60.0

_CREDENTIAL_CODES = frozenset({7, 10, 45})
_INVALID_ID_CODE = 44
_LONGEST_MESSAGE = 200


@dataclass(frozen=True)
class Again:
    """Ask again. `wait` is what the server asked for, in seconds, None where it asked for nothing usable."""

    reason: str
    rate_limited: bool = False
    wait: float | None = None


def judge(response: Response, what: str) -> Again | None:
    """None for a good answer, `Again` for one to be retried.

    Args:
        response: the answer; its body unread or whole.
        what: the path asked for, for the error's words.

    Raises:
        CredentialError: 401, or 403 of TMDB itself.
        NotFoundError: 404.
        BadRequestError: any other refusal of the request itself.
    """
    status = response.status
    if status == 200:
        return None
    code, message = _complaint(response.body)
    said = (
        f"{what} answered {status}"
        + (f", code {code}" if code is not None else "")
        + (f": {message}" if message else "")
    )
    if status == 429:
        return Again(said, rate_limited=True, wait=_retry_after(response.headers))
    if status == 401 or code in _CREDENTIAL_CODES:
        raise CredentialError(
            f"TMDB refused the credential ({said}); set TMDB_API_KEY to a valid v3 API key or v4 read access token "
            "from https://www.themoviedb.org/settings/api"
        )
    if status == 404:
        raise NotFoundError(said)
    if status == 500 and code == _INVALID_ID_CODE:
        raise BadRequestError(said)
    if status >= 500 or status == 408 or status < 200:
        return Again(said, wait=_retry_after(response.headers))
    if 200 < status < 300:
        return Again(said)
    raise BadRequestError(f"TMDB rejected a request: {said}")


def judge_export(response: Response, what: str) -> Again | None:
    """As `judge`, for a file of the exports server, which says 403 where there is no such file.

    Raises:
        ExportUnavailableError: not published yet, or expired.
    """
    status = response.status
    if status == 200:
        return None
    if status in (403, 404):
        raise ExportUnavailableError(
            f"{what} is not there ({status}): not published yet, or expired after about 90 days"
        )
    if status == 429:
        return Again(f"{what} answered 429", rate_limited=True, wait=_retry_after(response.headers))
    if status >= 500 or status == 408:
        return Again(f"{what} answered {status}", wait=_retry_after(response.headers))
    raise TmdbError(f"{what} answered {status}")


def server_date(headers: Mapping[str, str]) -> dt.datetime | None:
    """The answer's `Date`, UTC; None where there is none that can be read."""
    try:
        moment = parsedate_to_datetime(headers.get("Date", ""))
    except (ValueError, TypeError):
        return None
    return moment.astimezone(dt.UTC) if moment.tzinfo else moment.replace(tzinfo=dt.UTC)


def _complaint(body: bytes) -> tuple[int | None, str]:
    """TMDB's own code and message, where the body has them."""
    try:
        told = json.loads(body)
    except (ValueError, RecursionError):
        return None, ""
    if not isinstance(told, dict):
        return None, ""
    code, message = told.get("status_code"), told.get("status_message")
    text = " ".join(message.split())[:_LONGEST_MESSAGE] if isinstance(message, str) else ""
    return (code if isinstance(code, int) else None), text


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds of a positive `Retry-After`, capped; TMDB has sent 0, which means nothing."""
    try:
        seconds = float(headers.get("Retry-After", ""))
    except ValueError:
        return None
    return min(seconds, LONGEST_RETRY_AFTER_SECONDS) if seconds > 0 else None
