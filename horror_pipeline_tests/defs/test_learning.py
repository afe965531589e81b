"""The assets of learning over invented films: what a training writes, and what it leaves alone."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import dagster as dg
import pandas as pd
import pytest
from sqlalchemy import URL, text

from horror_pipeline.defs import features, models, outcomes, predictions
from horror_pipeline.modeling.specs import MODELS
from horror_pipeline.settings import Settings
from horror_pipeline.warehouse import features as features_table
from horror_pipeline.warehouse import models as models_table
from horror_pipeline.warehouse import outcomes as outcomes_table
from horror_pipeline.warehouse import snapshots, tables
from horror_pipeline.warehouse.bulk import copy_rows
from horror_pipeline_tests.conftest import database, keep_trees_few
from horror_pipeline_tests.defs.runs import checks
from horror_pipeline_tests.defs.trainings import TRAINING, Learning, learning
from horror_pipeline_tests.modeling.films import AS_OF, movies

pytestmark = pytest.mark.usefixtures("few_trees")

RELEASED, UPCOMING = 300, 12


Told = dict[str, dict[str, Any]]


def known() -> pd.DataFrame:
    films = movies(RELEASED, upcoming=UPCOMING)
    films["runtime_minutes"] = films["runtime_minutes"].astype("Int64")
    films["collection_id"] = films["collection_id"].astype("Int64")
    return films.assign(vote_count=films["vote_count"].astype("Int64"))


@pytest.fixture
def runs(database_url: URL) -> Iterator[Learning]:
    with learning(database_url) as runs:
        yield runs


@dataclass(frozen=True)
class Trained:
    """What a training told that failed after two of the four models, and what one that continued it told."""

    url: URL
    half: Told
    versions: list[tuple[Any, ...]]
    whole: Told
    data_versions: dict[str, str]


@pytest.fixture(scope="module")
def trained(postgres: URL) -> Iterator[Trained]:
    """A training of everything, for tests that read what it left or go on from a copy of it."""
    with database(postgres) as url, pytest.MonkeyPatch.context() as patch:
        keep_trees_few(patch)
        with learning(url) as runs:
            runs.store(known())
            half = runs.run(*TRAINING[:3])
            versions, whole = runs.stored()["model_versions"], runs.run()
            events = [runs.instance.get_latest_materialization_event(dg.AssetKey(name)) for name in MODELS]
        found = [event.asset_materialization for event in events if event and event.asset_materialization]
        data_versions = {each.asset_key.to_user_string(): (each.tags or {})["dagster/data_version"] for each in found}
        yield Trained(url, half, versions, whole, data_versions)


@pytest.fixture
def later(postgres: URL, trained: Trained) -> Iterator[Learning]:
    """A copy of the warehouse after the training."""
    with database(postgres, str(trained.url.database)) as url, learning(url) as runs:
        yield runs


@pytest.mark.parametrize(("learn_from", "taught"), [("all", 600), ("horror", 0)])
def test_films_of_other_genres_are_learned_from_and_never_predicted(
    runs: Learning, learn_from: Literal["all", "horror"], taught: int
) -> None:
    runs.settings = Settings(_env_file=None, horror_learn_from=learn_from)
    runs.store(known())
    of_others = movies(600, seed=5)
    genres = of_others["genres"].map(lambda names: ["Drama"] if "Drama" in names else [])
    rows = of_others.assign(tmdb_id=of_others["tmdb_id"] + 10_000, genres=genres)
    runs.store_others(rows.assign(vote_count=rows["vote_count"].astype("Int64")))
    runs.run(features.movie_features, models.rating_before_release, predictions.model_predictions)
    [(of_other_genres, training_rows)] = runs.rows(
        "SELECT (metrics -> 'films_of_other_genres')::int, training_rows FROM model_versions WHERE is_champion"
    )
    assert (of_other_genres, training_rows) == (taught, RELEASED + taught)
    assert runs.value("SELECT max(tmdb_id) FROM movie_features") < 10_000
    assert runs.value("SELECT max(tmdb_id) FROM model_predictions") < 10_000


OFF_BY = """
    SELECT max(abs(base + (SELECT sum((part ->> 1)::float) FROM jsonb_array_elements(parts) AS part)
                   - CASE target WHEN 'popularity' THEN ln(predicted_popularity) ELSE predicted_vote_average END))
    FROM prediction_explanations JOIN model_predictions USING (tmdb_id)
"""
"""How far explanations do not add up to what they explain."""


CHANCES = """
    SELECT stage, count(top_1_percent_probability), count(rating_7_probability) FROM latest_predictions
    GROUP BY stage ORDER BY stage
