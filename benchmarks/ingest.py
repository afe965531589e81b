"""Measure speed, completeness and number of requests of an ingest, compared with a plain sequential loader.

Run `python benchmarks/ingest.py`. Without a credential it starts the demo TMDB and reads from it; otherwise it reads
from the server that the settings name (`TMDB_API_KEY`, `TMDB_API_URL`, `TMDB_REQUESTS_PER_SECOND`, …). Each contender
runs in its own process against the same server. The pipeline's runs the assets themselves, with Dagster and an embedded
Postgres in a temporary folder. The loader's requests one film after the other over one kept connection, without a
pause, and stores each as it arrives; its speed without storing anything is measured as well. The script prints a table,
and JSON as its last line.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime as dt
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

Figures = dict[str, Any]


def main() -> None:
    """Measure the contenders and print the figures."""
    options = _options()
    if options._contender:
        print(json.dumps(_CONTENDERS[options._contender](options)))
        return
    with tempfile.TemporaryDirectory(prefix="horror-bench-") as folder, _server(options) as environment:
        results = [_repeat(Path(folder) / str(number), environment, options) for number in range(options.repeats)]
    found = {name: _median([one[name] for one in results]) for name in results[0]}
    for name, value in found.items():
        print(f"{name:<44}{value:>14,.3f}" if isinstance(value, float) else f"{name:<44}{value:>14,}")
    print(json.dumps(found))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3, help="measurements of each contender; the median counts")
    parser.add_argument("--sample", type=int, default=500, help="films the sequential loader asks for")
    parser.add_argument("--demo-scale", type=float, default=1.0, help="share of the demo's films, where it is used")
    parser.add_argument("--_contender", choices=sorted(_CONTENDERS), help=argparse.SUPPRESS)
    parser.add_argument("--_database", help=argparse.SUPPRESS)
    return parser.parse_args()


def _median(values: list[float]) -> float:
    found = statistics.median(values)
    return int(found) if all(isinstance(value, int) for value in values) else float(found)


@contextlib.contextmanager
def _server(options: argparse.Namespace) -> Iterator[dict[str, str]]:
    """Yield the variables that name the contenders' TMDB: the demo's, or none where the settings name one."""
    from horror_pipeline.demo.process import spawn
    from horror_pipeline.settings import load_settings

    if not load_settings().is_demo:
        yield {}
        return
    with spawn(scale=options.demo_scale) as demo:
        addresses = {"TMDB_API_KEY": "demo", "TMDB_API_URL": demo.api_url, "TMDB_EXPORTS_URL": demo.exports_url}
        yield {"TMDB_REQUESTS_PER_SECOND": "100000"} | addresses | _given("TMDB_REQUESTS_PER_SECOND")


def _given(name: str) -> dict[str, str]:
    return {name: os.environ[name]} if name in os.environ else {}


def _repeat(home: Path, environment: dict[str, str], options: argparse.Namespace) -> Figures:
    """Measure both contenders once, with a new database."""
    from horror_pipeline.runtime import postgres

    with postgres.session(home) as url:
        database = url.render_as_string(hide_password=False)
        found = _run("pipeline", database, environment, options)
        loader = _run("sequential", database, environment, options)
    rate = found["films_per_second"]
    ratios = {
        "ratio_to_sequential": rate / loader["sequential_films_per_second"],
        "ratio_to_sequential_storing_nothing": rate / loader["sequential_storing_nothing_films_per_second"],
    }
    return found | loader | ratios


def _run(contender: str, database: str, environment: dict[str, str], options: argparse.Namespace) -> Figures:
    command = [sys.executable, "-W", "ignore", __file__, "--_contender", contender, "--_database", database]
    command += ["--sample", str(options.sample)]
    done = subprocess.run(command, env=os.environ | environment, stdout=subprocess.PIPE, text=True, check=True)
    figures: Figures = json.loads(done.stdout.splitlines()[-1])
    return figures


# -- the contenders, each in its own process ---------------------------------------------------------------------------


def _pipeline(options: argparse.Namespace) -> Figures:
    """Ingest every release year, and then once more."""
    import dagster as dg
    from sqlalchemy import make_url

    from horror_pipeline.cli.run import tmdb_client
    from horror_pipeline.defs import movies as core
    from horror_pipeline.defs import raw
    from horror_pipeline.defs.partitions import last_release_year
    from horror_pipeline.orchestration.missing import range_tags
    from horror_pipeline.settings import load_settings
    from horror_pipeline.tmdb.client import TmdbClient
    from horror_pipeline.warehouse import schema
    from horror_pipeline.warehouse.engine import connect

    settings = load_settings()
    engine = connect(make_url(options._database))
    schema.upgrade(engine)
    years = range_tags(str(settings.horror_first_year), str(last_release_year(dt.datetime.now(dt.UTC).date())))
    quiet = {"loggers": {"console": {"config": {"log_level": "ERROR"}}}}

    def ingest(client: TmdbClient) -> dict[str, Figures]:
        resources = {
            "warehouse": engine,
            "tmdb": client,
            "settings": settings,
            "clock": lambda: dt.datetime.now(dt.UTC),
        }
        assets = [raw.discover_pages, raw.movie_details, core.movies]
        with dg.DagsterInstance.ephemeral() as instance:
            result = dg.materialize(assets, instance=instance, tags=years, resources=resources, run_config=quiet)
            return _steps(result)

    with tmdb_client(settings) as client:
        first = ingest(client)
        asked = client.stats
        again = ingest(client)
    sweep, details, movies = first["raw__discover_pages"], first["raw__movie_details"], first["movies"]
    films = details["new"] + details["gone"]
    return {
        "films": films,
        "sweep_seconds": sweep["seconds"],
        "details_seconds": details["seconds"],
        "cleaning_seconds": movies["seconds"],
        "films_per_second": films / details["seconds"],
        "requests_per_second": details["requests_per_second"],
        "share_of_rate_setting": details["requests_per_second"] / settings.tmdb_requests_per_second,
        "requests": asked.requests,
        "requests_per_page_and_film": asked.requests / (sweep["dagster/partition_row_count"] + films),
        "retries": asked.retries,
        "share_rate_limited": asked.rate_limited / asked.requests,
        "films_short": sweep["short"],
        "rejected": movies["rejected"],
        "again_sweep_requests": again["raw__discover_pages"]["requests"],
        "again_details_requests": again["raw__movie_details"]["requests"],
        "again_rows_changed": again["movies"]["new"] + again["movies"]["changed"],
        "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


_OF_THE_RUN = ("requests", "retries", "rate_limited", "requests_per_second", "failed")


def _steps(result: Any) -> dict[str, Figures]:
    """Return seconds and figures of each step: a partition's are added up, the run's are the same in each partition."""
    found: dict[str, Figures] = {}
    for event in result.all_events:
        if event.is_step_success:
            found.setdefault(event.step_key, {})["seconds"] = event.event_specific_data.duration_ms / 1000
        if event.is_step_materialization:
            figures = found.setdefault(event.step_key, {})
            for name, entry in event.step_materialization_data.materialization.metadata.items():
                if isinstance(entry.value, int | float):
                    figures[name] = entry.value + (figures.get(name, 0) if name not in _OF_THE_RUN else 0)
    return found


def _sequential(options: argparse.Namespace) -> Figures:
    """Request some of the films that the pipeline has read, one at a time over a kept connection.

    Each film is stored by a plain insert with a commit of its own, so that nothing loaded is lost.
    """
    from sqlalchemy import create_engine, text

    from horror_pipeline.settings import load_settings

    settings = load_settings()
    engine = create_engine(options._database)
    with engine.begin() as connection:
        query = text("SELECT tmdb_id FROM raw.movie_details WHERE gone_at IS NULL ORDER BY tmdb_id LIMIT :sample")
        films = list(connection.execute(query, {"sample": options.sample}).scalars())
        connection.execute(text("CREATE TABLE sequential (tmdb_id bigint PRIMARY KEY, payload jsonb)"))
    statement = text("INSERT INTO sequential VALUES (:tmdb_id, :payload)")

    def store(tmdb_id: int, body: object) -> None:
        with engine.begin() as connection:
            connection.execute(statement, {"tmdb_id": tmdb_id, "payload": json.dumps(body)})

    found = {
        "sequential_films_per_second": _load(settings, films, store),
        "sequential_storing_nothing_films_per_second": _load(settings, films, lambda _, __: None),
    }
    engine.dispose()
    return found


def _load(settings: Any, films: list[int], store: Callable[[int, object], None]) -> float:
    """Return the films read per second."""
    import requests

    key = settings.tmdb_api_key.get_secret_value()
    session = requests.Session()
    params = {"append_to_response": "credits,keywords,release_dates,watch/providers", "language": "en-US"}
    if key.startswith("eyJ"):
        session.headers["Authorization"] = f"Bearer {key}"
    else:
        params["api_key"] = key
    read = 0
    started = time.monotonic()
    for tmdb_id in films:
        response = session.get(f"{settings.tmdb_api_url}/movie/{tmdb_id}", params=params, timeout=30)
        if response.status_code == 429:
            time.sleep(max(1, int(response.headers.get("Retry-After", 1))))
            continue
        store(tmdb_id, response.json())
        read += 1
    return read / (time.monotonic() - started)


_CONTENDERS = {"pipeline": _pipeline, "sequential": _sequential}

if __name__ == "__main__":
    main()
