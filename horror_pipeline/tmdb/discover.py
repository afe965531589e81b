"""Reading a release year's listing in sweeps that lose no film, and reporting if some films may be lost.

TMDB caches each page separately. A film may therefore be on two pages or on none, totals differ from page to page, and
a page may be short without being the last. So rows are deduplicated by id, and the number of ids is compared with the
largest total that TMDB states. A listing that falls short is read again in narrow windows of release dates. Most
windows fit on one page, so that no film can be lost between pages. The union of all passes is kept.
"""

from __future__ import annotations

import math
import statistics
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from horror_pipeline.domain import LAST_PAGE
from horror_pipeline.errors import BadRequestError, UnavailableError
from horror_pipeline.tmdb.client import TmdbClient
from horror_pipeline.tmdb.listings import Listing, Slice
from horror_pipeline.tmdb.parallel import run_parallel
from horror_pipeline.tmdb.payloads import Json, check_listing, count_of, ids_of, movie_id, rows_of

MOST_PASSES = 7
QUIET_PASSES = 2
ROWS_A_PAGE = 20
ROWS_A_WINDOW = 12
"""Rows a narrow window should hold: well under a page, as films cluster on some dates."""

FEWEST_ROWS_TO_JUDGE = 5
"""The fewest rows with genres that show whether TMDB filtered a page by genre."""

MOST_FILMS = 100_000
"""The largest credible total of a listing, which is one release year's. TMDB has some 60,000 horror films of all years,
and 1.2 million films of all genres and years."""

MOST_SURPLUS = 100
"""The most films by which the totals of a listing's parts may together exceed twice the total of the whole listing."""

PAGES_AHEAD = 32
"""Pages requested ahead, and so the most requests that are wasted after the first empty page of a slice."""


@dataclass(frozen=True)
class Page:
    """A page of a sweep.

    Attributes:
        listing: the listing's name.
        sweep: the number of the pass over the listing, from 1.
        dates: the slice that the page is part of.
        number: the number of the page in its slice, from 1.
        text: the page's JSON as received.
        ids: the usable ids of its rows.
        next_year_ids: those of `ids` whose film is released on the first day of the next year.
        nameless: its rows without a usable id.
    """

    listing: str
    sweep: int
    dates: Slice
    number: int
    text: str
    ids: tuple[int, ...]
    next_year_ids: tuple[int, ...]
    total_results: int
    total_pages: int
    is_empty: bool = False
    nameless: tuple[Any, ...] = ()


@dataclass
class Sweep:
    """What all passes over one listing have found."""

    listing: Listing
    pages: list[Page] = field(default_factory=list)
    ids: set[int] = field(default_factory=set)
    next_year_ids: set[int] = field(default_factory=set)
    totals: list[int] = field(default_factory=list)
    passes: int = 0

    @property
    def films(self) -> set[int]:
        """The ids of the films that belong to the listing's year."""
        return self.ids - self.next_year_ids

    @property
    def short(self) -> int:
        """Number of films that were certainly missed: the smallest total stated, less the films found."""
        return max(0, min(self.totals, default=0) - len(self.ids))

    @property
    def short_at_most(self) -> int:
        """Number of films missed if the largest total is right; totals differ by a few from page to page."""
        return max(0, max(self.totals, default=0) - len(self.ids))

    @property
    def looks_likely_whole(self) -> bool:
        """Whether at least as many films were found as the median total states."""
        return not self.totals or len(self.ids) >= statistics.median_low(self.totals)

    @property
    def looks_whole(self) -> bool:
        """Whether at least as many films were found as the largest total states."""
        return not self.short_at_most


