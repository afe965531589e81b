"""Small charts of a model, as SVG text: what a person wants to see beside its figures.

What belongs here: drawing. What does not: what is drawn; that comes from a walk forward in time, or from stored
metrics. Charts are a few kilobytes each: they are kept with every training's event.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np
import pandas as pd

from horror_pipeline.modeling.intervals import LEVEL
from horror_pipeline.modeling.specs import Floats, ModelSpec

WIDTH, HEIGHT = 520, 300
LEFT, RIGHT, TOP, BOTTOM = 56, 14, 36, 34
MOST_POINTS = 300
MOST_BARS, MOST_TICKS = 12, 7
BLUE, GREY, RED = "#4c6ef5", "#adb5bd", "#e03131"


def markdown(charts: Mapping[str, str]) -> str:
    """Charts below each other as Markdown, each an image that is its own source.

    Args:
        charts: SVG text by title.
    """
    lines = [
        f"![{title}](data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()})"
        for title, svg in charts.items()
    ]
    return "\n\n".join(lines)


def of_walk(spec: ModelSpec, bounded: pd.DataFrame) -> dict[str, str]:
    """Predicted against real, residuals over time and coverage by decile, on later films.

    Args:
        spec: the model.
        bounded: what `intervals.with_bounds` returned: `predicted`, `actual`, `lower`, `upper`, `release_date`.
    """
    if bounded.empty:
        return {}
    newest = bounded.tail(MOST_POINTS)
    predicted, actual = newest["predicted"].to_numpy(), newest["actual"].to_numpy()
    dates = newest["release_date"].to_numpy().astype("datetime64[D]").astype("int64").astype("float64")
    held = bounded["actual"].between(bounded["lower"], bounded["upper"])
    decile = pd.qcut(bounded["predicted"].rank(method="first"), 10, labels=False)
    shares = np.asarray(held.groupby(decile).mean(), dtype="float64")
    is_log = spec.is_popularity
    residual = np.log2(np.maximum(actual, 1e-4) / np.maximum(predicted, 1e-4)) if is_log else actual - predicted
    unit = "real ÷ predicted, in doublings" if is_log else "real − predicted"
    return {
        "predicted against real": against(predicted, actual, is_log),
        "residuals over time": over_time(dates, residual, unit),
        "coverage by decile": bars([f"{n + 1}" for n in range(len(shares))], shares, LEVEL),
    }


def against(predicted: Floats, actual: Floats, is_log: bool) -> str:
    """Each film's real value over its predicted one, with the line where both are equal."""
    low, high = float(min(predicted.min(), actual.min())), float(max(predicted.max(), actual.max()))
    axis = _Axis.of(max(low, 1e-3) if is_log else low, high, is_log)
    frame = _Frame("predicted against real", axis, axis, "predicted", "real")
    line = frame.line([(axis.low, axis.low), (axis.high, axis.high)], GREY)
    return frame.svg(line + frame.points(predicted, actual))


def over_time(dates: Floats, residual: Floats, unit: str) -> str:
    """Residuals by release date, with their running median: a drift shows as a slope."""
    days = _Axis.of_dates(dates.min(), dates.max(), 7)
    reach = float(np.quantile(np.abs(residual), 0.98)) or 1.0
    frame = _Frame(f"residuals over time ({unit})", days, _Axis.of(-reach, reach, False), "released", "")
    order = np.argsort(dates, kind="stable")
    parts = [part for part in np.array_split(order, min(10, len(order))) if len(part)]
    median = [(float(dates[part].mean()), float(np.median(residual[part]))) for part in parts]
    zero = frame.line([(days.low, 0.0), (days.high, 0.0)], GREY)
    return frame.svg(zero + frame.points(dates, np.clip(residual, -reach, reach)) + frame.line(median, RED))


