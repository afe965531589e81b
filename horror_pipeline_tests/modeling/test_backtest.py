from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from horror_pipeline.modeling import backtest, candidates
from horror_pipeline.modeling.candidates import components
from horror_pipeline.modeling.preprocessing import Preprocessor
from horror_pipeline.modeling.specs import MAX_LANGUAGES, MODELS
from horror_pipeline_tests.modeling.films import films, inputs, others, problem

RATING = MODELS["rating_after_release"]


def test_every_block_is_released_after_all_films_it_is_predicted_from() -> None:
    dates = films()["release_date"]
    blocks = backtest.rolling_origins(dates, np.ones(len(dates), dtype=bool), first=-2)
    assert [block.name for block in blocks] == ["o-2", "o-1", "o0", "o1", "o2", "o3", "o4"]
    assert [block.is_scored for block in blocks] == [False, False, True, True, True, True, True]
    for block in blocks:
        assert dates.iloc[block.train].max() < dates.iloc[block.test].min()
    tested = np.concatenate([block.test for block in blocks])
    assert len(set(tested)) == len(tested)
    assert blocks[-1].test[-1] == len(dates) - 1


def test_films_of_one_day_stay_together() -> None:
    dates = pd.Series(pd.to_datetime(["2020-01-01"] * 40 + ["2020-01-02"] * 30 + ["2020-01-03"] * 30))
    blocks = backtest.rolling_origins(dates, np.ones(100, dtype=bool))
    assert {len(block.train) for block in blocks} <= {40, 70}
    assert {len(block.test) for block in blocks if len(block.test)} <= {30, 60}


def test_the_blocks_are_tenths_of_the_films_that_are_scored() -> None:
    dates = pd.Series(pd.date_range("2020-01-01", periods=200))
    scored = np.arange(200) % 2 == 0
    blocks = backtest.rolling_origins(dates, scored)
    assert [len(block.test) for block in blocks] == [20, 20, 20, 20, 20]
    assert [len(block.train) for block in blocks] == [100, 120, 140, 160, 180]


def test_nothing_is_fitted_outside_the_films_before_the_block() -> None:
    known = films()
    last = backtest.rolling_origins(known["release_date"], np.ones(len(known), dtype=bool))[-1]
    spoilt = known.copy()
    numbers = ["title_length", "genre_count", "runtime_minutes"]
    spoilt.loc[spoilt.index[last.test], numbers] = 500.0
    spoilt.loc[spoilt.index[last.test], "original_language"] = "xx"
    walks = [backtest.walk_forward(problem(RATING.name, frame), ["spline"]) for frame in (known, spoilt)]
    before, after = (walk.last for walk in walks if walk is not None)
    np.testing.assert_array_equal(before.preprocessor.fill_, after.preprocessor.fill_)
    assert before.preprocessor.languages_ == after.preprocessor.languages_
    means = [block.components["spline"].estimator_.transformer_.mean_ for block in (before, after)]
    np.testing.assert_array_equal(*means)


def test_a_walk_does_not_look_at_what_it_predicts() -> None:
    known = films()
    last = backtest.rolling_origins(known["release_date"], np.ones(len(known), dtype=bool))[-1]
    other = known.copy()
    other.loc[other.index[last.test], ["vote_average", "popularity"]] = [1.0, 500.0]
    walks = [backtest.walk_forward(problem(RATING.name, frame), first=4) for frame in (known, other)]
    newest = [walk.frame[walk.frame["block"] == "o4"] for walk in walks if walk is not None]
    for algorithm in ("constant", "linear", "spline", "boosting", "blend"):
        np.testing.assert_array_equal(newest[0][algorithm], newest[1][algorithm])
    assert (newest[1]["actual"] == 1.0).all()


def test_a_walk_is_the_same_each_time() -> None:
    walks = [backtest.walk_forward(problem(RATING.name, seed=3), first=3) for _ in range(2)]
    assert walks[0] is not None
    assert walks[1] is not None
    pd.testing.assert_frame_equal(walks[0].frame, walks[1].frame)


def test_few_films_are_no_walk() -> None:
    assert backtest.walk_forward(problem(RATING.name, films(30))) is None


