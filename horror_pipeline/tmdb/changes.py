"""Reading TMDB's changes: the ids of the films that were edited or deleted on a day."""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

from horror_pipeline.domain import LAST_PAGE
from horror_pipeline.tmdb.client import TmdbClient
from horror_pipeline.tmdb.parallel import run_parallel
from horror_pipeline.tmdb.payloads import check_listing, count_of, ids_of

ROWS_A_PAGE = 100
MOST_FILMS = 1_000_000
"""The largest credible number of films changed on a day; TMDB states some 8,000."""


@dataclass(frozen=True)
class ChangesPage:
    """A page of one day's changes; `text` is its JSON as received."""

    day: dt.date
    number: int
    text: str
    ids: tuple[int, ...]
    total_pages: int


def changes_of(client: TmdbClient, day: dt.date) -> Iterator[ChangesPage]:
    """Read every page of a past UTC day's changes to films of all genres. A day without changes has one page.

    Raises:
        TmdbError: a page could not be read.
    """

    def fetch(number: int, cancel: threading.Event | None = None) -> ChangesPage:
        params: dict[str, str | int] = {"start_date": day.isoformat(), "end_date": day.isoformat(), "page": number}
        check = partial(check_listing, rows_a_page=ROWS_A_PAGE, most_rows=MOST_FILMS)
        document = client.fetch("/movie/changes", params, check=check, cancel=cancel)
        total_pages = count_of(document.body, "total_pages")
        return ChangesPage(day, number, document.text, tuple(ids_of(document.body)), total_pages)

    first = fetch(1)
    yield first
    yield from run_parallel(client.connections, fetch, range(2, min(first.total_pages, LAST_PAGE) + 1))
