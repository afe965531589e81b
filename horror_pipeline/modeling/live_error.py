"""The error of predictions on what happened, held against the error their models promised."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

MOST_LIVE_ERROR = 1.5
"""Highest live error, as a multiple of the promised one, that is not a sign of change."""

FEWEST_JUDGED = 30
"""Films below which an error says nothing."""


def model_of(figures: Mapping[str, Any]) -> str:
    """Return the name of the model that figures of a target and a stage belong to."""
    target = "rating" if figures["target"] == "vote_average" else figures["target"]
    return f"{target}_{figures['stage']}"


def live_figures(accuracy: Sequence[Mapping[str, Any]]) -> dict[str, int | float]:
    """Name the films, MAE, MAE of no change, drift and coverage of each model and horizon.

    Args:
        accuracy: a day's outcomes by horizon, stage and target.
    """
    figures: dict[str, int | float] = {}
    for row in accuracy:
        name = f"{model_of(row)}_{row['horizon']}"
        figures[f"{name}_films"] = int(row["films"])
        measured = {measure: row[measure] for measure in ("mae", "mae_no_change", "drift", "coverage")}
        figures |= {f"{name}_{key}": round(float(value), 3) for key, value in measured.items() if value is not None}
    return figures


def broken_promises(accuracy: Sequence[Mapping[str, Any]], promised: Mapping[str, float]) -> dict[str, str]:
    """Find the models whose error on what happened is far above the one they promised.

    Args:
        accuracy: a day's outcomes by horizon, stage and target.
        promised: MAE on the backtest by model.

    Returns:
        A sentence by model and horizon; empty where all is well.
    """
    return {
        f"{model_of(row)}_{row['horizon']}": f"MAE {float(row['mae']):.3f}, promised {promised[model_of(row)]:.3f}"
        for row in accuracy
        if row["films"] >= FEWEST_JUDGED
        and model_of(row) in promised
        and float(row["mae"]) > MOST_LIVE_ERROR * promised[model_of(row)]
    }
