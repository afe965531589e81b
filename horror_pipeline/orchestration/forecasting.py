"""What the assets of forecasts share: reading history, when to refit, which days to forecast, and rows of forecasts."""

from __future__ import annotations

import datetime as dt
import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Engine

from horror_pipeline.domain import FORECAST_WINDOW_DAYS, FORECASTER_NAME, POPULARITY_DECIMALS
from horror_pipeline.modeling import artifacts
from horror_pipeline.orchestration.learning import records
from horror_pipeline.warehouse import features, forecasts, models, snapshots
from horror_pipeline.warehouse.days import start_of

if TYPE_CHECKING:
    import pandas as pd

    from horror_pipeline.modeling.forecasting.forecaster import FittedForecaster, HorizonForecaster
    from horror_pipeline.modeling.forecasting.history import History
    from horror_pipeline.modeling.forecasting.prediction import Forecasts

FORECASTS_STEP = "forecasts"

REFIT_DAYS, REFIT_SHARE = 7, 0.1
"""The forecaster is refitted after this many new days, or after this share of the days stored at its fit, if fewer."""

FEWEST_DAYS_BEFORE = 28
"""Forecasts are made on a past day only if history begins at least this many days before it."""


def days_of_history(connection: Connection) -> list[dt.date]:
    """List the days with a snapshot within the window that a forecaster learns from, oldest first."""
    stored = sorted(snapshots.snapshot_days(connection))
    return [day for day in stored if stored[-1] - day < dt.timedelta(days=FORECAST_WINDOW_DAYS)]


def read_history(warehouse: Engine, first: dt.date, last: dt.date) -> tuple[History, pd.Series]:
    """Read the history from the first to the last day, both included, and every film's release date by `tmdb_id`."""
    import pandas as pd

    from horror_pipeline.modeling.forecasting.history import History

    with warehouse.connect() as connection:
        columns = forecasts.read_history(connection, first, last)
        release_dates = pd.Series(forecasts.release_dates(connection), dtype="object")
    return History.from_frame(pd.DataFrame(columns)), release_dates


# -- the forecaster ----------------------------------------------------------------------------------------------------


def films_known(connection: Connection, made_on: dt.date) -> int:
    """Sum, over the days that a forecaster made on this day learns from, the films known when each was collected."""
    return snapshots.films_known(connection, made_on - dt.timedelta(days=FORECAST_WINDOW_DAYS - 1), made_on)


def why_refit(connection: Connection, days_stored: Sequence[dt.date]) -> str | None:
    """Return in words why the forecaster has to be refitted; None if it does not have to be.

    Args:
        connection: to read with.
        days_stored: what `days_of_history` returned.
    """
    champion = models.champion(connection, FORECASTER_NAME)
    if champion is None:
        return "it is the first forecaster"
    if champion["library_versions"] != artifacts.library_versions():
        return "the present one was fitted with other library versions"
    made_on, days_known = dt.date.fromisoformat(champion["metrics"]["made_on"]), champion["metrics"]["days_stored"]
    later = sum(day > made_on for day in days_stored)
    if films_known(connection, made_on) > champion["metrics"]["films_known"]:
        return f"days up to {made_on} were collected, or gained films, after the present one was fitted"
    if later >= min(REFIT_DAYS, max(1, REFIT_SHARE * days_known)):
        return f"{later} {'day' if later == 1 else 'days'} of history came after the {days_known} of the present one"
    return None


