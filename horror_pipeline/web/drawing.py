"""Draws lines of popularity over time as SVG paths with axes, for the pages that need no script."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from datetime import date
from typing import NamedTuple

from horror_pipeline.web.schemas import MovieHistory

WIDTH, HEIGHT = 720.0, 200.0
MOST_MARKS = 5

Line = Sequence[tuple[int, float]]
"""Pairs of a day's number and the popularity on that day."""


class Drawing(NamedTuple):
    """A path for each line in a box of `WIDTH` x `HEIGHT`, and the marks of its axes.

    A mark is a position and its label. The position is in percent, from the left for days and from the top for levels.
    """

    paths: list[str]
    days: list[tuple[float, str]]
    levels: list[tuple[float, str]]


def draw(lines: Sequence[Line], name_of_day: Callable[[int], str]) -> Drawing | None:
    """Draw lines over all the days that they cover together; return None if there are fewer than two days."""
    points = [point for line in lines for point in line]
    first, last = min((day for day, _ in points), default=0), max((day for day, _ in points), default=0)
    if first == last:
        return None
    highest = max(value for _, value in points) or 1.0

    def path(line: Line) -> str:
        places = ((WIDTH * (day - first) / (last - first), HEIGHT * (1 - value / highest)) for day, value in line)
        return "".join(f"{'L' if number else 'M'}{x:.1f} {y:.1f}" for number, (x, y) in enumerate(places))

    return Drawing(
        [path(line) for line in lines],
        [(round(100 * (day - first) / (last - first), 2), name_of_day(round(day))) for day in _marks(first, last)],
        [(round(100 * (1 - level / highest), 2), f"{level:,g}") for level in _marks(0, highest)],
    )


def draw_film(film: MovieHistory) -> Drawing | None:
    """Draw three lines for a film: the outline of its forecasts' intervals, its forecasts, and its history."""
    known = [(row.snapshot_date.toordinal(), row.popularity) for row in film.history]
    origin = [(row.made_on.toordinal(), row.origin_popularity) for row in film.forecasts[:1]]
    ahead, upper, lower = (
        origin + [(row.target_date.toordinal(), getattr(row, name)) for row in film.forecasts]
        for name in ("forecast_popularity", "popularity_upper", "popularity_lower")
    )
    return draw([upper + lower[::-1], ahead, known], lambda day: f"{(at := date.fromordinal(day)).day} {at:%b}")


def draw_since_release(lines: Sequence[Line]) -> Drawing | None:
    """Draw one line per film over the days since its release."""
    return draw(lines, lambda day: f"{day:+d}".replace("-", "−") if day else "release")


def _marks(low: float, high: float) -> list[float]:
    """Return a few values from `low` to `high` that are multiples of a round number."""
    size = 10.0 ** math.floor(math.log10((high - low) / MOST_MARKS))
    step = next(size * factor for factor in (1, 2, 3, 5, 10, 20) if (high - low) / (size * factor) <= MOST_MARKS)
    return [step * number for number in range(math.ceil(low / step), math.floor(high / step) + 1)]
