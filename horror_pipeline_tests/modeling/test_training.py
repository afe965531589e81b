from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from horror_pipeline.modeling import backtest, training
from horror_pipeline.modeling.artifacts import version_id
from horror_pipeline.modeling.prediction import predict
from horror_pipeline.modeling.specs import MODELS
from horror_pipeline.modeling.training import Champion, Training, train
from horror_pipeline_tests.modeling.films import NOW, films, inputs, others

RATING = MODELS["rating_after_release"]


def run(known: pd.DataFrame, champion: Champion | None = None, now: dt.datetime = NOW, seed: int = 0) -> Training:
    return train(RATING, inputs("after_release"), known, champion, now, seed)


def champion_of(result: Training, trained_at: dt.datetime = NOW) -> Champion:
    version = result.version
    assert version is not None
    return Champion(
        version.model_version,
        version.algorithm,
        trained_at,
        version.data_fingerprint,
        version.metrics,
        version.artifact,
    )


@pytest.fixture
def first(trained: Callable[[str], Training]) -> Training:
    return trained(RATING.name)


@pytest.mark.parametrize("name", MODELS)
def test_every_model_beats_the_constant_where_there_is_something_to_learn(
    trained: Callable[[str], Training], name: str
) -> None:
    result = trained(name)
    assert result.outcome == "promoted"
    assert result.version is not None
    assert result.version.metrics["mean"]["mae"] < result.version.baseline_metrics["constant"]["mean"]["mae"]
    assert set(result.version.metrics["mean"]) >= {"mae", "rmse", "r2", "spearman"}
    assert 0.5 < result.version.metrics["interval"]["coverage"] <= 1
    assert set(result.version.metrics["interval"]["origins"]) == {"o0", "o1", "o2", "o3", "o4"}
    assert set(result.version.baseline_metrics) == {"constant", "linear"}


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize(("column", "value"), [("popularity", 1e8), ("vote_count", 2e9)])
def test_a_film_with_a_value_far_outside_the_catalogue_trains_nothing(name: str, column: str, value: float) -> None:
    known, spoiled = films(), films()
    spoiled.loc[40, column] = value
    expected = training.training_films(MODELS[name], known.drop(index=40))
    pd.testing.assert_frame_equal(training.training_films(MODELS[name], spoiled), expected)


def test_shuffled_targets_never_become_champion() -> None:
    for seed in range(3):
        known = films(160)
        random = np.random.default_rng(seed)
        known["vote_average"] = random.permutation(known["vote_average"])
        result = run(known)
        assert result.outcome == "skipped", (seed, result.reason)
        assert result.version is None


def test_a_champion_stays_when_the_new_films_teach_nothing(first: Training) -> None:
    known = films()
    known["vote_average"] = np.random.default_rng(0).permutation(known["vote_average"])
    result = run(known, champion_of(first))
    assert (result.outcome, result.version) == ("kept", None)
    assert "does not beat the constant" in result.reason


def test_equal_data_and_seed_give_an_equal_version(first: Training) -> None:
    again = run(films().sample(frac=1, random_state=1))
    assert first.version is not None
    assert again.version is not None
    assert again.version.model_version == first.version.model_version
    other = version_id(RATING.name, first.version.algorithm, first.version.data_fingerprint, "5")
    assert other != first.version.model_version
    predicted = predict(RATING, first.version.artifact, films())["predicted"]
    np.testing.assert_array_equal(predict(RATING, again.version.artifact, films())["predicted"], predicted)


def test_nothing_is_fitted_on_the_data_it_was_fitted_on(first: Training, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backtest, "walk_forward", lambda *_: pytest.fail("it was fitted again"))
    assert run(films(), champion_of(first)).outcome == "unchanged"


def one_vote_more() -> pd.DataFrame:
    return films().assign(vote_count=lambda known: known["vote_count"] + (known.index == 5))


def test_the_champion_stays_while_little_has_changed_and_the_run_says_so(first: Training) -> None:
    known = one_vote_more()
    result = run(known, champion_of(first))
    assert (result.outcome, result.version) == ("kept", None)
    assert f"no recipe beats {champion_of(first).algorithm}" in result.reason


def test_a_better_recipe_takes_its_place(first: Training) -> None:
    known = one_vote_more()
    result = run(known, replace(champion_of(first), algorithm="linear"))
    assert result.outcome == "promoted"
    assert "beats linear" in result.reason


def test_a_recipe_that_is_still_best_is_fitted_anew_in_time(first: Training) -> None:
    known = one_vote_more()
    late = run(known, champion_of(first), NOW + dt.timedelta(days=training.RENEW_DAYS))
    assert late.outcome == "renewed"
    assert "7 days old" in late.reason
    champion = champion_of(first)
    assert champion.artifact is not None
    fewer = replace(champion.artifact, training_ids=champion.artifact.training_ids[5:])
    more = run(known, replace(champion, artifact=fewer))
    assert more.outcome == "renewed"
    assert "5 films are new to it" in more.reason


def test_a_jump_of_all_films_ages_has_the_model_fitted_anew(first: Training) -> None:
    known = films()
    known["days_since_release"] += training.RENEW_AGE_DAYS
    result = run(known, champion_of(first))
    assert result.outcome == "renewed"
    assert "ages have moved by 30 days" in result.reason


def test_a_change_of_popularity_s_scale_has_the_model_fitted_anew(trained: Callable[[str], Training]) -> None:
    spec, known = MODELS["popularity_after_release"], films()
    champion = champion_of(trained(spec.name))
    known["popularity"] /= 20
    again = train(spec, inputs("after_release"), known, champion, NOW)
    assert again.outcome in ("renewed", "promoted")
    assert again.version is not None
    assert predict(spec, again.version.artifact, known)["predicted"].median() == pytest.approx(
        known["popularity"].median(), rel=0.3
    )


