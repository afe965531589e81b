"""The error of live predictions, compared with their models' error in the backtest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

MOST_LIVE_ERROR = 1.5
"""Highest acceptable live error, as a multiple of the error in the backtest."""

FEWEST_JUDGED = 30
"""Fewest films for which a live error is judged. The error of fewer films is mostly chance."""


def model_of(figures: Mapping[str, Any]) -> str:
    """Return the name of the model whose predictions the figures describe, from their target and stage."""
    target = "rating" if figures["target"] == "vote_average" else figures["target"]
    return f"{target}_{figures['stage']}"


def live_figures(accuracy: Sequence[Mapping[str, Any]]) -> dict[str, int | float]:
    """Collect the number of films, MAE, MAE of no change, drift and coverage by model and horizon as flat metadata.

    Args:
        accuracy: a day's accuracy by horizon, stage and target, see `warehouse.outcomes.accuracy`.
    """
    figures: dict[str, int | float] = {}
    for row in accuracy:
        name = f"{model_of(row)}_{row['horizon']}"
        figures[f"{name}_films"] = int(row["films"])
        measured = {measure: row[measure] for measure in ("mae", "mae_no_change", "drift", "coverage")}
        figures |= {f"{name}_{key}": round(float(value), 3) for key, value in measured.items() if value is not None}
    return figures


def broken_promises(accuracy: Sequence[Mapping[str, Any]], promised: Mapping[str, float]) -> dict[str, str]:
    """Find the models whose live error is far above their error in the backtest.

    Args:
        accuracy: a day's accuracy by horizon, stage and target, see `warehouse.outcomes.accuracy`.
        promised: MAE in the backtest by model.

    Returns:
        Both errors in words by model and horizon; empty if all is well.
    """
    return {
        f"{model_of(row)}_{row['horizon']}": f"MAE {float(row['mae']):.3f}, promised {promised[model_of(row)]:.3f}"
        for row in accuracy
        if row["films"] >= FEWEST_JUDGED
        and model_of(row) in promised
        and float(row["mae"]) > MOST_LIVE_ERROR * promised[model_of(row)]
    }