def bars(names: Sequence[str], shares: Floats, wanted: float) -> str:
    """Shares as upright bars, with the level they should have."""
    frame = _Frame(
        "coverage by decile of the prediction",
        _Axis(0.0, float(len(names)), False, lambda _: ""),
        _Axis.of(0, 1, False),
        "decile",
        "inside the interval",
    )
    drawn = "".join(
        frame.bar(place, name, float(share)) for place, (name, share) in enumerate(zip(names, shares, strict=True))
    )
    return frame.svg(drawn + frame.line([(0, wanted), (len(names), wanted)], RED))


def importance(found: Mapping[str, float]) -> str:
    """The features that matter most, as lying bars."""
    ordered = sorted(found.items(), key=lambda item: (-item[1], item[0]))
    shown = [(name, max(value, 0.0)) for name, value in ordered][:MOST_BARS]
    most = max((value for _, value in shown), default=0.0) or 1.0
    rows = []
    for place, (name, value) in enumerate(shown):
        y = TOP - 4 + place * 20
        rows.append(
            f'<text x="170" y="{y + 11}" text-anchor="end">{escape(name)}</text>'
            f'<rect x="176" y="{y}" width="{_n(280 * value / most)}" height="14" fill="{BLUE}"/>'
            f'<text x="{_n(180 + 280 * value / most)}" y="{y + 11}">{value:.3g}</text>'
        )
    return _document("importance: how much the error grows without it", "".join(rows))


def versions(history: Sequence[Mapping[str, Any]]) -> str | None:
    """The error of each version beside the baselines', over time; None for less than two versions.

    Args:
        history: rows with `trained_at`, `metrics` and `baseline_metrics`, oldest first.
    """
    if len(history) < 2:
        return None
    series: dict[str, list[float]] = {"model": [], "linear": [], "constant": []}
    for row in history:
        series["model"].append(row["metrics"]["mean"]["mae"])
        for name in ("linear", "constant"):
            series[name].append(row["baseline_metrics"][name]["mean"]["mae"])
    times = np.array([row["trained_at"].timestamp() / 86_400 for row in history])
    every = [value for values in series.values() for value in values]
    frame = _Frame(
        "error over versions (blue: model, grey: constant, red: linear)",
        _Axis.of_dates(times.min(), times.max(), 10),
        _Axis.of(0, max(every), False),
        "trained",
        "MAE",
    )
    colours = {"model": BLUE, "linear": RED, "constant": GREY}
    lines = [frame.line(list(zip(times, values, strict=True)), colours[name]) for name, values in series.items()]
    return frame.svg("".join(lines) + frame.points(times, np.array(series["model"])))


@dataclass(frozen=True)
class _Axis:
    """A range of values, its ticks, and how they are written."""

    low: float
    high: float
    is_log: bool
    write: Callable[[float], str]
    is_dates: bool = False

    @classmethod
    def of(cls, low: float, high: float, is_log: bool) -> _Axis:
        if high <= low:
            low, high = (low / 2, low * 2) if is_log else (low - 0.5, low + 0.5)
        return cls(float(low), float(high), is_log, lambda value: f"{value:.3g}")

    @classmethod
    def of_dates(cls, low: float, high: float, letters: int) -> _Axis:
        """Days since 1970, written as dates of so many letters."""
        axis = cls.of(low, high, False)
        return cls(axis.low, axis.high, False, lambda day: str(np.datetime64(int(day), "D"))[:letters], True)

    def share(self, value: float) -> float:
        """Where a value lies, from 0 to 1."""
        if self.is_log:
            return float(np.log(max(value, self.low) / self.low) / np.log(self.high / self.low))
        return float((value - self.low) / (self.high - self.low))

    def ticks(self) -> list[float]:
        """Round numbers within the range; a range of dates is cut in four."""
        if self.is_dates:
            return [float(tick) for tick in np.linspace(self.low, self.high, 5)]
        if self.is_log:
            decades = range(int(np.floor(np.log10(self.low))), int(np.ceil(np.log10(self.high))) + 1)
            for steps in ((1, 2, 5), (1,)):
                found = [step * 10.0**decade for decade in decades for step in steps]
                found = [tick for tick in found if self.low <= tick <= self.high]
                if len(found) <= MOST_TICKS:
                    break
            return found if len(found) > 1 else [self.low, self.high]
        rough = (self.high - self.low) / 4
        decade = 10.0 ** np.floor(np.log10(rough))
        step = decade * next(size for size in (1, 2, 5, 10) if size * decade >= rough * 0.999)
        return [
            float(tick) * step for tick in range(int(np.ceil(self.low / step)), int(np.floor(self.high / step)) + 1)
        ]