def test_metrics_are_what_they_are_called() -> None:
    actual, predicted = np.array([1.0, 2.0, 4.0]), np.array([2.0, 2.0, 2.0])
    found = backtest.metrics(RATING, actual, predicted, np.array([1.0, 1.0, 2.0]))
    assert found["mae"] == 1
    assert found["vote_weighted_mae"] == pytest.approx(5 / 4)
    assert found["rmse"] == pytest.approx(np.sqrt(5 / 3))
    assert found["spearman"] == 0
    assert backtest.metrics(RATING, actual, actual, np.ones(3))["r2"] == 1
    assert backtest.metrics(RATING, np.ones(2), np.ones(2), np.zeros(2))["r2"] == 0


def test_films_of_few_votes_are_scored_apart() -> None:
    known = films()
    known.loc[::3, "vote_count"] = 2.0
    walk = backtest.walk_forward(problem(RATING.name, known), ["constant"])
    assert walk is not None
    scores = backtest.score(RATING, walk.frame, "constant")
    few = walk.frame["is_scored_block"].sum()
    assert scores["any_votes"]["films"] == few > sum(block["films"] for block in scores["origins"].values())


def test_importance_names_what_matters() -> None:
    learned = problem("rating_before_release", films(400))
    walk = backtest.walk_forward(learned, first=4)
    assert walk is not None
    found = backtest.importance(learned, walk, "boosting")
    assert next(iter(found)) == "is_drama"
    assert set(found) == set(learned.inputs.names)
    assert found["is_western"] == 0


def test_columns_are_in_the_order_they_are_named() -> None:
    known, names = films(), inputs("after_release")
    prepared = Preprocessor(names).fit_transform(known)
    assert prepared.shape[1] == len(names.preprocessed_names)
    place = names.positions(["log_vote_count", "is_drama", "original_language_0"])
    np.testing.assert_array_equal(prepared[:, place[0]], known["log_vote_count"])
    np.testing.assert_array_equal(prepared[:, place[1]], known["is_drama"])
    np.testing.assert_array_equal(prepared[:, place[2]], known["original_language"] == "en")
    assert len(names.preprocessed_names) == len(names.numbers) + len(names.flags) + MAX_LANGUAGES


def test_no_model_before_release_is_given_votes() -> None:
    for name in MODELS:
        learned = problem(name)
        assert any("vote" in column for column in learned.inputs.names) == name.endswith("after_release")
        assert components(learned)


def predictions(name: str, known: pd.DataFrame, of_others: pd.DataFrame) -> pd.DataFrame:
    walk = backtest.walk_forward(problem(name, known, others=of_others), ["spline", "linear", "constant"])
    assert walk is not None
    return walk.frame


def test_films_of_other_genres_teach_only_blocks_after_their_release() -> None:
    known, of_others = films(), others()
    before = predictions(RATING.name, known, of_others)
    start = before.loc[before["block"] == "o3", "release_date"].min()
    spoilt = of_others.assign(vote_average=of_others["vote_average"].where(of_others["release_date"] < start, 0.0))
    after = predictions(RATING.name, known, spoilt)
    same = before["spline"] == after["spline"]
    assert same[before["block"] <= "o3"].all()
    assert not same[before["block"] == "o4"].any()


def test_baselines_learn_from_horror_alone_and_nothing_else_is_predicted() -> None:
    known = films()
    alone, taught = (predictions(RATING.name, known, of) for of in (others().head(0), others()))
    pd.testing.assert_frame_equal(alone[["constant", "linear"]], taught[["constant", "linear"]])
    assert not np.allclose(alone["spline"], taught["spline"])
    assert alone["tmdb_id"].to_list() == taught["tmdb_id"].to_list()


def test_nothing_tells_a_film_whose_details_were_never_read() -> None:
    known, of_others = films(600), others(3_000)
    # Films of other genres are far more popular here; a careless model would give that to films without earlier ones.
    of_others["popularity"] *= 20
    learned = problem("popularity_before_release", known, others=of_others)
    taught = learned.training().films
    horror, rest = taught.head(600), taught.tail(3_000)
    details = ["director_earlier_films", "director_years_since_last", "collection_earlier_films"]
    for name in details:
        assert rest[name].mean() == pytest.approx(horror[name].mean(), rel=0.25)
        assert rest[name].isna().mean() == pytest.approx(horror[name].isna().mean(), abs=0.05)
    assert rest["runtime_minutes"].isna().all()
    fitted = candidates.fit(learned, "boosting")
    debut, known_director = (
        known.assign(director_earlier_films=count, director_years_since_last=years)
        for count, years in ((0.0, np.nan), (2.0, 3.0))
    )
    ratio = fitted.predict(debut).mean() / fitted.predict(known_director).mean()
    assert ratio == pytest.approx(1, abs=0.15)
