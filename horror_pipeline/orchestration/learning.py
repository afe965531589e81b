"""What the assets of learning share: features as a frame, and whether a step has anything to do.

What belongs here: the bridge between `warehouse.learning` and the frames `transform` and `modeling` work on. What does
not: assets.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Engine

from horror_pipeline.modeling.artifacts import CODE_VERSION
from horror_pipeline.warehouse import features

if TYPE_CHECKING:
    import pandas as pd

    from horror_pipeline.domain import Stage
    from horror_pipeline.modeling.specs import Inputs


def read_features(warehouse: Engine) -> pd.DataFrame:
    """All features and targets as a frame: numbers and flags float64, `release_date` datetime64, text as objects."""
    import pandas as pd

    from horror_pipeline.transform.features import FEATURES, TARGETS

    with warehouse.connect() as connection:
        names, rows = features.read_features(connection)
    frame = pd.DataFrame(rows, columns=names)
    numeric = [*(feature.name for feature in FEATURES if feature.kind != "category"), *TARGETS]
    frame[numeric] = frame[numeric].astype("float64")
    frame["release_date"] = pd.to_datetime(frame["release_date"]).astype("datetime64[s]")
    return frame


def inputs_of(stage: Stage) -> Inputs:
    """The columns a model of a stage may use."""
    from horror_pipeline.modeling.specs import Inputs
    from horror_pipeline.transform.features import FEATURES, feature_names

    allowed = set(feature_names(stage))
    by_kind = [
        tuple(feature.name for feature in FEATURES if feature.kind == kind and feature.name in allowed)
        for kind in ("number", "flag", "category")
    ]
    return Inputs(*by_kind)


def records(frame: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """The frame's rows one by one: never all of them as Python objects at once."""
    names = list(frame.columns)
    for row in frame.itertuples(index=False, name=None):
        yield dict(zip(names, row, strict=True))


def news(connection: Connection, step: str) -> str | None:
    """The features' fingerprint where it is not the one the step last ended with; None when nothing is new."""
    seen = f"{CODE_VERSION}|{features.state(connection, features.FEATURES_STEP)}"
    return None if seen == features.state(connection, step) else seen


def finish(connection: Connection, step: str, fingerprint: str, now: dt.datetime) -> None:
    """Note that a step has dealt with what `news` told."""
    features.set_state(connection, step, fingerprint, now)


def rounded(values: Mapping[str, float], digits: int = 3) -> dict[str, float]:
    """Figures as a person reads them."""
    return {name: round(value, digits) for name, value in values.items()}
