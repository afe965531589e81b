"""How server-rendered pages write numbers and dates; the dashboard's scripts must write them the same way."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from datetime import date

from horror_pipeline.domain import Target

NONE = "–"


def popularity(value: float | None) -> str:
    """Write a popularity with three digits or more."""
    if value is None:
        return NONE
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def rating(value: float | None) -> str:
    """Write a mean vote."""
    return NONE if value is None else f"{value:.1f}"


def percent(share: float | None) -> str:
    """Write a share in whole percent."""
    return NONE if share is None else f"{share:.0%}".replace("%", " %")


def chance(share: float) -> str:
    """Write a chance in whole percent, but never as 0 or 100 %."""
    return "under 1 %" if share < 0.01 else "over 99 %" if share > 0.99 else f"{100 * share:.0f} %"


def percentile(share: float) -> str:
    """Write a share in percent, rounded down so that 100 % means all: 0.99996 is 99.99 %."""
    return f"{int(share * 10_000) / 100:g} %"


def effect(value: float, target: Target) -> str:
    """Write the effect of one part of an explanation on a prediction; empty if it rounds to 0.

    The effect on a popularity is in percent, or a factor if that is 3 or more. The effect on a rating is in points.
    """
    if target == "vote_average":
        text = f"{value:+.2f}"
        return "" if float(text) == 0 else text.replace("-", "−")
    factor = math.exp(value)
    if factor >= 3:
        return f"×{factor:.1f}"
    text = f"{100 * (factor - 1):+.0f} %"
    return "" if text in ("+0 %", "-0 %") else text.replace("-", "−")


def popularity_reasons(base: float, parts: Sequence[tuple[str, float]]) -> str:
    """Write the usual popularity and the three parts that moved the expected one most, except those that round to 0."""
    moved = [f"{label} {change}" for label, value in parts[:3] if (change := effect(value, "popularity"))]
    return ", ".join([f"{popularity(math.exp(base))} is usual", *moved])


def day(value: date | None) -> str:
    """Write a date like 3 May 2026."""
    return "no date yet" if value is None else f"{value.day} {value:%b %Y}"


def days(number: int) -> str:
    """Write a number of days."""
    return "1 day" if number == 1 else f"{number:,} days"


def count(value: float | None) -> str:
    """Write a number of things."""
    return NONE if value is None else f"{value:,.0f}"


FILTERS: dict[str, Callable[..., str | float]] = {
    function.__name__: function
    for function in (popularity, rating, percent, chance, percentile, math.exp, effect, day, days, count)
}
