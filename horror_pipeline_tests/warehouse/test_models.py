from __future__ import annotations

from typing import Any

from sqlalchemy import Engine

from horror_pipeline.warehouse import models
from horror_pipeline_tests.warehouse.rows import NOW, all_of


def version(name: str, model: str = "rating_after_release", **columns: Any) -> dict[str, Any]:
    return {
        "model_version": name,
        "model_name": model,
        "algorithm": "blend",
        "trained_at": NOW,
        "training_rows": 100,
        "data_fingerprint": "data",
        "metrics": {"mean": {"mae": 0.5, "r2": float("nan")}},
        "baseline_metrics": {},
        "importance": {"is_drama": 0.1},
        "library_versions": {"numpy": "2"},
        "artifact": b"bytes",
        **columns,
    }


def test_one_champion_per_model_and_only_it_has_an_artifact(engine: Engine) -> None:
    with engine.begin() as connection:
        for name, model in (("a", "m"), ("b", "m"), ("c", "other")):
            models.promote(connection, version(name, model))
        champion = models.champion(connection, "m")
        assert champion is not None
        assert (champion["model_version"], bytes(champion["artifact"])) == ("b", b"bytes")
        assert models.champion(connection, "none") is None
    assert all_of(engine, "SELECT model_version, is_champion, artifact IS NULL FROM model_versions ORDER BY 1") == [
        ("a", False, True),
        ("b", True, False),
        ("c", True, False),
    ]


def test_a_version_may_become_champion_again(engine: Engine) -> None:
    with engine.begin() as connection:
        for name in ("a", "b", "a"):
            models.promote(connection, version(name))
    assert all_of(engine, "SELECT model_version, is_champion FROM model_versions ORDER BY 1") == [
        ("a", True),
        ("b", False),
    ]


def test_many_trainings_leave_a_small_table(engine: Engine) -> None:
    artifact = bytes(range(256)) * 1_200
    for number in range(40):
        with engine.begin() as connection:
            for model in "abcd":
                # A little different each time, as a real one is.
                row = version(f"{model}{number}", model, artifact=artifact + str(number).encode())
                models.promote(connection, row)
        models.vacuum_versions(engine)
    [(size,)] = all_of(engine, "SELECT pg_total_relation_size('model_versions')")
    assert size < 12e6  # forty of them would be 49 MB, held together
