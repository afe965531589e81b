"""Reading the details documents of many films, as fast as the limiter lets them through.

What belongs here: one request a film, and what came of it. What does not: which films are due, storage, cleaning.
"""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Callable, Generator, Iterable
from contextlib import closing
from dataclasses import dataclass

from horror_pipeline.errors import BadRequestError, NotFoundError, UnavailableError
from horror_pipeline.tmdb.client import TmdbClient
from horror_pipeline.tmdb.parallel import run_parallel
from horror_pipeline.tmdb.payloads import APPENDED, Json, MalformedError, missing_parts, movie_id, payload_hash

MOST_FAILURES_IN_A_ROW = 25
"""Films that may fail one after the other before the reading is given up: TMDB is down, not one record broken."""


@dataclass(frozen=True)
class Details:
    """What TMDB said of one film: a document, that it is gone, or nothing usable.

    `body` and `text` are None without a document; `failure` is then why, or None where the film is gone.
    """

    tmdb_id: int
    fetched_at: dt.datetime
    body: Json | None = None
    text: str | None = None
    digest: str | None = None
    missing: tuple[str, ...] = ()
    failure: str | None = None

    @property
    def is_gone(self) -> bool:
        """Whether TMDB says there is no such film any more."""
        return self.body is None and self.failure is None


def details_of(
    client: TmdbClient, tmdb_ids: Iterable[int], clock: Callable[[], dt.datetime]
) -> Generator[Details, None, None]:
    """Ask for every film, several at once; results come in the order they arrive.

    One film that keeps failing is a result with its reason, so that the others are not lost.

    Args:
        client: asks TMDB.
        tmdb_ids: the films.
        clock: tells when an answer arrived, UTC.

    Raises:
        CredentialError: the credential was refused.
        UnavailableError: film after film fails.
    """

    def fetch(tmdb_id: int, cancel: threading.Event) -> Details:
        try:
            return _read(client, tmdb_id, clock, cancel)
        except NotFoundError:
            return Details(tmdb_id, clock())
        except (UnavailableError, BadRequestError) as error:
            return Details(tmdb_id, clock(), failure=str(error))

    failed = 0
    with closing(run_parallel(tmdb_ids, fetch, threads=client.connections)) as arriving:
        for found in arriving:
            failed = failed + 1 if found.failure else 0
            if failed >= MOST_FAILURES_IN_A_ROW:
                raise UnavailableError(f"{failed} films in a row could not be read; the last: {found.failure}")
            yield found


def _read(
    client: TmdbClient, tmdb_id: int, clock: Callable[[], dt.datetime], cancel: threading.Event | None
) -> Details:
    def check(body: Json) -> None:
        if movie_id(body) != tmdb_id:
            raise MalformedError("the document is of another film")

    asked = {"append_to_response": ",".join(APPENDED), "language": "en-US"}
    answer = client.fetch(f"/movie/{int(tmdb_id)}", asked, check=check, cancel=cancel)
    body = answer.body
    return Details(tmdb_id, clock(), body, answer.text, digest=payload_hash(body), missing=tuple(missing_parts(body)))