def version_row(fitted: FittedForecaster, history: History, *, days_stored: int, films_known: int) -> dict[str, Any]:
    """Build a fitted forecaster's row of `model_versions`, without `trained_at` and `library_versions`."""
    from horror_pipeline.modeling.forecasting.features import FEATURES
    from horror_pipeline.modeling.forecasting.state import to_state

    serving = [days for days, horizon in fitted.horizons.items() if horizon.serves]
    metrics = {
        "made_on": str(fitted.made_on),
        "days_stored": days_stored,
        "films_known": films_known,
        "days_used": fitted.days_used,
        "first_day": str(fitted.first_day),
        "horizons": {str(days): _horizon_metrics(horizon) for days, horizon in fitted.horizons.items()},
    }
    artifact = artifacts.Artifact(to_state(fitted), list(FEATURES), {}, history.tmdb_ids)
    return {
        "model_version": version_of(fitted, history),
        "model_name": FORECASTER_NAME,
        "algorithm": "boosting" if serving else "no_change",
        "training_rows": fitted.films * fitted.days_used,
        "data_fingerprint": _fingerprint(fitted, history),
        "metrics": metrics,
        "baseline_metrics": {},
        "importance": {},
        "artifact": artifacts.dump(artifact),
    }


def _horizon_metrics(horizon: HorizonForecaster) -> dict[str, Any]:
    figures = {name: None if math.isnan(value) else round(value, 6) for name, value in horizon.metrics().items()}
    decision = {"serves": horizon.serves, "reason": horizon.verdict.reason, "share": horizon.share}
    return figures | decision | {"reliability": horizon.reliability}


def version_of(fitted: FittedForecaster, history: History) -> str:
    """Return the id of a forecaster that was fitted to a history."""
    return artifacts.version_id(FORECASTER_NAME, _fingerprint(fitted, history), str(fitted.seed))


def _fingerprint(fitted: FittedForecaster, history: History) -> str:
    """Compute a digest of what was known on the day on which a forecaster was made."""
    known, digest = history.until(fitted.made_on), hashlib.blake2b(digest_size=16)
    for values in (known.days.astype("int64"), known.tmdb_ids, known.popularity):
        digest.update(values.tobytes())
    return digest.hexdigest()


def horizon_table(horizons: Mapping[str, Mapping[str, Any]]) -> str:
    """Format a backtest as a Markdown table, one row per horizon, including the error of forecasting no change."""
    lines = [
        "| days ahead | serves | MAE | MAE of no change | skill | coverage | why |",
        "|---|---|---|---|---|---|---|",
    ]
    for days, row in horizons.items():
        serves = "the model" if row["serves"] else "no change"
        cells = [days, serves, *(_cell(row[key]) for key in ("mae", "mae_no_change", "skill", "coverage"))]
        lines.append(f"| {' | '.join(cells)} | {row['reason']} |")
    return "\n".join(lines)


