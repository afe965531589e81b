"""Lines of popularity over time as SVG paths with their axes, for the pages that need no script."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from datetime import date
from typing import NamedTuple

from horror_pipeline.web.schemas import MovieHistory

WIDTH, HEIGHT = 720.0, 200.0
MOST_MARKS = 5

Line = Sequence[tuple[int, float]]
"""Days and the popularity on them."""


class Drawing(NamedTuple):
    """A path for each line in a box of `WIDTH` x `HEIGHT`, and the marks of its axes.

    A mark is a share of the way from the left, or from the top, in percent, and what is written there.
    """

    paths: list[str]
    days: list[tuple[float, str]]
    levels: list[tuple[float, str]]


def draw(lines: Sequence[Line], name_of_day: Callable[[int], str]) -> Drawing | None:
    """Draw lines over the days that any of them has; None where there is not more than one day."""
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
    """Draw the interval of the forecasts, the forecasts and the history of a film."""
    known = [(row.snapshot_date.toordinal(), row.popularity) for row in film.history]
    origin = [(row.made_on.toordinal(), row.origin_popularity) for row in film.forecasts[:1]]
    ahead, upper, lower = (
        origin + [(row.target_date.toordinal(), getattr(row, name)) for row in film.forecasts]
        for name in ("forecast_popularity", "popularity_upper", "popularity_lower")
    )
    return draw([upper + lower[::-1], ahead, known], lambda day: f"{(at := date.fromordinal(day)).day} {at:%b}")


def draw_since_release(lines: Sequence[Line]) -> Drawing | None:
    """Draw films by days since the release of each."""
    return draw(lines, lambda day: f"{day:+d}".replace("-", "−") if day else "release")


def _marks(low: float, high: float) -> list[float]:
    """Return the multiples of a round number between two, a few of them."""
    size = 10.0 ** math.floor(math.log10((high - low) / MOST_MARKS))
    step = next(size * factor for factor in (1, 2, 3, 5, 10, 20) if (high - low) / (size * factor) <= MOST_MARKS)
    return [step * number for number in range(math.ceil(low / step), math.floor(high / step) + 1)]
