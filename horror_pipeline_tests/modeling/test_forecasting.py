from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest
from skops.io import dumps, get_untrusted_types, loads

from horror_pipeline.domain import FORECAST_HORIZONS_DAYS
from horror_pipeline.modeling.artifacts import ALLOWED_TYPES
from horror_pipeline.modeling.chances import reliability
from horror_pipeline.modeling.forecasting import forecast_parts
from horror_pipeline.modeling.forecasting.features import FEATURES
from horror_pipeline.modeling.forecasting.forecast_parts import explain_forecasts
from horror_pipeline.modeling.forecasting.forecaster import FittedForecaster, fit_forecaster
from horror_pipeline.modeling.forecasting.history import History
from horror_pipeline.modeling.forecasting.prediction import Forecasts, forecast, track_record
from horror_pipeline.modeling.forecasting.state import from_state, to_state
from horror_pipeline_tests.conftest import keep_forecasters_small
from horror_pipeline_tests.modeling.series import day, history, released, reverting, walking

RELEASED = released(80)
LAST = day(49)


@pytest.fixture(scope="module", autouse=True)
def small_boostings() -> Iterator[None]:
    """These series are simple."""
    with pytest.MonkeyPatch.context() as patch:
        keep_forecasters_small(patch)
        yield


@pytest.fixture(scope="module")
def known() -> History:
    """Eighty films that return to their own level, on sixty days."""
    return history(reverting())


@pytest.fixture(scope="module")
def fitted(known: History) -> FittedForecaster:
    """Fitted ten days before the history ends."""
    return fit_forecaster(known, RELEASED, LAST, seed=3)


def made(values: np.ndarray, on: dt.date) -> Forecasts:
    past = history(values)
    return forecast(fit_forecaster(past, RELEASED, on), past, RELEASED, on)


def of(rows: pd.DataFrame, horizon: int) -> pd.DataFrame:
    return rows[rows["horizon_days"] == horizon].set_index("tmdb_id")


def width(rows: pd.DataFrame) -> Any:
    """How wide intervals are, on the log scale."""
    return np.log((rows["popularity_upper"] + 0.1) / (rows["popularity_lower"] + 0.1))


def test_every_film_has_every_horizon(known: History, fitted: FittedForecaster) -> None:
    rows = forecast(fitted, known, RELEASED, LAST).rows
    assert rows.columns.tolist() == [
        "tmdb_id",
        "horizon_days",
        "target_date",
        "origin_popularity",
        "forecast_popularity",
        "popularity_lower",
        "popularity_upper",
        "rise_probability",
    ]
    assert rows.groupby("tmdb_id")["horizon_days"].agg(list).tolist() == [[*FORECAST_HORIZONS_DAYS]] * 80
    assert rows.loc[0, "target_date"] == LAST + dt.timedelta(days=1)
    np.testing.assert_allclose(of(rows, 1)["origin_popularity"], known.popularity[:, 49])
    assert (rows["popularity_lower"] >= 0).all()
    assert rows["forecast_popularity"].between(rows["popularity_lower"], rows["popularity_upper"]).all()


def test_later_days_change_nothing_to_the_byte(known: History, fitted: FittedForecaster) -> None:
    values = reverting()
    values[:, 50:] = 1e6
    without = history(reverting()[:, :50])
    planted = History(known.days, known.tmdb_ids, values.astype("float32"))
    expected = forecast(fitted, known, RELEASED, LAST).rows
    for other in (without, planted):
        found = forecast(fit_forecaster(other, RELEASED, LAST, seed=3), other, RELEASED, LAST).rows
        assert found.to_csv() == expected.to_csv()


def test_the_order_of_rows_changes_nothing(known: History, fitted: FittedForecaster) -> None:
    film, on = np.nonzero(known.popularity > 0)
    frame = pd.DataFrame(
        {
            "tmdb_id": known.tmdb_ids[film],
            "snapshot_date": known.days[on],
            "popularity": known.popularity[film, on],
        }
    )
    shuffled = History.from_frame(frame.sample(frac=1.0, random_state=5))
    found = forecast(fit_forecaster(shuffled, RELEASED, LAST, seed=3), shuffled, RELEASED, LAST).rows
    assert found.to_csv() == forecast(fitted, known, RELEASED, LAST).rows.to_csv()


def test_a_forecaster_that_knows_the_day_is_refused_for_earlier_ones(known: History, fitted: FittedForecaster) -> None:
    with pytest.raises(ValueError, match="has seen days after"):
        forecast(fitted, known, RELEASED, LAST - dt.timedelta(days=1))


def test_the_parts_of_a_thousand_forecasts_add_up_to_them(fitted: FittedForecaster) -> None:
    many = history(reverting(films=1_000, seed=2))
    found = forecast(fitted, many, released(1_000), day(59))
    explained = explain_forecasts(fitted, found)
    both = explained.merge(found.rows, on=["tmdb_id", "horizon_days"])
    stored = both[["origin_popularity", "forecast_popularity"]].round(4)
    change = np.log(stored["forecast_popularity"] + 0.1) - np.log(stored["origin_popularity"] + 0.1)
    added_up = both["base"] + both["parts"].map(lambda parts: sum(effect for _, effect in parts))
    assert len(both) >= 1_000
    assert (added_up - change).abs().max() < 1e-6
    assert set(explained["horizon_days"]) == {days for days, horizon in fitted.horizons.items() if horizon.serves}
    # What moves them is that they are far from their level, and that is said.
    strongest = both["parts"].map(lambda parts: parts[0][0])
    assert strongest.str.contains("in the last week|against its month").mean() > 0.9


