"""What TMDB edited or deleted on a day.

What belongs here: reading every page of one day's changes. What does not: what follows from a change, storage.
"""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Iterator
from dataclasses import dataclass

from horror_pipeline.tmdb.client import TmdbClient
from horror_pipeline.tmdb.parallel import run_parallel
from horror_pipeline.tmdb.payloads import Json, count_of, ids_of, rows_of

LAST_PAGE = 500


@dataclass(frozen=True)
class ChangesPage:
    """A page of one day's changes, as received."""

    day: dt.date
    number: int
    text: str
    ids: tuple[int, ...]
    total_pages: int


def changes_of(client: TmdbClient, day: dt.date) -> Iterator[ChangesPage]:
    """Every page of a closed UTC day's changes, all genres; page 1 comes even where nothing changed.

    Raises:
        TmdbError: a page could not be had.
    """

    def fetch(number: int, cancel: threading.Event | None = None) -> ChangesPage:
        asked: dict[str, str | int] = {"start_date": day.isoformat(), "end_date": day.isoformat(), "page": number}
        answer = client.fetch("/movie/changes", asked, check=_check_page, cancel=cancel)
        total_pages = count_of(answer.body, "total_pages")
        return ChangesPage(day, number, answer.text, tuple(ids_of(answer.body)), total_pages)

    first = fetch(1)
    yield first
    last = min(first.total_pages, LAST_PAGE)
    yield from run_parallel(range(2, last + 1), fetch, threads=min(client.connections, max(1, last - 1)))


def _check_page(body: Json) -> None:
    rows_of(body)
    count_of(body, "total_pages")
