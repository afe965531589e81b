"""Sweeping a release year's horror listing so that nothing in it is lost, and saying so when something may be.

What belongs here: which listings and slices to ask for, reading every page, holding what came against what TMDB says
there is, and sweeping again. What does not: storage, the clock, Dagster.

TMDB pages are cached apart, so rows are repeated and skipped over page borders, totals differ from page to page, and a
page may be short without being the last. Therefore rows are deduplicated by id, the distinct ids are held against the
largest total seen, and a listing that falls short is swept again in narrow windows of release dates: most fit on one
page, where there is no border to fall through. The union of all passes is kept.
"""

from __future__ import annotations

import datetime as dt
import math
import statistics
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from horror_pipeline.errors import BadRequestError
from horror_pipeline.tmdb.client import TmdbClient
from horror_pipeline.tmdb.parallel import run_parallel
from horror_pipeline.tmdb.payloads import Json, count_of, ids_of, movie_id, rows_of

HORROR = 27
LAST_PAGE = 500
MOST_PASSES = 7
QUIET_PASSES = 2
ROWS_A_PAGE = 20
ROWS_A_WINDOW = 12
"""Rows a narrow window should hold: well under a page, as films cluster on some dates."""

FEWEST_ROWS_TO_JUDGE = 5


@dataclass(frozen=True)
class Slice:
    """Release dates from `start` to `end`, both included; `end` None: open."""

    start: dt.date
    end: dt.date | None

    def halves(self) -> list[Slice]:
        """The slice in two; itself where it is a single day."""
        end = self.end or self.start + dt.timedelta(days=730)
        if end <= self.start:
            return [self]
        middle = self.start + (end - self.start) // 2
        return [Slice(self.start, middle), Slice(middle + dt.timedelta(days=1), self.end)]

    def windows(self, count: int) -> list[Slice]:
        """The slice in about `count` parts of equal length; the last stays open where the slice is."""
        end = self.end or dt.date(self.start.year, 12, 31)
        days = (end - self.start).days + 1
        count = max(1, min(count, days))
        starts = [self.start + dt.timedelta(days=days * number // count) for number in range(count)]
        ends: list[dt.date | None] = [start - dt.timedelta(days=1) for start in starts[1:]]
        return [Slice(start, last) for start, last in zip(starts, [*ends, self.end], strict=True)]


@dataclass(frozen=True)
class Listing:
    """One question about a release year: its released films with enough votes, or its upcoming ones.

    A year asks for the first day of the next one as well: a film whose date moves over New Year between two sweeps, or
    whose date is none at all, like a 45th of December, would fall between two years otherwise.
    """

    name: str
    release_year: int
    dates: Slice
    min_votes: int = 0

    @property
    def new_year(self) -> dt.date | None:
        """The day that belongs to the next year; None where later films belong to this one."""
        return None if self.dates.end is None else dt.date(self.release_year + 1, 1, 1)


@dataclass(frozen=True)
class Page:
    """A page: its text as received, and what a sweep needs of it.

    `next_year_ids` are those of `ids` on the first day of the next year; `nameless` are the rows without a usable id.
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
        """Films missed for certain: even the smallest total that a page stated is more than came."""
        return max(0, min(self.totals, default=0) - len(self.ids))

    @property
    def short_at_most(self) -> int:
        """Films missed if the largest total is right; totals differ by a few from page to page."""
        return max(0, max(self.totals, default=0) - len(self.ids))

    @property
    def looks_likely_whole(self) -> bool:
        """Whether as many films came as most pages promised."""
        return not self.totals or len(self.ids) >= statistics.median_low(self.totals)

    @property
    def looks_whole(self) -> bool:
        """Whether as many films came as the largest total promised."""
        return not self.short_at_most


def listings_of(release_year: int, *, today: dt.date, last_year: int, min_votes: int) -> list[Listing]:
    """The listings that together hold every film of a release year that is collected.

    Args:
        release_year: the year.
        today: films up to this date are released, later ones upcoming.
        last_year: the last partition: it takes later years as well.
        min_votes: votes a released film needs; upcoming films need none.
    """
    first, new_year = dt.date(release_year, 1, 1), dt.date(release_year + 1, 1, 1)
    last = None if release_year >= last_year else new_year
    tomorrow = today + dt.timedelta(days=1)
    found = []
    if first <= today:
        found.append(Listing("released", release_year, Slice(first, min(last or today, today)), min_votes))
    if last is None or new_year > tomorrow:
        found.append(Listing("upcoming", release_year, Slice(max(first, tomorrow), last)))
    return found


class Sweeper:
    """Sweeps listings, and remembers whether TMDB's pages were found moving: then no listing is trusted at first sight.

    Args:
        client: asks TMDB.
        on_plan: told how many more pages will be asked for, for progress.
        on_page: told each page as it comes, likewise.
    """

    def __init__(
        self,
        client: TmdbClient,
        on_plan: Callable[[int], object] = lambda _: None,
        on_page: Callable[[], object] = lambda: None,
    ) -> None:
        """Trust what comes until it proves wrong."""
        self.client = client
        self.on_plan = on_plan
        self.on_page = on_page
        self.is_moving = False

    def sweep(self, listing: Listing) -> Sweep:
        """Read a listing until it looks whole, or until passes bring nothing new.

        Raises:
            TmdbError: a page could not be had.
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
                break  # nothing came any more, and most pages promise nothing more
        return sweep

    def _windows(self, sweep: Sweep) -> list[Slice]:
        """What the next pass asks for: narrow windows, cut elsewhere each time, and the whole listing in turn.

        The whole listing states its total anew. One that fits on a page has no border to fall through in any case.
        """
        rows = max(len(sweep.ids), max(sweep.totals, default=0))
        if rows <= ROWS_A_PAGE or sweep.passes % 2 == 0:
            return [sweep.listing.dates]
        return sweep.listing.dates.windows(math.ceil(rows / ROWS_A_WINDOW) + sweep.passes - 1)

    def _run_pass(self, sweep: Sweep, slices: Sequence[Slice]) -> None:
        sweep.passes += 1
        for page in self._pages(sweep.listing, slices, sweep.passes):
            sweep.pages.append(page)
            sweep.ids.update(page.ids)
            sweep.next_year_ids.update(page.next_year_ids)
            if page.dates == sweep.listing.dates:
                sweep.totals.append(page.total_results)

    def _pages(self, listing: Listing, slices: Sequence[Slice], number: int) -> Iterator[Page]:
        """Every page of the slices; a slice of more pages than TMDB serves is halved until it fits."""
        further: list[tuple[Slice, int]] = []
        while slices:
            too_long: list[Slice] = []
            for first in self._fetch(listing, number, [(dates, 1) for dates in slices]):
                yield first
                pages = first.total_pages
                halves = first.dates.halves() if pages > LAST_PAGE else []
                if len(halves) > 1:
                    too_long += halves
                else:  # a single day of more than 500 pages cannot be cut: what is served is taken, and it stays short
                    further += [(first.dates, page) for page in range(2, min(pages, LAST_PAGE) + 1)]
            slices = too_long
        yield from self._fetch(listing, number, further)

    def _fetch(self, listing: Listing, number: int, wanted: Sequence[tuple[Slice, int]]) -> Iterator[Page]:
        self.on_plan(len(wanted))

        def fetch(job: tuple[Slice, int], cancel: threading.Event) -> Page:
            dates, page = job
            answer = self.client.fetch("/discover/movie", query(listing, dates, page), check=_check_page, cancel=cancel)
            rows = rows_of(answer.body)
            if page == 1:
                _refuse_unfiltered(rows)
            return Page(
                listing.name,
                number,
                dates,
                page,
                answer.text,
                ids=tuple(ids_of(answer.body)),
                next_year_ids=tuple(_dated(rows, listing.new_year)),
                total_results=count_of(answer.body, "total_results"),
                total_pages=count_of(answer.body, "total_pages"),
                nameless=tuple(row for row in rows if movie_id(row) is None),
            )

        for found in run_parallel(wanted, fetch, threads=min(self.client.connections, len(wanted))):
            self.on_page()
            yield found


def query(listing: Listing, dates: Slice, page: int) -> dict[str, str | int]:
    """The query of one page, without the credential."""
    asked: dict[str, str | int] = {
        "with_genres": HORROR,
        "include_adult": "false",
        "language": "en-US",
        "sort_by": "primary_release_date.asc",
        "primary_release_date.gte": dates.start.isoformat(),
        "page": page,
    }
    if dates.end is not None:
        asked["primary_release_date.lte"] = dates.end.isoformat()
    if listing.min_votes > 0:
        asked["vote_count.gte"] = listing.min_votes
    return asked


def _check_page(body: Json) -> None:
    rows_of(body)
    count_of(body, "total_results")
    count_of(body, "total_pages")


def _dated(rows: list[Any], day: dt.date | None) -> Iterator[int]:
    """The ids of the rows released on a day."""
    for row in rows:
        found = movie_id(row)
        if found is not None and day is not None and row.get("release_date") == day.isoformat():
            yield found


def _refuse_unfiltered(rows: list[Any]) -> None:
    """TMDB ignores query keys it does not know and answers with everything: better no listing than that one.

    Raises:
        BadRequestError: most rows are no horror films.
    """
    genres = [row.get("genre_ids") for row in rows if isinstance(row, dict)]
    known = [ids for ids in genres if isinstance(ids, list)]
    if len(known) >= FEWEST_ROWS_TO_JUDGE and sum(HORROR in ids for ids in known) * 2 < len(known):
        raise BadRequestError("TMDB ignored the genre filter of /discover/movie: most rows are no horror films")