def test_each_decile_of_chances_of_a_rise_comes_as_often_as_it_says(fitted: FittedForecaster) -> None:
    values, rows = reverting(films=1_000, seed=2), []
    for number in (49, 50, 51, 52):
        found = of(forecast(fitted, history(values), released(1_000), day(number)).rows, 7)
        rows.append(found.assign(came=values[:, number + 7] > values[:, number]))
    both = pd.concat(rows)
    held = reliability(both["rise_probability"], both["came"].astype("float64"))
    assert len(held) == 10
    assert (held["chance"] - held["came"]).abs().max() < 0.1  # it learned from eighty films
    assert (held["chance"] - held["came"]).abs().mean() < 0.05
    assert held["came"].iloc[0] < 0.2 < 0.8 < held["came"].iloc[-1]
    assert fitted.horizons[7].reliability


def test_of_a_day_in_doubt_and_a_horizon_never_seen_no_chance_is_stated() -> None:
    values = walking(films=20, days=10)
    assert of(made(values, day(9)).rows, 30)["rise_probability"].isna().all()
    copied = np.column_stack([values, values[:, -1]])
    assert made(copied, day(10)).rows["rise_probability"].isna().all()


def test_what_is_not_forecast_is_not_explained() -> None:
    values = walking(films=20, days=10)
    assert explain_forecasts(fit_forecaster(history(values), RELEASED, day(9)), made(values, day(9))).empty


def test_every_feature_but_the_weekday_moves_one_part() -> None:
    places = sorted(place for columns in forecast_parts.GROUPS.values() for place in columns)
    assert [FEATURES[place] for place in places] == [name for name in FEATURES if name != forecast_parts.WEEKDAY]


def test_parts_of_forecasts_are_named_by_what_is_known_of_the_film() -> None:
    words = forecast_parts.WORDS
    assert words["week"]({"change_7": np.log(0.9)}) == "−10 % in the last week"
    assert words["month"]({"from_month_mean": np.nan}) == "nothing known against its month"
    assert words["days_from_release"]({"days_from_release": -1.0}) == "out in 1 day"
    assert words["days_from_release"]({"days_from_release": 400.0}) == "out for 13 months"
    assert words["days_from_release"]({"days_from_release": np.nan}) == "no release date yet"
    assert words["level"]({"level": np.log(12.4)}) == "at a popularity of 12.3"
    assert words["volatility"]({"month_step": np.log(1.08)}) == "moved by 8 % a day this month"


def test_what_returns_to_its_level_is_served_and_halves_the_error(known: History, fitted: FittedForecaster) -> None:
    horizon = fitted.horizons[1]
    assert horizon.serves
    assert "better than no change" in horizon.verdict.reason
    assert horizon.metrics()["skill"] == pytest.approx(1 - 1 / np.sqrt(2), abs=0.08)  # noise once instead of twice
    rows, came = of(forecast(fitted, known, RELEASED, LAST).rows, 1), known.popularity[:, 50]
    errors = [np.abs(came - rows[name]).mean() for name in ("forecast_popularity", "origin_popularity")]
    assert errors[0] < 0.85 * errors[1]


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_random_walks_are_not_served_and_it_says_so(seed: int) -> None:
    past = history(walking(seed=seed))
    found = fit_forecaster(past, RELEASED, day(59))
    for horizon in (found.horizons[days] for days in (1, 3, 7)):
        assert not horizon.serves
        assert "by more than chance" in horizon.verdict.reason
        assert horizon.metrics()["skill"] == 0
    rows = forecast(found, past, RELEASED, day(59)).rows
    served = rows[rows["horizon_days"] <= 7]
    np.testing.assert_allclose(served["forecast_popularity"], served["origin_popularity"], rtol=1e-12)


def test_intervals_hold_eight_of_ten_later_days() -> None:
    values = reverting(films=200, days=80)
    past, held = history(values), []
    for on, _, made_then in track_record(past, released(200), [day(number) for number in range(50, 60)]):
        rows = made_then.rows[made_then.rows["horizon_days"] <= 14]
        column = (np.asarray(rows["target_date"], "datetime64[D]") - past.days[0]).astype(int)
        came = past.popularity[rows["tmdb_id"].to_numpy() - 101, column]
        held.append(((came >= rows["popularity_lower"]) & (came <= rows["popularity_upper"])).mean())
        assert on >= day(50)
    assert np.mean(held) == pytest.approx(0.8, abs=0.05)