def test_an_unusable_champion_is_replaced_and_the_run_says_why(first: Training) -> None:
    result = run(films(), replace(champion_of(first), artifact=None, refusal="written with other library versions"))
    assert result.outcome == "promoted"
    assert result.reason.startswith("written with other library versions; ")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda known: known.head(20), "20 released films have 10 votes or more"),
        (lambda known: known.head(0), "0 released films"),
        (lambda known: known.assign(vote_count=3.0), "0 released films have 10 votes or more"),
        (lambda known: known.assign(vote_average=6.0), "every film has the same vote_average"),
        (lambda known: known.assign(vote_average=np.nan), "0 released films"),
        (lambda known: known.assign(release_date=pd.Timestamp("2020-01-01")), "fewer than ten days"),
    ],
)
def test_too_little_to_learn_from_is_a_reason_not_a_crash(
    change: Callable[[pd.DataFrame], pd.DataFrame], reason: str
) -> None:
    result = run(change(films(200)))
    assert result.outcome == "skipped"
    assert reason in result.reason


def test_columns_without_any_value_do_not_matter() -> None:
    known = films().assign(runtime_minutes=np.nan, director_years_since_last=np.nan, original_language=None)
    known[["is_october", "title_length"]] = np.nan
    result = run(known)
    assert result.outcome == "promoted"
    assert result.version is not None
    assert np.isfinite(predict(RATING, result.version.artifact, known).to_numpy()).all()


def test_upcoming_films_are_never_learnt_from() -> None:
    known = films(100, upcoming=30)
    learnt = training.training_films(RATING, known)
    assert len(learnt) == 100
    assert learnt["release_date"].is_monotonic_increasing


def walked(actual: np.ndarray, predicted: np.ndarray, constant: float) -> pd.DataFrame:
    """The frame of a walk over five blocks, in which every film is scored."""
    rest = {"block": [f"o{number % 5}" for number in range(len(actual))], "is_scored_block": True, "is_scored": True}
    return pd.DataFrame({**rest, "actual": actual, "ours": predicted, "constant": constant})


def test_a_few_films_of_great_popularity_do_not_outvote_a_good_order() -> None:
    random = np.random.default_rng(3)
    usual = np.exp(random.normal(1, 0.6, 300))
    actual = usual * np.exp(random.normal(0, 0.3, 300))
    actual[:4] = 300.0
    predicted = usual.copy()
    predicted[4:8] = 200.0  # as far off, upwards
    spec, walk = MODELS["popularity_after_release"], walked(actual, predicted, float(np.median(actual)))
    plain = (walk["constant"] - walk["actual"]).abs() - (walk["ours"] - walk["actual"]).abs()
    assert plain.mean() < 2 * plain.std() / np.sqrt(len(plain))  # plain errors do not tell it from chance
    assert training.is_better_than_constant(spec, walk, "ours")


def test_a_candidate_that_only_predicts_less_is_not_promoted() -> None:
    random = np.random.default_rng(4)
    actual, spec = np.exp(random.normal(0, 1, 300)), MODELS["popularity_after_release"]
    less = 0.8 * np.exp(random.normal(0, 0.05, 300))
    walk = walked(actual, less, 3.0)
    gain = spec.loss(actual, np.full(300, 3.0)) - spec.loss(actual, less)
    assert gain.mean() > 5 * gain.std() / np.sqrt(300)
    assert not training.is_better_than_constant(spec, walk, "ours")


@pytest.mark.parametrize(("is_help", "learned"), [(True, 800), (False, 0)])
def test_films_of_other_genres_teach_where_the_backtest_says_that_they_help(is_help: bool, learned: int) -> None:
    known, of_others = films(), others(800)
    if not is_help:
        of_others["vote_average"] = 10 - of_others["vote_average"]
    result = run(pd.concat([known, of_others], ignore_index=True))
    assert result.version is not None
    assert result.version.metrics["films_of_other_genres"] == learned
    assert result.version.training_rows == 240 + learned
    assert result.forward is not None
    assert set(result.forward["tmdb_id"]) <= set(known["tmdb_id"])


@pytest.mark.parametrize(("collected", "count"), [(("is_horror", "is_comedy"), 100), ((), 240)])
def test_every_film_of_a_collected_genre_is_predicted_and_baselines_know_them_all(
    collected: tuple[str, ...], count: int
) -> None:
    known = films().assign(is_horror=0.0, is_comedy=0.0)
    known.loc[:49, "is_horror"], known.loc[50:99, "is_comedy"] = 1.0, 1.0
    spec = MODELS["rating_before_release"]
    result = train(spec, replace(inputs(spec.stage), collected=collected), known, None, NOW)
    assert result.forward is not None and result.scores is not None
    learned = known.sort_values(["release_date", "tmdb_id"])
    own = learned[learned[[*collected]].any(axis=1)] if collected else learned
    assert len(own) == count
    last = result.forward[result.forward["block"] == "o4"]
    earlier = own[own["release_date"] < last["release_date"].min()]
    assert set(last["tmdb_id"]) | set(earlier["tmdb_id"]) == set(own["tmdb_id"])
    assert last["constant"].unique() == [earlier["vote_average"].median()]


def test_a_champion_is_fitted_anew_when_films_of_other_genres_leave() -> None:
    first = run(pd.concat([films(), others(800)], ignore_index=True))
    assert first.version is not None
    again = run(films(), replace(champion_of(first), algorithm="spline"))
    assert again.outcome in ("renewed", "promoted")
