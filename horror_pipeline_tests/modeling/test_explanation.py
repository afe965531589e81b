from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from horror_pipeline.modeling import explanation
from horror_pipeline.modeling.expectation_parts import GROUPS, WORDS, explain_batch
from horror_pipeline.modeling.explanation import contributions, explain
from horror_pipeline.modeling.specs import MODELS, Floats
from horror_pipeline.transform.features import FEATURES, GENRES
from horror_pipeline_tests.modeling.films import NOW, films

SINGLE = [[0], [1], [2]]


def values(count: int = 50) -> Floats:
    return np.random.default_rng(3).normal(0, 1, (count, 3))


def test_in_an_additive_model_no_other_part_moves() -> None:
    rows = values()
    other = rows.copy()
    other[:, 1] += 1.0
    first, second = (
        contributions(lambda x: x @ np.array([1.0, 2.0, 0.0]), each, rows[:2], SINGLE) for each in (rows, other)
    )
    np.testing.assert_allclose(second - first, np.tile([0.0, 2.0, 0.0], (50, 1)), atol=1e-12)


def test_what_two_inputs_do_together_is_halved_between_them() -> None:
    rows, start = values(), np.zeros((1, 3))
    found = contributions(lambda x: x[:, 0] * x[:, 1], rows, start, SINGLE)
    np.testing.assert_allclose(found[:, 0], rows[:, 0] * rows[:, 1] / 2)
    np.testing.assert_allclose(found[:, 0], found[:, 1])
    assert (found[:, 2] == 0).all()  # an input that the model does not use


def test_a_film_alone_is_its_own_mean() -> None:
    base, parts = explain(lambda x: x.sum(axis=1), values(1), SINGLE, 2)
    assert base == pytest.approx(values(1).sum())
    np.testing.assert_allclose(parts, 0.0)


def test_many_films_are_explained_in_batches_as_they_are_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    frame, sizes = pd.DataFrame(values(), columns=["a", "b", "c"]), []

    def value(rows: Floats) -> Floats:
        sizes.append(len(rows))
        return np.asarray(rows.prod(axis=1))

    def explained() -> object:
        base, parts = explain(value, values(), SINGLE, 2)
        words = [lambda film, name=name: f"{name} {film[name]}" for name in frame]
        return explanation.in_words(base, parts, values().prod(axis=1), frame, words)

    at_once = explained()
    sizes.clear()
    monkeypatch.setattr(explanation, "FILMS_A_BATCH", 20)
    assert explained() == at_once
    assert max(sizes[1:]) == 20  # the first are all predictions, for their mean


def test_the_largest_parts_are_named_and_the_rest_is_summed_up() -> None:
    parts = np.array([0.5, -0.7, 0.01, 0.0, 0.02, 0.3, -0.002])
    words = [lambda film, group=group: f"{film['name']}{group}" for group in range(len(parts))]
    [found] = explanation.in_words(
        1.0, parts[None], np.array([1.0 + parts.sum()]), pd.DataFrame({"name": ["g"]}), words
    )
    assert [label for label, _ in found] == ["g1", "g0", "g5", "g4", "g2", explanation.REST]
    assert found[-1][1] == pytest.approx(-0.002)


def test_every_input_is_explained_with_those_that_say_the_same() -> None:
    named = {name for names in GROUPS.values() for name in names}
    assert {feature.name for feature in FEATURES} == named | set(GENRES) | {"genre_count"}


def test_nothing_is_explained_without_a_champion() -> None:
    assert explain_batch(films(10), dict.fromkeys(MODELS), NOW).empty


def said(group: str, **film: object) -> str:
    return WORDS[group](film)


def test_parts_are_named_by_what_the_film_is() -> None:
    assert said("season", release_month=10.0, is_new_years_day=0.0) == "out in October"
    assert said("season", release_month=np.nan) == "no release date yet"
    assert said("language", original_language="fr") == "in French"
    assert said("language", original_language="tlh") == "in the language tlh"
    assert said("series", collection_earlier_films=2.0) == "part 3 of a series"
    assert said("series", collection_earlier_films=np.nan, is_sequel_title=1.0) == "titled like a sequel"
    assert said("age", days_since_release=1_100.0) == "out for 3 years"
    assert said("votes", vote_count=1234.0) == "1,234 votes"
    assert said("genres", is_horror=1.0, is_science_fiction=1.0, is_english=1.0) == "horror with science fiction"
    assert said("genres", is_horror=0.0, is_drama=1.0) == "drama"
    assert said("director", director_earlier_films=np.nan) == "no earlier film by its director in the catalogue"
    assert said("length", runtime_minutes=94.0) == "94 minutes long"
    assert said("title", title_words=1.0) == "title of 1 word"