def _cell(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


# -- on which days to make forecasts -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Plan:
    """The days on which to make forecasts.

    Attributes:
        days: in order.
        live_day: the one of these days whose forecasts are made by the champion; None if all are past days.
        skipped: the reason why a wanted day gets no forecasts, by day.
    """

    days: list[dt.date] = field(default_factory=list)
    live_day: dt.date | None = None
    skipped: dict[dt.date, str] = field(default_factory=dict)


def plan(connection: Connection, wanted: Sequence[dt.date] | None, today: dt.date) -> Plan:
    """Decide on which days to make forecasts.

    Args:
        connection: to read with.
        wanted: the requested days; None for all past days without forecasts, and for the newest day if what its
            forecasts depend on has changed since they were made.
        today: the present UTC day.
    """
    stored = sorted(snapshots.snapshot_days(connection))
    if not stored:
        return Plan(skipped=dict.fromkeys(wanted or [today], "there is no history yet"))
    made = forecasts.forecast_days(connection)
    has_forecaster = models.champion(connection, FORECASTER_NAME) is not None
    live_day = stored[-1] if today - stored[-1] <= dt.timedelta(days=1) else None
    if wanted is None:
        first = stored[0] + dt.timedelta(days=FEWEST_DAYS_BEFORE)
        wanted = [day for day in stored if first <= day and day not in made and day != live_day]
        if live_day and features.state(connection, FORECASTS_STEP) != _present(connection, live_day):
            wanted.append(live_day)
    skipped: dict[dt.date, str] = {}
    for day in wanted:
        if day not in stored:
            skipped[day] = "there is no snapshot"
        elif day == live_day and not has_forecaster:
            skipped[day] = "no forecaster has been fitted yet"
        elif day != live_day and made.get(day) is False:
            skipped[day] = "the forecasts made at the time are kept"
        elif day != live_day and (day - stored[0]).days < FEWEST_DAYS_BEFORE:
            skipped[day] = f"fewer than {FEWEST_DAYS_BEFORE} days of history before it"
    days = [day for day in wanted if day not in skipped]
    return Plan(days, live_day if live_day in days else None, skipped)


def is_up_to_date(connection: Connection, today: dt.date) -> bool:
    """Whether a training would neither refit the forecaster nor make any forecasts."""
    stored = days_of_history(connection)
    if not stored:
        return True
    return why_refit(connection, stored) is None and not plan(connection, None, today).days


def finish(connection: Connection, live_day: dt.date, now: dt.datetime) -> None:
    """Record what the newest day's forecasts were made from, so that they are made again only if that changes."""
    features.set_state(connection, FORECASTS_STEP, _present(connection, live_day), now)


def _present(connection: Connection, day: dt.date) -> str:
    """Return a fingerprint of what a day's forecasts depend on: its snapshot and the forecaster."""
    champion = models.champion(connection, FORECASTER_NAME)
    rows, total = forecasts.day_total(connection, day)
    return f"{day}|{rows}|{total}|{champion['model_version'] if champion else ''}"


# -- rows of forecasts -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class DayOfForecasts:
    """The forecasts made on a day.

    Attributes:
        columns: values by column of `popularity_forecasts`.
        films_without: number of films with a snapshot and no forecast.
        explanations: rows of `prediction_explanations`; none for a backtest.
    """

    columns: dict[str, Sequence[Any]]
    films_without: int
    explanations: list[dict[str, Any]]


def forecasts_of(warehouse: Engine, plan: Plan, seed: int) -> Iterator[tuple[dt.date, DayOfForecasts]]:
    """Make a plan's forecasts: on a past day with the forecaster of its week, on the live day with the champion."""
    from horror_pipeline.modeling.forecasting.forecast_parts import explain_forecasts
    from horror_pipeline.modeling.forecasting.prediction import forecast, track_record
    from horror_pipeline.modeling.forecasting.state import from_state

    history, release_dates = read_history(
        warehouse, min(plan.days) - dt.timedelta(days=FORECAST_WINDOW_DAYS + REFIT_DAYS), max(plan.days)
    )
    past = [day for day in plan.days if day != plan.live_day]
    versions: dict[dt.date, str] = {}
    for day, fitted, made in track_record(history, release_dates, past, seed):
        if fitted.made_on not in versions:  # hash the history once for each forecaster
            versions[fitted.made_on] = version_of(fitted, history)
        yield day, _rows(made, versions[fitted.made_on], [])
    if plan.live_day is not None:
        with warehouse.connect() as connection:
            champion = models.champion(connection, FORECASTER_NAME)
        assert champion is not None  # noqa: S101  # the plan has no live day without a forecaster
        artifact, version = bytes(champion["artifact"]), champion["model_version"]
        fitted = from_state(artifacts.load(artifact, champion["library_versions"]).estimator)
        made = forecast(fitted, history, release_dates, plan.live_day)
        key = {"target": "popularity", "model_version": version, "explained_at": start_of(plan.live_day)}
        explained = explain_forecasts(fitted, made).assign(**key)
        yield plan.live_day, _rows(made, version, [*records(explained)])


def _rows(made: Forecasts, model_version: str, explanations: list[dict[str, Any]]) -> DayOfForecasts:
    columns: dict[str, Sequence[Any]] = {name: made.rows[name].tolist() for name in ("tmdb_id", "horizon_days")}
    for name in ("origin_popularity", "forecast_popularity", "popularity_lower", "popularity_upper"):
        columns[name] = made.rows[name].round(POPULARITY_DECIMALS).tolist()
    columns["rise_probability"] = made.rows["rise_probability"].round(4).tolist()
    columns["model_version"] = [model_version] * len(made.rows)
    return DayOfForecasts(columns, len(made.skipped), explanations)
