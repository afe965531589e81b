"""Sweeping a release year's listing so that no film is lost, and reporting when some may be.

TMDB caches each page on its own, so rows are repeated and skipped over page borders, totals differ from page to page,
and a page may be short without being the last. Therefore rows are deduplicated by id, the distinct ids are compared
with the largest total stated, and a listing that falls short is swept again in narrow windows of release dates: most
fit on one page, where there is no border to fall through. The union of all passes is kept.
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
"""By how many films the totals of a listing's parts may together exceed twice the total of the whole."""

PAGES_AHEAD = 32
"""Pages requested ahead: at most as many requests are wasted after the first empty page of a slice."""


@dataclass(frozen=True)
class Page:
    """A page of a sweep.

    Attributes:
        listing: the listing's name.
        sweep: number of the pass.
        dates: the slice it is a page of.
        number: from 1.
        text: its JSON as received.
        ids: the usable ids of its rows.
        next_year_ids: those of `ids` released on the first day of the next year.
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
    """All passes over one listing."""

    listing: Listing
    pages: list[Page] = field(default_factory=list)
    ids: set[int] = field(default_factory=set)
    next_year_ids: set[int] = field(default_factory=set)
    totals: list[int] = field(default_factory=list)
    passes: int = 0

    @property
    def films(self) -> set[int]:
        """The films that belong to the listing's year."""
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
        """Whether as many films were found as most pages state."""
        return not self.totals or len(self.ids) >= statistics.median_low(self.totals)

    @property
    def looks_whole(self) -> bool:
        """Whether as many films were found as the largest total states."""
        return not self.short_at_most


class Sweeper:
    """Sweep listings. Once TMDB's pages were found moving, every listing is swept twice at least.

    Args:
        client: sends the requests.
        on_plan: called with the number of further pages that will be requested, for progress.
        on_page: called for each page that arrived, likewise.
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
        """Read a listing until it looks whole, or until passes find nothing new.

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
        """Return the slices of the next pass: in turn narrow windows, cut elsewhere each time, and the whole listing.

        The whole listing states its total again. If it fits on one page, no film can be lost between pages.
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
                else:  # a single day of more than 500 pages cannot be cut: what is served is taken, and it stays short
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
    """Refuse slices that state far more films together than the whole listing: their pages would have no end.

    Raises:
        UnavailableError: they do.
    """
    whole = max(sweep.totals, default=0)
    if stated > 2 * whole + MOST_SURPLUS:
        listing = sweep.listing
        raise UnavailableError(
            f"TMDB states {whole:,} {listing.name} films of {listing.release_year}, but {stated:,} for parts of it",
            "run again later",
        )


def _refuse_unfiltered(rows: list[Any], wanted: set[int]) -> None:
    """Refuse a listing that ignores the genre: TMDB answers query keys it does not know with every film.

    Raises:
        BadRequestError: most rows are of other genres.
    """
    genres = [row.get("genre_ids") for row in rows if isinstance(row, dict)]
    known = [any(genre in ids for genre in wanted) for ids in genres if isinstance(ids, list)]
    if len(known) >= FEWEST_ROWS_TO_JUDGE and sum(known) * 2 < len(known):
        raise BadRequestError("TMDB ignored the genre filter of /discover/movie: most rows are of other genres")
