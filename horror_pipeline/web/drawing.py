"""Courses of popularity as SVG paths, for the pages that need no script."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any, NamedTuple

from horror_pipeline.web.schemas import MovieHistory

WIDTH, HEIGHT = 720.0, 200.0


class Drawing(NamedTuple):
    """Paths in a box of `WIDTH` x `HEIGHT`, and the highest popularity in it."""

    history: str
    forecast: str
    interval: str
    highest: float


def draw(film: MovieHistory) -> Drawing | None:
    """Draw the history and the forecasts with their interval; None with fewer than two points."""
    known = [(row.snapshot_date, row.popularity) for row in film.history]
    ahead = [(row.target_date, row.forecast_popularity) for row in film.forecasts]
    upper = [(row.target_date, row.popularity_upper) for row in film.forecasts]
    lower = [(row.target_date, row.popularity_lower) for row in film.forecasts]
    if film.forecasts:
        origin = [(film.forecasts[0].made_on, film.forecasts[0].origin_popularity)]
        ahead, upper, lower = origin + ahead, origin + upper, origin + lower
    points = known + upper
    if len(points) < 2:
        return None
    first, last = min(day for day, _ in points), max(day for day, _ in points)
    highest = max(value for _, value in points) or 1.0

    def path(line: Sequence[tuple[date, Any]]) -> str:
        return _path([((day - first).days, value) for day, value in line], (last - first).days, highest)

    return Drawing(path(known), path(ahead), path(upper + lower[::-1]), highest)


class Lines(NamedTuple):
    """A path for each line in a box of `WIDTH` x `HEIGHT`, what the box spans, and where day 0 is in it."""

    paths: list[str]
    first: int
    last: int
    highest: float
    zero: float | None


def draw_lines(lines: Sequence[Sequence[tuple[int, float]]]) -> Lines | None:
    """Draw lines of day and value over the days that any of them has; None where there is not more than one day."""
    days = sorted({day for line in lines for day, _ in line})
    if len(days) < 2:
        return None
    first, last = days[0], days[-1]
    highest = max(value for line in lines for _, value in line) or 1.0
    paths = [_path([(day - first, value) for day, value in line], last - first, highest) for line in lines]
    zero = WIDTH * -first / (last - first) if first <= 0 <= last else None
    return Lines(paths, first, last, highest, zero)


def _path(line: Sequence[tuple[int, Any]], span: int, highest: float) -> str:
    places = ((WIDTH * day / max(1, span), HEIGHT * (1 - value / highest)) for day, value in line)
    return "".join(f"{'L' if number else 'M'}{x:.1f} {y:.1f}" for number, (x, y) in enumerate(places))