@dataclass(frozen=True)
class _Frame:
    """A chart's axes; draws marks within them."""

    title: str
    x: _Axis
    y: _Axis
    x_name: str
    y_name: str

    def at(self, x: float, y: float) -> tuple[float, float]:
        right = LEFT + self.x.share(x) * (WIDTH - LEFT - RIGHT)
        return right, HEIGHT - BOTTOM - self.y.share(y) * (HEIGHT - TOP - BOTTOM)

    def points(self, xs: Floats, ys: Floats) -> str:
        drawn = (self.at(float(x), float(y)) for x, y in zip(xs, ys, strict=True))
        dots = "".join(f"M{_n(x)} {_n(y)}h0" for x, y in drawn)
        return f'<path d="{dots}" stroke="{BLUE}" stroke-opacity=".55" stroke-width="4" stroke-linecap="round"/>'

    def line(self, points: Sequence[tuple[float, float]], colour: str) -> str:
        path = " ".join(f"{_n(x)},{_n(y)}" for x, y in (self.at(*point) for point in points))
        return f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.5"/>'

    def bar(self, place: int, name: str, value: float) -> str:
        (left, top), (right, bottom) = self.at(place + 0.15, value), self.at(place + 0.85, self.y.low)
        return (
            f'<rect x="{_n(left)}" y="{_n(top)}" width="{_n(right - left)}" height="{_n(bottom - top)}" fill="{BLUE}"/>'
            f'<text x="{_n((left + right) / 2)}" y="{HEIGHT - BOTTOM + 14}" text-anchor="middle">{escape(name)}</text>'
        )

    def _anchor(self, x: float) -> str:
        """How a mark of the lower axis is set, so that a date at the right edge is not cut."""
        return "end" if self.x.is_dates and x > WIDTH - 2 * RIGHT else "middle"

    def svg(self, marks: str) -> str:
        """The whole chart."""
        grid = []
        for tick in self.y.ticks():
            _, y = self.at(self.x.low, tick)
            grid.append(
                f'<path d="M{LEFT} {_n(y)}H{WIDTH - RIGHT}" stroke="#e9ecef"/>'
                f'<text x="{LEFT - 6}" y="{_n(y + 4)}" text-anchor="end">{escape(self.y.write(tick))}</text>'
            )
        for tick in self.x.ticks():
            x, _ = self.at(tick, self.y.low)
            grid.append(
                f'<text x="{_n(x)}" y="{HEIGHT - BOTTOM + 14}" text-anchor="{self._anchor(x)}">'
                f"{escape(self.x.write(tick))}</text>"
            )
        names = (
            f'<text x="{WIDTH - RIGHT}" y="{HEIGHT - 4}" text-anchor="end">{escape(self.x_name)}</text>'
            f'<text x="4" y="{TOP - 12}">{escape(self.y_name)}</text>'
        )
        return _document(self.title, "".join(grid) + names + marks)


def _document(title: str, body: str) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" '
        f'font-family="sans-serif" font-size="11">'
        f'<rect width="100%" height="100%" fill="#fff"/>'
        f'<text x="{WIDTH / 2}" y="14" text-anchor="middle" font-weight="bold">{escape(title)}</text>{body}</svg>'
    )


def _n(value: float) -> str:
    """A number as short as a chart needs it."""
    return f"{value:.1f}".rstrip("0").rstrip(".")
