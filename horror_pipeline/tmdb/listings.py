"""Listings of a release year, and the ranges of release dates in which they are requested."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, replace

from horror_pipeline.domain import HORROR_GENRE_ID

FARTHEST_YEAR = 2100
"""A slice that starts after this year is not halved, because an open slice could be halved for ever."""


@dataclass(frozen=True)
class Slice:
    """The release dates from `start` to `end`, both included; without an end, or open, if `end` is None."""

    start: dt.date
    end: dt.date | None

    def halves(self) -> list[Slice]:
        """Return both halves of the slice; a single day, or a slice of the far future, is returned whole."""
        end = self.end or self.start + dt.timedelta(days=730)
        if end <= self.start or self.start.year > FARTHEST_YEAR:
            return [self]
        middle = self.start + (end - self.start) // 2
        return [Slice(self.start, middle), Slice(middle + dt.timedelta(days=1), self.end)]

    def windows(self, count: int) -> list[Slice]:
        """Cut the slice into about `count` parts of equal length; the last part is open if the slice is."""
        end = self.end or dt.date(self.start.year, 12, 31)
        days = (end - self.start).days + 1
        count = max(1, min(count, days))
        starts = [self.start + dt.timedelta(days=days * number // count) for number in range(count)]
        ends: list[dt.date | None] = [start - dt.timedelta(days=1) for start in starts[1:]]
        return [Slice(start, last) for start, last in zip(starts, [*ends, self.end], strict=True)]


@dataclass(frozen=True)
class Listing:
    """One listing of a release year: released films with enough votes, upcoming films, or films of other genres.

    The films have at least one of `genres`, or none of them if `is_collected` is false. Empty `genres` stand for all
    genres.

    The listing includes the first day of the next year. Otherwise a film would be found in no year if its date moves
    over New Year between two sweeps, or if its date is impossible, like a 45th of December.
    """

    name: str
    release_year: int
    dates: Slice
    min_votes: int = 0
    genres: tuple[int, ...] = (HORROR_GENRE_ID,)
    is_collected: bool = True

    @property
    def new_year(self) -> dt.date | None:
        """The first day of the next year; None if the listing is open, so that all later films belong to its year."""
        return None if self.dates.end is None else dt.date(self.release_year + 1, 1, 1)


def listings_of(
    release_year: int,
    *,
    today: dt.date,
    last_year: int,
    min_votes: int,
    genres: tuple[int, ...] = (HORROR_GENRE_ID,),
) -> list[Listing]:
    """Return the listings that together hold all collected films of a release year.

    Args:
        release_year: the year.
        today: films up to this date are released, later ones upcoming.
        last_year: the year of the last partition, which includes later years.
        min_votes: votes a released film needs; upcoming films need none.
        genres: ids of the genres that are collected; empty for all genres.
    """
    first, new_year = dt.date(release_year, 1, 1), dt.date(release_year + 1, 1, 1)
    last = None if release_year >= last_year else new_year
    tomorrow = today + dt.timedelta(days=1)
    listings = []
    if first <= today:
        listings.append(Listing("released", release_year, Slice(first, min(last or today, today)), min_votes, genres))
    if last is None or new_year > tomorrow:
        listings.append(Listing("upcoming", release_year, Slice(max(first, tomorrow), last), genres=genres))
    return listings


def listing_of_others(
    release_year: int, *, today: dt.date, last_year: int, min_votes: int, genres: tuple[int, ...]
) -> Listing | None:
    """Return the listing of a year's released films that have none of the collected genres.

    Returns:
        None if the year is still to come, or if all genres are collected.
    """
    collected = listings_of(release_year, today=today, last_year=last_year, min_votes=min_votes, genres=genres)
    if genres and collected[0].name == "released":
        return replace(collected[0], name="others", is_collected=False)
    return None
