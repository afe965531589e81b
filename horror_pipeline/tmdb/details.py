"""Reading the details documents of many films, as fast as the rate limiter allows."""

from __future__ import annotations

import datetime as dt
import json
import threading
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any

from horror_pipeline.errors import BadRequestError, NotFoundError, UnavailableError
from horror_pipeline.tmdb.client import TmdbClient
from horror_pipeline.tmdb.parallel import run_parallel
from horror_pipeline.tmdb.payloads import (
    ALSO_APPENDED,
    APPENDED,
    Json,
    MalformedError,
    absent_parts,
    as_text,
    movie_id,
    payload_hash,
)

MOST_FAILURES_IN_A_ROW = 25
"""Reading stops when this many films fail in a row: TMDB is then down, rather than single records broken."""


@dataclass(frozen=True)
class Details:
    """The result of asking TMDB for one film: a document, the answer that the film is gone, or a failure.

    Attributes:
        text: the document's JSON; None if there is no document. A parsed document may take many times the memory.
        absent: the requested sub-objects that the document lacks.
        failure: why there is no document; None if there is one, or if the film is gone.
    """

    tmdb_id: int
    fetched_at: dt.datetime
    text: str | None = None
    digest: str | None = None
    absent: tuple[str, ...] = ()
    failure: str | None = None

    @property
    def missing(self) -> list[str]:
        """The sub-objects in `absent` for which the film is requested again."""
        return [name for name in self.absent if name in APPENDED]

    def with_kept_parts(self, kept: Mapping[str, Any]) -> Details:
        """Fill in the appended sub-objects that the document lacks, from an older document of the film.

        Args:
            kept: sub-objects of the older document. `absent` still names those filled in, so they count as missing.
        """
        filled = {name: kept[name] for name in self.absent if name in kept}
        if self.text is None or not filled:
            return self
        body = json.loads(self.text) | filled
        return replace(self, text=as_text(body), digest=payload_hash(body))


def details_of(
    client: TmdbClient, tmdb_ids: Iterable[int], clock: Callable[[], dt.datetime]
) -> Generator[Details, None, None]:
    """Read every film's details, several at once, and yield them in the order they arrive.

    A film that keeps failing is yielded with the reason, and the other films are still read.

    Args:
        client: sends the requests.
        tmdb_ids: the films.
        clock: returns the present moment, UTC.

    Raises:
        CredentialError: TMDB refused the credential.
        UnavailableError: too many films in a row failed.
    """

    def fetch(tmdb_id: int, cancel: threading.Event) -> Details:
        try:
            return _read(client, tmdb_id, clock, cancel)
        except NotFoundError:
            return Details(tmdb_id, clock())
        except (UnavailableError, BadRequestError) as error:
            return Details(tmdb_id, clock(), failure=str(error))

    failed = 0
    with closing(run_parallel(client.connections, fetch, tmdb_ids)) as arriving:
        for details in arriving:
            failed = failed + 1 if details.failure else 0
            if failed >= MOST_FAILURES_IN_A_ROW:
                raise UnavailableError(f"{failed} films in a row could not be read; the last: {details.failure}")
            yield details


def _read(client: TmdbClient, tmdb_id: int, clock: Callable[[], dt.datetime], cancel: threading.Event) -> Details:
    def check(body: Json) -> None:
        if movie_id(body) != tmdb_id:
            raise MalformedError("the document is of another film")

    params = {"append_to_response": ",".join((*APPENDED, *ALSO_APPENDED)), "language": "en-US"}
    document = client.fetch(f"/movie/{int(tmdb_id)}", params, check=check, cancel=cancel)
    body = document.body
    return Details(tmdb_id, clock(), document.text, payload_hash(body), absent_parts(body))