"""


def charts_of(told: dict[str, Any]) -> dict[str, str]:
    return {key: value for key, value in told.items() if "data:image/svg+xml" in str(value)}


def test_a_training_predicts_every_film_and_a_second_on_the_same_data_writes_nothing(
    later: Learning, trained: Trained
) -> None:
    runs, told = later, trained.whole | {name: trained.half[name] for name in list(MODELS)[:2]}
    assert {name: told[name]["outcome"] for name in MODELS} == dict.fromkeys(MODELS, "promoted")
    assert runs.rows("SELECT stage, count(*) FROM model_predictions GROUP BY 1 ORDER BY 1") == [
        ("after_release", RELEASED),
        ("before_release", UPCOMING),
    ]
    assert runs.value("SELECT count(*) FROM latest_predictions WHERE popularity_upper IS NULL") == 0
    assert runs.value(OFF_BY) < 1e-6
    assert runs.rows(CHANCES) == [("after_release", 0, RELEASED), ("before_release", UPCOMING, UPCOMING)]
    assert runs.value("SELECT count(*) FROM prediction_explanations") == 2 * (RELEASED + UPCOMING)
    assert runs.value("SELECT count(*) FROM rating_class") == RELEASED + UPCOMING
    assert runs.value("SELECT count(*) FROM movie_clusters") == RELEASED + UPCOMING
    assert runs.value("SELECT count(*) FROM similar_movies WHERE rank = 1") > RELEASED / 2
    for name in MODELS:
        assert set(charts_of(told[name])) == {
            "predicted_against_real",
            "residuals_over_time",
            "coverage_by_decile",
            "chances",
            "importance",
        }
        assert all(len(chart) < 30_000 for chart in charts_of(told[name]).values())
        assert 0 < told[name]["mae"] < told[name]["mae_constant"]

    before = runs.stored()
    runs.now += dt.timedelta(hours=1)
    again = runs.run()
    assert runs.materialized == {}
    assert list(again) == ["movie_features"]
    assert runs.stored() == before
    assert "predicted high" in told["rating_class"]["confusion"]
    with runs.engine.connect() as connection:
        assert features_table.training_fingerprint(connection) == features_table.state(
            connection, features_table.PREDICTIONS_STEP
        )


def test_a_training_that_failed_half_way_is_continued_and_what_was_done_is_not_done_again(
    later: Learning, trained: Trained
) -> None:
    done, told, again = list(MODELS)[:2], trained.half, trained.whole
    assert set(told) == {"movie_features", *done}
    assert {name: again[name]["outcome"] for name in MODELS} == {
        name: "unchanged" if name in done else "promoted" for name in MODELS
    }
    assert len(trained.versions) == 2
    assert [row for row in trained.versions if row not in later.stored()["model_versions"]] == []
    assert later.value("SELECT count(*) FROM latest_predictions") == RELEASED + UPCOMING
    for name in done:  # the page of a model is not left bare
        assert charts_of(again[name]) == charts_of(told[name])
        assert {key: again[name][key] for key in ("mae", "mae_linear", "coverage", "model_version")} == {
            key: told[name][key] for key in ("mae", "mae_linear", "coverage", "model_version")
        }
    assert trained.data_versions == {name: again[name]["model_version"] for name in MODELS}


def test_a_step_run_by_itself_with_nothing_to_do_materializes_nothing(later: Learning) -> None:
    for asset in TRAINING[5:]:
        told = later.run(asset)
        assert later.materialized == {}
        assert "changed since the last" in told[asset.key.to_user_string()]["skipped"]


def test_similar_films_are_found_anew_only_when_what_they_are_compared_by_has_changed(runs: Learning) -> None:
    films, assets = known().head(70), (features.movie_features, predictions.similar_movies)
    runs.store(films)
    runs.run(*assets)
    runs.store(films.assign(vote_count=films["vote_count"] + 1), AS_OF + dt.timedelta(hours=1))
    told = runs.run(*assets)
    assert set(runs.materialized) == {"movie_features"}
    assert "no film has changed" in told["similar_movies"]["skipped"]
    same = [["A director of two films"]] * 2 + films["directors"].tolist()[2:]
    runs.store(films.assign(directors=same), AS_OF + dt.timedelta(hours=2))
    runs.run(*assets)
    assert set(runs.materialized) == {"movie_features", "similar_movies"}
    one, other = (int(tmdb_id) for tmdb_id in films["tmdb_id"][:2])
    assert runs.value(f"SELECT score FROM similar_movies WHERE tmdb_id = {one} AND similar_tmdb_id = {other}") > 0.15


def test_new_data_makes_a_new_batch_by_the_champions_that_stay(later: Learning) -> None:
    runs, films = later, known()
    champions = runs.rows("SELECT model_version FROM model_versions WHERE is_champion ORDER BY 1")
    films["vote_count"] += films.index == 7
    runs.store(films, AS_OF + dt.timedelta(hours=1))
    runs.now += dt.timedelta(hours=2)
    told = runs.run(*TRAINING[:-3])
    assert {name: told[name]["outcome"] for name in MODELS} == dict.fromkeys(MODELS, "kept")
    assert all("no recipe beats" in told[name]["reason"] for name in MODELS)
    assert runs.rows("SELECT model_version FROM model_versions WHERE is_champion ORDER BY 1") == champions
    assert runs.value("SELECT count(DISTINCT predicted_at) FROM model_predictions") == 2
    actual = runs.value(
        f"SELECT actual_vote_count FROM model_predictions WHERE tmdb_id = {films['tmdb_id'][7]} "
        "ORDER BY predicted_at LIMIT 1"
    )
    assert actual == films["vote_count"][7] - 1  # as it stood when it was predicted


def test_a_champion_of_other_library_versions_is_trained_anew(later: Learning) -> None:
    with later.engine.begin() as connection:
        connection.execute(text('UPDATE model_versions SET library_versions = \'{"numpy": "1.0"}\''))
    told = later.run(features.movie_features, models.rating_after_release)["rating_after_release"]
    assert told["outcome"] == "promoted"
    assert "other library versions" in told["reason"]


def test_a_film_that_is_gone_is_predicted_no_more(runs: Learning) -> None:
    films = known()
    runs.store(films)
    runs.run(*TRAINING[:1])
    with runs.engine.begin() as connection:
        connection.execute(text(f"UPDATE movies SET gone_at = now() WHERE tmdb_id = {films['tmdb_id'][0]}"))
    runs.run(*TRAINING[:1])
    assert runs.value("SELECT count(*) FROM movie_features") == RELEASED + UPCOMING - 1


@pytest.mark.parametrize("count", [0, 5])
def test_too_few_films_are_a_reason_not_a_failure(runs: Learning, count: int) -> None:
    runs.store(known().head(count))
    told = runs.run()
    for name in MODELS:
        assert told[name]["outcome"] == "skipped"
        assert "are needed to learn from" in told[name]["reason"]
    assert "needed" in told["rating_class"]["skipped"]
    assert "needed" in told["movie_clusters"]["skipped"]
    assert "no model has a champion" in told["model_predictions"]["skipped"]
    assert runs.value("SELECT count(*) FROM model_predictions") == 0
    runs.run()
    assert runs.materialized == {}


# -- outcomes ----------------------------------------------------------------------------------------------------------

DAY = AS_OF.date() + dt.timedelta(days=1)


def predict_and_see(runs: Learning, factor: float, added: float = 0.0) -> None:
    """Forty films predicted yesterday; today their popularity is so many times what it was."""
    films = known().head(40)
    runs.store(films)
    with runs.engine.begin() as connection:
        for name, target in (("popularity_after_release", 0.5), ("rating_after_release", 0.5)):
            row = {"model_version": name, "model_name": name, "algorithm": "blend", "trained_at": AS_OF}
            row |= {"training_rows": 100, "data_fingerprint": "", "metrics": {"mean": {"mae": target}}}
            models_table.promote(connection, row | {"baseline_metrics": {}, "library_versions": {}, "artifact": b""})
        copy_rows(
            connection,
            tables.model_predictions,
            (
                {
                    "predicted_at": AS_OF,
                    "tmdb_id": film.tmdb_id,
                    "stage": "after_release",
                    "predicted_popularity": film.popularity,
                    "popularity_lower": film.popularity * 0.9,
                    "popularity_upper": film.popularity * 1.1,
                    "actual_popularity": film.popularity,
                }
                for film in films.itertuples()
            ),
        )
        snapshots.ensure_months(connection, [DAY])
        rest: dict[str, Any] = {"snapshot_date": [DAY] * 40, "export_date": [DAY] * 40, "source": ["export"] * 40}
        seen = {"tmdb_id": films["tmdb_id"].tolist(), "popularity": (films["popularity"] * factor + added).tolist()}
        snapshots.replace_day(connection, DAY, rest | seen | {"popularity_percentile": [1.0] * 40})


@pytest.mark.parametrize(
    ("factor", "added", "is_as_promised", "scale_holds"),
    [(1.0, 0.2, True, True), (1.0, 2.0, False, True), (0.05, 0.0, False, False)],
    ids=["as promised", "worse than promised", "another scale"],
)
def test_the_checks_of_a_day_say_whether_predictions_held(
    runs: Learning, factor: float, added: float, is_as_promised: bool, scale_holds: bool
) -> None:
    predict_and_see(runs, factor, added)
    runs.run(outcomes.prediction_outcomes, days=(DAY.isoformat(), DAY.isoformat()))
    found = checks(runs.last)
    assert found["live_error_is_as_promised"].passed is is_as_promised
    assert found["popularity_scale_holds"].passed is scale_holds
    with runs.engine.connect() as connection:
        [figures] = outcomes_table.accuracy(connection, DAY, 10)
    assert figures["films"] == 40
    assert (figures["mae"] > 0.75) is not is_as_promised


def test_outcomes_of_a_day_whose_run_failed_for_another_day_are_made_up_for(runs: Learning) -> None:
    predict_and_see(runs, 1.0, 0.2)
    key, later = outcomes.prediction_outcomes.key, (DAY + dt.timedelta(days=1)).isoformat()
    runs.run(outcomes.prediction_outcomes, days=(later, later))
    assert runs.rows("SELECT outcome_date, count(*) FROM prediction_outcomes GROUP BY 1") == [(DAY, 40)]
    assert DAY.isoformat() in runs.instance.get_materialized_partitions(key)
