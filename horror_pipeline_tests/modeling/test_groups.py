"""Rating classes and clusters."""

from __future__ import annotations

import numpy as np
import pandas as pd

from horror_pipeline.modeling.clusters import CLUSTERS, Clustering, cluster
from horror_pipeline.modeling.rating_class import Classification, classify
from horror_pipeline_tests.modeling.films import films, inputs

BEFORE = inputs("before_release")


def test_the_better_half_is_told_from_the_other() -> None:
    known = films(300, upcoming=20)
    found = classify(BEFORE, known)
    assert isinstance(found, Classification)
    assert found.metrics["auc"] > 0.75
    assert found.metrics["accuracy"] > found.metrics["commoner_accuracy"]
    counts = (found.metrics[name] for name in ("true_high", "false_high", "true_low", "false_low"))
    assert sum(counts) == found.metrics["films"] > 50
    assert found.films["high_rated_probability"].between(0, 1).all()
    assert found.films["is_high_rated"].isna().sum() == 20
    assert found.films.loc[~known["stage"].eq("before_release"), "is_high_rated"].notna().all()


def test_the_classes_of_a_shuffled_rating_are_a_coin_s() -> None:
    known = films(400)
    known["vote_average"] = np.random.default_rng(0).permutation(known["vote_average"])
    found = classify(BEFORE, known)
    assert isinstance(found, Classification)
    assert 0.35 < found.metrics["auc"] < 0.65


def test_the_class_s_version_hangs_on_the_data() -> None:
    one, two = classify(BEFORE, films(80)), classify(BEFORE, films(80))
    other = classify(BEFORE, films(80, seed=2))
    assert isinstance(one, Classification)
    assert isinstance(two, Classification)
    assert isinstance(other, Classification)
    assert one.version == two.version != other.version


def test_too_few_or_equal_films_have_no_classes() -> None:
    assert "20 released films" in str(classify(BEFORE, films(20)))
    assert "nothing to tell apart" in str(classify(BEFORE, films(200).assign(vote_average=6.0)))


def test_similar_films_are_in_one_group() -> None:
    found = cluster(BEFORE, films(300, upcoming=10))
    assert isinstance(found, Clustering)
    sizes = found.films["cluster"].value_counts()
    assert list(sizes.index) == list(range(CLUSTERS))
    assert found.profiles["films"].tolist() == sizes.tolist()
    assert found.films["cluster_name"].str.len().min() > 0
    assert not found.films["cluster_name"].str.contains(" sin| cos").any()  # a season has a name
    assert np.isfinite(found.films["distance"]).all()
    pd.testing.assert_frame_equal(found.films, cluster(BEFORE, films(300, upcoming=10)).films)  # type: ignore[union-attr]


def test_few_films_are_no_groups_and_gaps_no_obstacle() -> None:
    assert "10 films are known" in str(cluster(BEFORE, films(10)))
    empty = films(100).assign(runtime_minutes=np.nan, title_length=np.nan)
    assert isinstance(cluster(BEFORE, empty), Clustering)
