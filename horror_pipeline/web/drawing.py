"""A film's history and forecasts as an SVG path, for the page that needs no script."""

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
        places = (
            (WIDTH * (day - first).days / max(1, (last - first).days), HEIGHT * (1 - value / highest))
            for day, value in line
        )
        return "".join(f"{'L' if number else 'M'}{x:.1f} {y:.1f}" for number, (x, y) in enumerate(places))

    return Drawing(path(known), path(ahead), path(upper + lower[::-1]), highest)
