"""Popularity, votes, rating and status of an invented film on a day: pure functions of film, day and seed.

Popularity moves as TMDB's has moved since 2025. Its logarithm is a sum of five parts: the film's own level, which
rises until release and then decays, quickly at first; a deviation that lasts a week or two; bursts of seven or eight
days; daily noise; and an effect that the day has on all films. Most films have a popularity under 1, a few above 100.
"""

from __future__ import annotations

import datetime as dt
import math
from functools import lru_cache

from horror_pipeline.demo.catalogue import Film

LARGEST_AUDIENCE = 24_000.0
DAYS_LISTED_AFTER_WITHDRAWAL = 60
"""Days for which a withdrawn film is still listed although its details are gone. TMDB's listings lag by hours; the
demo's lag by so many days that there are always a few such films."""

QUANTUM = 1 / 140
"""TMDB's smallest popularity, and the step between values below `COARSE_BELOW`."""
COARSE_BELOW = 0.3

WEEKS_A_SEASON = 5
BURST_WINDOW_DAYS = 45
"""In each window of this many days, a film has at most one burst, and many films share the first day of their burst."""

_MASK = (1 << 64) - 1


def popularity(film: Film, day: dt.date, seed: int) -> float:
    """Return the film's popularity on the day, to 4 decimals."""
    number = day.toordinal()
    level = _level(film, number)
    week, weekday = divmod(number + film.edit_phase, 7)
    start, end, height = _burst(film.id, seed, number // BURST_WINDOW_DAYS)
    burst = height / (1 + math.exp(level)) if start <= number < end else 0.0  # bursts of unpopular films are higher
    value = math.exp(level + _deviations(film.id, seed, week)[weekday] + burst + _common(seed, number))
    if value < COARSE_BELOW:
        value = max(1, round(value / QUANTUM)) * QUANTUM
    return round(value, 4)


def _level(film: Film, number: int) -> float:
    """Return the log of what the film's popularity would be without deviations, bursts and noise."""
    usual = 4.0 * math.tanh(film.reach / 4.0) + film.interest - 1.1  # tanh keeps old films below the highest new ones
    if film.release_date is None:
        return usual - 0.5
    age = number - film.release_date.toordinal()
    peak = min(5.8, max(1.3, 2.8 + 0.7 * film.reach))
    if age < 0:
        return usual + peak * math.exp(age / 50)
    # The faster a film gathers its votes, the faster it falls from its peak.
    return usual + (peak - 0.6) * math.exp(-1.5 * age / film.days_to_audience) + 0.6 * math.exp(-age / 700)


@lru_cache(maxsize=1 << 17)
def _deviations(film_id: int, seed: int, week: int) -> tuple[float, ...]:
    """Return the deviations of a film's log popularity from its level on the seven days of one of its weeks.

    The main part is interpolated linearly between random weekly values, so each value fades within two weeks at most. A
    slower wave, interpolated between values five weeks apart, and the noise of each day are added.
    """
    here, there = _normal(seed, film_id, week), _normal(seed, film_id, week + 1)
    season, part = divmod(week, WEEKS_A_SEASON)
    slow, slower = _normal(seed + 1, film_id, season), _normal(seed + 1, film_id, season + 1)
    noise = _hash(seed + 2, film_id, week)
    values = []
    for weekday in range(7):
        done = weekday / 7
        through = (part + done) / WEEKS_A_SEASON
        wave = 0.26 * (here + (there - here) * done) + 0.2 * (slow + (slower - slow) * through)
        values.append(wave + 0.15 * ((noise >> 9 * weekday & 511) / 511 - 0.5))
    return tuple(values)


@lru_cache(maxsize=1 << 16)
def _burst(film_id: int, seed: int, window: int) -> tuple[int, int, float]:
    """Return a film's burst in a window: its first day, the day after its last day, and its height.

    Half of the bursts in a window begin on the same day.
    """
    chance = _hash(seed + 3, film_id, window)
    if chance % 8 > 1:
        return 0, 0, 0.0
    own_or_shared = _hash(seed + 4, film_id if chance & 8 else 0, window)
    start = window * BURST_WINDOW_DAYS + own_or_shared % (BURST_WINDOW_DAYS - 8)
    return start, start + 7 + (chance >> 4 & 1), 0.8 + 1.2 * (chance >> 8 & 255) / 255


@lru_cache(maxsize=1 << 10)
def _common(seed: int, number: int) -> float:
    """Return what a day adds to every film's log popularity: an effect of weekends, noise, and rare four-day surges."""
    weekend = 0.03 if number % 7 in (6, 0, 1) else -0.01  # Saturday to Monday
    window, place = divmod(number, 2 * BURST_WINDOW_DAYS)
    odd = place - _hash(seed + 5, 0, window) % (2 * BURST_WINDOW_DAYS - 5)
    surge = (0.2, 0.4, 0.5, 0.25)[odd] if 0 <= odd < 4 else 0.0
    return weekend + 0.02 * _normal(seed + 6, 0, number) + surge


def _normal(seed: int, film_id: int, number: int) -> float:
    """Return a nearly standard normal number fixed by the arguments: the scaled sum of four uniform numbers."""
    bits = _hash(seed, film_id, number)
    total = (bits & 0xFFFF) + (bits >> 16 & 0xFFFF) + (bits >> 32 & 0xFFFF) + (bits >> 48)
    return (total / 0xFFFF - 2) * math.sqrt(3)


def _hash(seed: int, film_id: int, number: int) -> int:
    """Return 64 random bits fixed by the arguments (splitmix64)."""
    mixed = (seed * 0x9E3779B97F4A7C15 + film_id * 0xD1B54A32D192ED03 + number * 0x8CB92BA72F3D8DD7) & _MASK
    mixed = ((mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & _MASK
    return mixed ^ (mixed >> 31)


def vote_count(film: Film, day: dt.date) -> int:
    """Return the votes gathered by the day; none before release."""
    if film.release_date is None or day < film.release_date:
        return 0
    age = (day - film.release_date).days + 1
    audience = min(math.exp(3.6 + 1.25 * film.reach), LARGEST_AUDIENCE)
    return int(audience * (1 - math.exp(-age / film.days_to_audience)) * (1 + 0.03 * age / 365))


def vote_average(film: Film, votes: int) -> float:
    """Return the mean of that many votes, to 3 decimals; 0 without votes. Its noise has variance 6/votes + 0.37."""
    if votes == 0:
        return 0.0
    value = film.quality + film.rating_luck * math.sqrt(6 / votes + 0.37)
    return round(min(10.0, max(1.0, value)), 3)


def is_gone(film: Film, day: dt.date) -> bool:
    """Return whether the film is withdrawn by the day. If so, its details are 404 and exports leave it out."""
    return film.withdrawn_on is not None and film.withdrawn_on <= day


def is_listed(film: Film, day: dt.date) -> bool:
    """Return whether discover lists the film on the day."""
    if film.announced_on > day:
        return False
    return film.withdrawn_on is None or day < film.withdrawn_on + dt.timedelta(days=DAYS_LISTED_AFTER_WITHDRAWAL)


def status(film: Film, day: dt.date) -> str:
    """Return TMDB's production status on the day."""
    if film.release_date is None:
        return "Canceled" if film.edit_phase % 3 == 0 else "Rumored"
    ahead = (film.release_date - day).days
    if ahead <= 0:
        return "Released"
    return "Post Production" if ahead <= 240 else "In Production" if ahead <= 480 else "Planned"


def edits(film: Film, day: dt.date) -> int:
    """Return how often the record was edited from its announcement to the day."""
    since = film.announced_on.toordinal() + film.edit_phase
    return (day.toordinal() + film.edit_phase) // film.edit_days - since // film.edit_days


def is_changed_on(film: Film, day: dt.date) -> bool:
    """Return whether the record changed that day: announced, edited, given another status, or withdrawn."""
    if film.announced_on > day or (film.withdrawn_on is not None and film.withdrawn_on < day):
        return False
    if day in (film.announced_on, film.withdrawn_on):
        return True
    before = day - dt.timedelta(days=1)
    return edits(film, day) != edits(film, before) or status(film, day) != status(film, before)