def test_the_track_record_knows_no_later_day_than_each() -> None:
    values = reverting(days=50)
    planted = values.copy()
    planted[:, 45:] *= 50
    records = [
        list(track_record(history(one), RELEASED, [day(number) for number in range(42, 45)]))
        for one in (values, planted)
    ]
    assert [on for on, _, _ in records[0]] == [day(42), day(43), day(44)]
    assert [fitted.made_on for _, fitted, _ in records[0]] == [day(42)] * 3
    for (_, _, honest), (_, _, tempted) in zip(*records, strict=True):
        assert honest.rows.to_csv() == tempted.rows.to_csv()


def test_ten_days_of_history_are_enough_for_no_change() -> None:
    past = history(reverting(days=10))
    found = fit_forecaster(past, RELEASED, day(9))
    assert not any(horizon.serves for horizon in found.horizons.values())
    assert "too few past days" in found.horizons[30].verdict.reason
    rows = forecast(found, past, RELEASED, day(9)).rows
    assert len(rows) == 80 * 5
    np.testing.assert_allclose(rows["forecast_popularity"], rows["origin_popularity"])
    widths = width(rows).groupby(rows["horizon_days"]).median()
    assert widths[30] > 2 * widths[7]


def test_a_single_day_is_enough_for_no_change() -> None:
    rows = made(reverting(days=1), day(0)).rows
    assert len(rows) == 80 * 5
    assert np.isfinite(rows["popularity_upper"]).all()


def test_a_film_with_two_days_gets_a_wider_interval() -> None:
    values = reverting(days=50)
    values[1] = values[0] * np.exp(np.random.default_rng(2).normal(0, 0.01, 50))
    values[0, :48] = np.nan
    rows = of(made(values, LAST).rows, 7)
    assert width(rows)[101] > 1.3 * width(rows)[102]


def test_days_that_are_missing_are_borne() -> None:
    values = reverting(days=50)
    values[:, [20, 33, 34, 35]] = np.nan
    values[:40, 48] = np.nan
    found = made(values, LAST)
    assert len(found.rows) == 80 * 5
    assert found.skipped.empty


def test_films_without_a_snapshot_or_with_an_impossible_one_get_a_reason_instead() -> None:
    values = reverting(days=50)
    values[0, 49], values[1, 49], values[2, 49], values[3, 40] = np.nan, 0.0, 1e8, 1e8
    found = made(values, LAST)
    assert found.skipped.to_dict() == {
        101: f"no snapshot on {LAST}",
        102: "its popularity is not above zero",
        103: "its popularity is far outside what films have",
    }
    assert found.rows["tmdb_id"].nunique() == 77
    assert found.rows["popularity_upper"].max() < 1e4


def test_an_impossible_value_teaches_nothing() -> None:
    values = reverting(days=50)
    planted, missing = values.copy(), values.copy()
    planted[3, 30:40], missing[3, 30:40] = 1e8, np.nan
    assert made(planted, LAST).rows.to_csv() == made(missing, LAST).rows.to_csv()


def test_a_scale_break_leaves_the_far_side_unused() -> None:
    values = reverting(days=50)
    broken = values.copy()
    broken[:, :20] /= 7
    found = fit_forecaster(history(broken), RELEASED, LAST)
    assert found.first_day == day(20)
    missing = values.copy()
    missing[:, :20] = np.nan
    rows = forecast(found, history(broken), RELEASED, LAST).rows
    assert rows.to_csv() == made(missing, LAST).rows.to_csv()


def test_a_copied_day_is_forecast_with_no_change_and_twice_the_width(known: History, fitted: FittedForecaster) -> None:
    values = reverting(days=50)
    values[:, 49] = values[:, 48]
    found = made(values, LAST).rows
    np.testing.assert_allclose(found["forecast_popularity"], found["origin_popularity"])
    usual = forecast(fitted, known, RELEASED, LAST).rows
    assert width(of(found, 7)).median() > 1.6 * width(of(usual, 7)).median()


def test_upcoming_films_and_films_without_a_date_are_forecast() -> None:
    dates = released(80).drop(index=103)
    dates[101], dates[102] = LAST + dt.timedelta(days=20), None
    past = history(reverting(days=50))
    rows = forecast(fit_forecaster(past, dates, LAST), past, dates, LAST).rows
    assert rows["tmdb_id"].nunique() == 80


def test_a_stored_forecaster_forecasts_the_same(known: History, fitted: FittedForecaster) -> None:
    data = dumps(to_state(fitted))
    untrusted = set(get_untrusted_types(data=data))
    assert untrusted <= ALLOWED_TYPES | {"sklearn._loss.loss.AbsoluteError"}
    again = from_state(loads(data, trusted=sorted(untrusted)))
    expected = forecast(fitted, known, RELEASED, LAST).rows
    assert forecast(again, known, RELEASED, LAST).rows.to_csv() == expected.to_csv()
    for days, horizon in fitted.horizons.items():
        other = again.horizons[days]
        assert dataclasses.replace(other.verdict, z=0.0) == dataclasses.replace(horizon.verdict, z=0.0)
        np.testing.assert_array_equal(other.figures.to_numpy(), horizon.figures.to_numpy())


def test_every_feature_has_a_name_of_its_own() -> None:
    assert len(FEATURES) == len(set(FEATURES))
