"""How an invented film stands on a day: popularity, votes, rating, status. A fixed rule of film, day and seed.

What belongs here: pure functions of a film and a day. What does not: the present, JSON.

The shape is that of real figures: popularity has a floor and a long tail, rises towards release and fades after it;
votes gather with age; a rating is the film's quality plus noise that falls as votes grow.
"""

from __future__ import annotations

import datetime as dt
import math

from horror_pipeline.demo.catalogue import Film

POPULARITY_FLOOR = 0.6
LARGEST_AUDIENCE = 24_000.0
DAYS_LISTED_AFTER_WITHDRAWAL = 60
"""Listings lag: a withdrawn film is still listed while its details are already gone. Hours at TMDB; long here, so that
there are always a few."""

_MASK = (1 << 64) - 1


def _unit(seed: int, film_id: int, day: int) -> float:
    """A number in [0, 1) fixed by its arguments (splitmix64)."""
    mixed = (seed * 0x9E3779B97F4A7C15 + film_id * 0xD1B54A32D192ED03 + day * 0x8CB92BA72F3D8DD7) & _MASK
    mixed = ((mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & _MASK
    return (mixed ^ (mixed >> 31)) / 2**64


def popularity(film: Film, day: dt.date, seed: int) -> float:
    """TMDB's popularity as of the day, 4 decimals, never below the floor."""
    number = day.toordinal()
    if film.release_date is None:
        season = 0.3
    else:
        age = number - film.release_date.toordinal()
        season = (
            0.25 + 1.55 * math.exp(age / 60)
            if age < 0
            else 0.55 + 0.45 * math.exp(-age / 500) + 0.8 * math.exp(-age / 25)
        )
    wobble = 0.12 * math.sin(math.tau * number / film.wobble_days + film.wobble_phase)
    noise = 0.12 * (_unit(seed, film.id, number) - 0.5)
    value = season * math.exp(1.75 + 0.52 * film.reach + film.interest + wobble + noise)
    return round(max(POPULARITY_FLOOR, value), 4)


def vote_count(film: Film, day: dt.date) -> int:
    """Votes gathered by the day: none before release."""
    if film.release_date is None or day < film.release_date:
        return 0
    age = (day - film.release_date).days + 1
    audience = min(math.exp(3.6 + 1.25 * film.reach), LARGEST_AUDIENCE)
    return int(audience * (1 - math.exp(-age / film.days_to_audience)) * (1 + 0.03 * age / 365))


def vote_average(film: Film, votes: int) -> float:
    """Mean vote given that many votes, 3 decimals; 0 without votes. Its noise has variance 6/votes + 0.37."""
    if votes == 0:
        return 0.0
    value = film.quality + film.rating_luck * math.sqrt(6 / votes + 0.37)
    return round(min(10.0, max(1.0, value)), 3)


def is_gone(film: Film, day: dt.date) -> bool:
    """Whether the film was withdrawn by the day: its details are 404 and exports leave it out."""
    return film.withdrawn_on is not None and film.withdrawn_on <= day


def is_listed(film: Film, day: dt.date) -> bool:
    """Whether discover lists the film on the day."""
    if film.announced_on > day:
        return False
    return film.withdrawn_on is None or day < film.withdrawn_on + dt.timedelta(days=DAYS_LISTED_AFTER_WITHDRAWAL)


def status(film: Film, day: dt.date) -> str:
    """TMDB's production status on the day."""
    if film.release_date is None:
        return "Canceled" if film.edit_phase % 3 == 0 else "Rumored"
    ahead = (film.release_date - day).days
    if ahead <= 0:
        return "Released"
    return "Post Production" if ahead <= 240 else "In Production" if ahead <= 480 else "Planned"


def edits(film: Film, day: dt.date) -> int:
    """How often the record was edited from its announcement to the day."""
    since = film.announced_on.toordinal() + film.edit_phase
    return (day.toordinal() + film.edit_phase) // film.edit_days - since // film.edit_days


def is_changed_on(film: Film, day: dt.date) -> bool:
    """Whether the record changed that day: announced, edited, another status, or withdrawn."""
    if film.announced_on > day or (film.withdrawn_on is not None and film.withdrawn_on < day):
        return False
    if day in (film.announced_on, film.withdrawn_on):
        return True
    before = day - dt.timedelta(days=1)
    return edits(film, day) != edits(film, before) or status(film, day) != status(film, before)