class Sweeper:
    """Sweep listings. If one falls short, films move between pages, so every later one is read in at least two passes.

    Args:
        client: sends the requests.
        on_plan: called with the number of further pages that will be requested, to show progress.
        on_page: called for each page that arrived or is no longer needed, to show progress.
    """

    def __init__(
        self,
        client: TmdbClient,
        on_plan: Callable[[int], object] = lambda _: None,
        on_page: Callable[[], object] = lambda: None,
    ) -> None:
        self.client = client
        self.on_plan = on_plan
        self.on_page = on_page
        self.is_moving = False

    def sweep(self, listing: Listing) -> Sweep:
        """Read a listing until it looks whole, until passes find nothing new, or `MOST_PASSES` times.

        Raises:
            TmdbError: a page could not be read, or the totals contradict each other.
        """
        sweep = Sweep(listing)
        self._run_pass(sweep, [listing.dates])
        if self.is_moving:
            self._run_pass(sweep, self._windows(sweep))
        quiet = 0
        while not sweep.looks_whole and sweep.passes < MOST_PASSES:
            self.is_moving = True
            before = len(sweep.ids)
            self._run_pass(sweep, self._windows(sweep))
            quiet = quiet + 1 if len(sweep.ids) == before else 0
            if quiet == QUIET_PASSES and sweep.looks_likely_whole:
                break  # nothing new was found, and most pages state nothing more
        return sweep

    def read_once(self, listing: Listing) -> Sweep:
        """Read a listing in one pass, which may miss films that move from one page to another meanwhile.

        Raises:
            TmdbError: a page could not be read, or the totals contradict each other.
        """
        sweep = Sweep(listing)
        self._run_pass(sweep, [listing.dates])
        return sweep

    def _windows(self, sweep: Sweep) -> list[Slice]:
        """Return the slices of the next pass: by turns narrow windows and the whole listing.

        Windows are cut at other dates each time. A pass over the whole listing gets its total again. A listing that
        fits on one page is always read whole, because no film can be lost between pages.
        """
        rows = max(len(sweep.ids), max(sweep.totals, default=0))
        if rows <= ROWS_A_PAGE or sweep.passes % 2 == 0:
            return [sweep.listing.dates]
        return sweep.listing.dates.windows(math.ceil(rows / ROWS_A_WINDOW) + sweep.passes - 1)

    def _run_pass(self, sweep: Sweep, slices: Sequence[Slice]) -> None:
        sweep.passes += 1
        for page in self._pages(sweep, slices):
            sweep.pages.append(page)
            sweep.ids.update(page.ids)
            sweep.next_year_ids.update(page.next_year_ids)
            if page.dates == sweep.listing.dates:
                sweep.totals.append(page.total_results)

    def _pages(self, sweep: Sweep, slices: Sequence[Slice]) -> Iterator[Page]:
        """Yield every page of the slices; a slice of more pages than TMDB serves is halved until it fits."""
        further: list[tuple[Slice, int]] = []
        while slices:
            too_long: list[Slice] = []
            stated = 0
            for first in self._fetch(sweep, [(dates, 1) for dates in slices]):
                yield first
                stated += first.total_results
                pages = first.total_pages if not first.is_empty else 1
                halves = first.dates.halves() if pages > LAST_PAGE else []
                if len(halves) > 1:
                    too_long += halves
                else:  # a single day of more than 500 pages cannot be halved: read what TMDB serves, and stay short
                    further += [(first.dates, page) for page in range(2, min(pages, LAST_PAGE) + 1)]
            _refuse_contradiction(sweep, stated)
            slices = too_long
        yield from self._fetch(sweep, further)

    def _fetch(self, sweep: Sweep, wanted: Sequence[tuple[Slice, int]]) -> Iterator[Page]:
        """Yield pages as they arrive. Pages that follow an empty page of their slice are not requested."""
        self.on_plan(len(wanted))
        empty: dict[Slice, int] = {}

        def jobs() -> Iterator[tuple[Slice, int]]:
            for dates, number in wanted:
                if number < empty.get(dates, LAST_PAGE + 1):
                    yield dates, number
                else:
                    self.on_page()

        def fetch(job: tuple[Slice, int], cancel: threading.Event) -> Page:
            params = query(sweep.listing, *job)
            check = partial(check_listing, rows_a_page=ROWS_A_PAGE, most_rows=MOST_FILMS)
            document = self.client.fetch("/discover/movie", params, check=check, cancel=cancel)
            return _page(sweep, job, document.text, document.body)

        for page in run_parallel(self.client.connections, fetch, jobs(), ahead=PAGES_AHEAD):
            self.on_page()
            if page.is_empty:
                empty[page.dates] = min(page.number, empty.get(page.dates, page.number))
            yield page


def query(listing: Listing, dates: Slice, page: int) -> dict[str, str | int]:
    """Return the query of one page, without the credential."""
    params: dict[str, str | int] = {
        "include_adult": "false",
        "language": "en-US",
        "sort_by": "primary_release_date.asc",
        "primary_release_date.gte": dates.start.isoformat(),
        "page": page,
    }
    if listing.genres:
        name, separator = ("with_genres", "|") if listing.is_collected else ("without_genres", ",")
        params[name] = separator.join(map(str, listing.genres))
    if dates.end is not None:
        params["primary_release_date.lte"] = dates.end.isoformat()
    if listing.min_votes > 0:
        params["vote_count.gte"] = listing.min_votes
    return params


def _page(sweep: Sweep, job: tuple[Slice, int], text: str, body: Json) -> Page:
    dates, number = job
    rows, new_year = rows_of(body), sweep.listing.new_year
    if number == 1 and sweep.listing.genres and sweep.listing.is_collected:
        _refuse_unfiltered(rows, set(sweep.listing.genres))
    films = [row for row in rows if movie_id(row) is not None]
    return Page(
        sweep.listing.name,
        sweep.passes,
        dates,
        number,
        text,
        ids=tuple(ids_of(body)),
        next_year_ids=tuple(row["id"] for row in films if new_year and row.get("release_date") == str(new_year)),
        total_results=count_of(body, "total_results"),
        total_pages=count_of(body, "total_pages"),
        is_empty=not rows,
        nameless=tuple(row for row in rows if movie_id(row) is None),
    )


def _refuse_contradiction(sweep: Sweep, stated: int) -> None:
    """Refuse slices that together state far more films than the whole listing: their pages would have no end.

    Raises:
        UnavailableError: the slices state too many films.
    """
    whole = max(sweep.totals, default=0)
    if stated > 2 * whole + MOST_SURPLUS:
        listing = sweep.listing
        raise UnavailableError(
            f"TMDB states {whole:,} {listing.name} films of {listing.release_year}, but {stated:,} for parts of it",
            "run again later",
        )


def _refuse_unfiltered(rows: list[Any], wanted: set[int]) -> None:
    """Refuse a listing that is not filtered by genre: TMDB ignores query keys that it does not know.

    Raises:
        BadRequestError: most rows are of other genres.
    """
    genres = [row.get("genre_ids") for row in rows if isinstance(row, dict)]
    known = [any(genre in ids for genre in wanted) for ids in genres if isinstance(ids, list)]
    if len(known) >= FEWEST_ROWS_TO_JUDGE and sum(known) * 2 < len(known):
        raise BadRequestError("TMDB ignored the genre filter of /discover/movie: most rows are of other genres")
