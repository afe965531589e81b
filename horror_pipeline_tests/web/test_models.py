"""The metrics the dashboard reads are those that training stores."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from horror_pipeline.modeling import backtest, intervals
from horror_pipeline.modeling.specs import MODELS
from horror_pipeline_tests.web.rows import METRICS


def test_training_stores_every_metric_the_dashboard_reads() -> None:
    random = np.random.default_rng(0)
    blocks = np.repeat(["o-1", "o0", "o1"], 100)
    forward = pd.DataFrame(
        {
            "position": np.arange(300),
            "block": blocks,
            "release_date": pd.date_range("2024-01-01", periods=300),
            "is_scored_block": blocks != "o-1",
            "is_scored": True,
            "votes": 50.0,
            "age_days": 400.0,
            "actual": random.uniform(2, 9, 300),
            "blend": random.uniform(2, 9, 300),
        }
    )
    spec = MODELS["rating_after_release"]

    stored = backtest.score(spec, forward, "blend") | {"interval": intervals.coverage(spec, forward, "blend")}

    assert _paths(METRICS) <= _paths(stored)


def _paths(value: dict[str, Any], prefix: str = "") -> set[str]:
    found = {prefix + name for name in value}
    for name, inner in value.items():
        if isinstance(inner, dict):
            found |= _paths(inner, f"{prefix}{name}.")
    return found
