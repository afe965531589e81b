"""How much memory and time learning takes as films grow: from the stored films to the stored predictions.

Run `python benchmarks/learning.py`; `--help` lists the sizes. The films of the made-up TMDB are multiplied inside an
embedded Postgres in a temporary folder, with other ids, dates, makers, votes and values. The assets themselves run,
as a run executes them: features, models, predictions, rating classes and groups, in one process for each size. Seconds
are of that process's processor time, which other load on the machine does not change; Postgres's come on top. Prints
a table, and JSON as the last line.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, text

NOW = dt.datetime(2026, 11, 22, 12, tzinfo=dt.UTC)
CHANGED = {
    "tmdb_id": "tmdb_id + copy * 1000000000::bigint",
    "release_date": "release_date - ((copy * 37 + tmdb_id) % 365)::int * (release_date < :today)::int",
    "collection_id": "collection_id + copy * 1000000000::bigint",
    "directors": "ARRAY(SELECT name || ' ' || copy % 300 FROM unnest(directors) AS name)",
    "popularity": "popularity * exp(0.2 * (random() - 0.5))",
    "vote_average": "least(10, greatest(0, vote_average + 0.8 * (random() - 0.5)))",
    "vote_count": "(vote_count * exp(0.5 * (random() - 0.5)))::int",
}
"""What is different in each copy of a film."""


def main() -> None:
    """Measure each size, report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", default="20000,60000", help="films to learn from, with commas between")
    parser.add_argument("--models", default="all", help="names of models to train, with commas between")
    parser.add_argument("--trees", type=int, help="trees of each boosting: few take as much memory and less time")
    parser.add_argument("--_size", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options._size:
        print(json.dumps(_learn(options._size, options.models, options.trees)))
        return
    found: dict[str, Any] = {}
    for size in options.sizes.split(","):
        command = [sys.executable, __file__, "--_size", size, "--models", options.models]
        command += ["--trees", str(options.trees)] if options.trees else []
        output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
        found[size] = json.loads(output.splitlines()[-1])
        line = "{films:,} films, {learned_from:,} learned from: {seconds:.0f} s, {most_memory_mb:,.0f} MB"
        print(line.format(**found[size]))
    first, last = found[options.sizes.split(",")[0]], found[options.sizes.split(",")[-1]]
    found["growth"] = last["seconds"] / first["seconds"] / (last["films"] / first["films"])
    print(json.dumps(found))


def _learn(size: int, names: str, trees: int | None) -> dict[str, Any]:
    """Run the assets over as many films, one after the other; memory is the most the process held up to each's end."""
    os.environ["DAGSTER_DISABLE_TELEMETRY"] = "1"
    import dagster as dg

    from horror_pipeline.defs import features, models, predictions
    from horror_pipeline.domain import MODEL_NAMES
    from horror_pipeline.modeling import candidates
    from horror_pipeline.runtime import postgres
    from horror_pipeline.settings import Settings
    from horror_pipeline.warehouse.engine import opened

    if trees:
        sizes = ((limit, replace(size, trees=trees)) for limit, size in candidates.BOOSTING_SIZES)
        candidates.BOOSTING_SIZES = tuple(sizes)  # type: ignore[assignment]
        candidates.ADDITIVE = replace(candidates.ADDITIVE, trees=trees)
        candidates.AFTER_RELEASE = replace(candidates.AFTER_RELEASE, trees=trees)
    trained = MODEL_NAMES if names == "all" else names.split(",")
    assets = [features.movie_features, *(getattr(models, name) for name in trained)]
    assets += [predictions.model_predictions, predictions.rating_class, predictions.movie_clusters]
    quiet = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
    steps: dict[str, tuple[float, float]] = {}
    with (
        tempfile.TemporaryDirectory(prefix="horror-bench-") as folder,
        postgres.session(Path(folder) / "home") as url,
        opened(url) as engine,
        dg.DagsterInstance.ephemeral() as instance,
    ):
        _store(engine, size)
        steps["storing, not counted"] = 0.0, _peak()
        resources: dict[str, Any] = {
            "warehouse": engine,
            "settings": Settings(_env_file=None),
            "clock": lambda: NOW,
        }
        for asset in assets:
            begun, name = time.process_time(), asset.key.path[-1]
            dg.materialize([asset], instance=instance, resources=resources, run_config=quiet)
            steps[name] = time.process_time() - begun, _peak()
            print(f"  {name:<28}{steps[name][0]:>9.1f} s{steps[name][1]:>9,.0f} MB", file=sys.stderr)
        with engine.connect() as connection:
            learned = connection.scalar(text("SELECT max(training_rows) FROM model_versions"))
            films = connection.scalar(text("SELECT count(*) FROM model_predictions"))
    seconds = sum(seconds for seconds, _ in steps.values())
    return {"films": films, "learned_from": learned, "seconds": seconds, "most_memory_mb": _peak(), "steps": steps}


def _store(engine: Engine, size: int) -> None:
    from horror_pipeline.demo.catalogue import DEMO_SEED, Catalogue
    from horror_pipeline.demo.payloads import details
    from horror_pipeline.transform.movies import CleanMovie, clean_movie
    from horror_pipeline.warehouse import bulk, schema, tables

    documents = (details(film, NOW.date(), DEMO_SEED, ["credits"]) for film in Catalogue().known_on(NOW.date()))
    films = (clean_movie(document, first_year=2010, collected=("Horror",)) for document in documents)
    moments = dict.fromkeys(("first_seen_at", "observed_at", "details_fetched_at"), NOW)
    rows = [film.row | moments for film in films if isinstance(film, CleanMovie)]
    schema.upgrade(engine)
    with engine.begin() as connection:
        bulk.copy_rows(connection, tables.movies, rows[:size])
        parameters = {"copies": -(-size // len(rows)) - 1, "today": NOW.date()}
        values = ", ".join(CHANGED.get(column.name, column.name) for column in tables.movies.columns)
        copies = "movies CROSS JOIN generate_series(1, :copies) AS copy"
        connection.execute(text(f"INSERT INTO movies SELECT {values} FROM {copies}"), parameters)  # noqa: S608  # constants
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM ANALYZE movies"))


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 if sys.platform == "linux" else 1024**2)


if __name__ == "__main__":
    main()
