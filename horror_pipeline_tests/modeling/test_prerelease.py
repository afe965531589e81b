from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn.dummy import DummyRegressor

from horror_pipeline.modeling import candidates
from horror_pipeline.modeling.preprocessing import Preprocessor
from horror_pipeline.modeling.prerelease import MIN_KNOWN_FILMS, SMALLEST, PrereleaseEffect
from horror_pipeline.modeling.specs import PRERELEASE, Floats
from horror_pipeline.orchestration.learning import inputs_of
from horror_pipeline_tests.modeling.films import films, others, problem


def effect() -> PrereleaseEffect:
    return PrereleaseEffect(DummyRegressor(strategy="median"), column=0, age=1)


def observed(known: int = 60, unknown: int = 300, power: float = 0.5, seed: int = 0) -> tuple[Floats, Floats]:
    """Films with popularity before release (column 0) and age (column 1); their popularity is a power of the former."""
    random = np.random.default_rng(seed)
    level = np.exp(random.normal(1, 1, known + unknown))
    popularity = 3 * level**power * np.exp(random.normal(0, 0.3, known + unknown))
    level[known:] = np.nan
    return np.column_stack([level, random.permutation(known + unknown)]), popularity


def test_what_popularity_before_release_says_is_learned_and_a_film_without_it_is_left_alone() -> None:
    X, y = observed()
    fitted = effect().fit(X, y)
    assert fitted.slope_ == pytest.approx(0.5, abs=0.1)
    low, high, unknown, huge = fitted.predict(np.array([[1.0, 0], [8.0, 0], [np.nan, 0], [1e9, 0]]))
    assert 2 * low < high
    assert unknown == np.median(y)
    assert huge == pytest.approx(fitted.predict(np.array([[np.nanmax(X[:, 0]), 0]]))[0])


@pytest.mark.parametrize("known", [60, MIN_KNOWN_FILMS - 1])
def test_popularity_before_release_without_merit_or_of_too_few_films_changes_nothing(known: int) -> None:
    served = 0
    for seed in range(20):
        X, y = observed(known, power=0.0 if known == 60 else 0.5, seed=seed)
        served += effect().fit(X, y).slope_ != 0
    assert served <= (3 if known == 60 else 0)


def test_what_held_for_older_films_alone_does_not_serve() -> None:
    X, y = observed()
    newer = np.argsort(X[:60, 1])[:30]
    y[newer] = 9 / y[newer]  # the other way round
    assert effect().fit(X, y).slope_ == 0


@pytest.mark.parametrize("power", [0.0, 0.5])
def test_nothing_is_learned_from_popularity_before_release_being_known(power: float) -> None:
    X, y = observed(power=power)
    known = ~np.isnan(X[:, 0])
    y[known] *= 20
    fitted = effect().fit(X, y)
    assert (fitted.slope_ > 0) == (power > 0)
    lift = np.log(fitted.predict(X) + SMALLEST) - np.log(np.median(y) + SMALLEST)
    assert lift[known].mean() == pytest.approx(0)
    assert lift[~known] == pytest.approx(0)


def test_films_of_other_genres_are_given_no_popularity_before_release() -> None:
    known = films().assign(prerelease_popularity=4.0)
    inputs = inputs_of("before_release", uses_history=True)
    learned = replace(problem("popularity_before_release", known, others=others()), inputs=inputs).training().films
    assert learned[PRERELEASE].tail(len(others())).isna().all()
    assert PRERELEASE not in inputs_of("before_release").names


def test_no_other_part_of_a_model_sees_popularity_before_release() -> None:
    known = films(120).assign(prerelease_popularity=np.nan)
    few = known.index[1 - MIN_KNOWN_FILMS :]
    known.loc[few, PRERELEASE] = known.loc[few, "popularity"]  # too few for the effect
    inputs = inputs_of("before_release", uses_history=True)
    learned = replace(problem("popularity_before_release", known), inputs=inputs)
    X = Preprocessor(inputs).fit_transform(known)
    spoiled = X.copy()
    spoiled[:, inputs.positions([PRERELEASE])] *= 100
    for part in candidates.components(learned).values():
        np.testing.assert_array_equal(*(part.fit(rows, learned.target).predict(rows) for rows in (X, spoiled)))
