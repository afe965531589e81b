from __future__ import annotations

import re

import numpy as np
import pytest

from horror_pipeline.modeling import charts


def written(svg: str) -> list[str]:
    return re.findall(r"<text[^>]*>([^<]*)</text>", svg)


def test_what_matters_most_stands_first_however_it_was_stored() -> None:
    svg = charts.importance({"is_war": 0.01, "log_vote_count": 2.0, "is_noise": -0.1})
    assert written(svg)[1:] == ["log_vote_count", "2", "is_war", "0.01", "is_noise", "0"]


@pytest.mark.parametrize(
    ("low", "high", "is_log", "ticks"),
    [
        (0.6, 31.4, True, ["1", "2", "5", "10", "20"]),
        (0.001, 500.0, True, ["0.001", "0.01", "0.1", "1", "10", "100"]),
        (2.1, 3.9, True, ["2.1", "3.9"]),
        (3.7, 8.2, False, ["4", "6", "8"]),
        (-1.3, 1.3, False, ["-1", "0", "1"]),
        (5.0, 5.0, False, ["4.5", "5", "5.5"]),
    ],
)
def test_axes_are_marked_at_round_numbers(low: float, high: float, is_log: bool, ticks: list[str]) -> None:
    svg = charts.against(np.array([low, high]), np.array([high, low]), is_log)
    assert written(svg)[1:-2] == [*ticks, *ticks]
