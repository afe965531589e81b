"""A batch of predictions for all films, made by the champions of each film's stage, with the film's current values."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping

import pandas as pd

from horror_pipeline.modeling.chances import HIGH_RATING, chance_of, top_popularity
from horror_pipeline.modeling.intervals import Interval
from horror_pipeline.modeling.prediction import predict
from horror_pipeline.modeling.specs import MODELS
from horror_pipeline.modeling.training import Champion

CHANCES = {"popularity": "top_1_percent_probability", "vote_average": "rating_7_probability"}
"""The column of `model_predictions` that holds the chance of a high value, by target."""


def predict_batch(films: pd.DataFrame, champions: Mapping[str, Champion | None], now: dt.datetime) -> pd.DataFrame:
    """Predict popularity and mean vote of every film.

    Args:
        films: rows of `movie_features`, with targets.
        champions: the champion of each model; a model without a usable champion predicts nothing.
        now: the batch's `predicted_at`.

    Returns:
        Rows of `model_predictions`.
    """
    batch = pd.DataFrame(
        {
            "predicted_at": now,
            "tmdb_id": films["tmdb_id"],
            "stage": films["stage"],
            "actual_popularity": films["popularity"],
            "actual_vote_average": films["vote_average"],
            "actual_vote_count": films["vote_count"].astype("Int64"),
        }
    )
    thresholds = {"popularity": top_popularity(films["popularity"]), "vote_average": HIGH_RATING}
    for target, threshold in thresholds.items():
        predictions = []
        for spec in (spec for spec in MODELS.values() if spec.target == target):
            champion, rows = champions[spec.name], films[films["stage"] == spec.stage]
            if champion is not None and champion.artifact is not None and len(rows):
                predicted = predict(spec, champion.artifact, rows)
                interval, votes = Interval(**champion.artifact.interval), rows["vote_count"].to_numpy("float64")
                chance = chance_of(spec, interval, predicted["predicted"].to_numpy(), votes, threshold)
                predictions.append(predicted.assign(version=champion.model_version, chance=chance))
        columns = ["predicted", "lower", "upper", "version", "chance"]
        none = pd.DataFrame(index=films.index, columns=columns)
        values = pd.concat(predictions).reindex(films.index) if predictions else none
        batch[f"predicted_{target}"] = values["predicted"]
        batch[f"{target}_lower"], batch[f"{target}_upper"] = values["lower"], values["upper"]
        batch[f"{target}_model_version"], batch[CHANCES[target]] = values["version"], values["chance"]
    # The popularity of a released film is known, so it needs no chance.
    batch.loc[batch["stage"] == "after_release", CHANCES["popularity"]] = None
    return batch
