"""How fast a day of history is taken from an id export of TMDB's size, compared with the obvious way with pandas.

Run `python benchmarks/history.py`; `--help` lists the sizes. Everything is generated: a file of invented films, a
catalogue that knows some of them, and an embedded Postgres in a temporary folder. Each contender runs in a process of
its own, over HTTP from a third; the pipeline's is the asset itself, its checks included, and its memory is that of the
whole process with Dagster. Prints a table, and JSON as the last line.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime as dt
import functools
import gzip
import http.server
import json
import multiprocessing
import os
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

DAY = dt.date(2026, 11, 20)
NOW = dt.datetime(2026, 11, 22, 12, tzinfo=dt.UTC)


def main() -> None:
    """Generate, measure, report."""
    options = _options()
    with tempfile.TemporaryDirectory(prefix="horror-bench-") as folder:
        scratch = Path(folder)
        _write_export(scratch, options.lines)
        with _database(scratch, options) as url, _serving(scratch) as exports_url:
            result = {"lines": options.lines, "films": options.films} | _one_day(options, url, exports_url)
            if options.years:
                result |= _after_years(options, url, exports_url)
    for name, value in result.items():
        print(f"{name:<44}{value:>14,.3f}" if isinstance(value, float) else f"{name:<44}{value:>14,}")
    print(json.dumps(result))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lines", type=int, default=1_240_000, help="lines of the export")
    parser.add_argument("--films", type=int, default=60_000, help="films known")
    parser.add_argument("--repeats", type=int, default=3, help="measurements of each contender; the median counts")
    parser.add_argument("--years", type=float, default=2.0, help="years of daily rows to simulate; 0: leave it out")
    parser.add_argument("--_contender", choices=["pipeline", "pandas"], help=argparse.SUPPRESS)
    parser.add_argument("--_url", help=argparse.SUPPRESS)
    parser.add_argument("--_exports", help=argparse.SUPPRESS)
    parser.add_argument("--_day", type=dt.date.fromisoformat, default=DAY, help=argparse.SUPPRESS)
    return parser.parse_args()


# -- what is measured --------------------------------------------------------------------------------------------------


def _one_day(options: argparse.Namespace, url: str, exports_url: str) -> dict[str, float | int]:
    """One day, each way, in turn."""
    runs: dict[str, list[dict[str, float]]] = {"pipeline": [], "pandas": []}
    for _ in range(options.repeats):
        for contender, measured in runs.items():
            _sql(url, "DELETE FROM movie_snapshots")
            measured.append(_measure(contender, url, exports_url, DAY))
    seconds = {name: statistics.median(run["seconds"] for run in measured) for name, measured in runs.items()}
    memory = {name: max(run["peak_mb"] for run in measured) for name, measured in runs.items()}
    rows = {int(run["rows"]) for measured in runs.values() for run in measured}
    if len(rows) != 1:
        raise SystemExit(f"the contenders disagree on the rows: {rows}")
    return {
        "rows": rows.pop(),
        "pipeline_seconds": seconds["pipeline"],
        "pandas_seconds": seconds["pandas"],
        "times_faster": seconds["pandas"] / seconds["pipeline"],
        "pipeline_peak_mb": memory["pipeline"],
        "pandas_peak_mb": memory["pandas"],
    }


def _after_years(options: argparse.Namespace, url: str, exports_url: str) -> dict[str, float | int]:
    """A day's write into an empty history, and behind years of daily rows."""
    _sql(url, "DELETE FROM movie_snapshots")
    empty = [_measure("pipeline", url, exports_url, DAY - dt.timedelta(days=n))["seconds"] for n in range(3)]
    _sql(url, "DELETE FROM movie_snapshots")
    simulated = _simulate(url, options)
    full = [_measure("pipeline", url, exports_url, DAY - dt.timedelta(days=n))["seconds"] for n in range(3)]
    return {
        "simulated_days": int(options.years * 365),
        "simulated_rows": simulated,
        "write_seconds_empty": statistics.median(empty),
        "write_seconds_after": statistics.median(full),
        "times_slower": statistics.median(full) / statistics.median(empty),
    }


def _simulate(url: str, options: argparse.Namespace) -> int:
    """Daily rows of every film for years, all but the three days to be measured; on the export's popularity scale."""
    from sqlalchemy import create_engine, text

    from horror_pipeline.warehouse import snapshots

    days = [DAY - dt.timedelta(days=n) for n in range(3, int(options.years * 365) + 3)]
    engine = create_engine(url)
    fill = text(
        "INSERT INTO movie_snapshots "
        "SELECT tmdb_id, :day, 0.1 + 0.15 * random(), random(), NULL, NULL, 'export', :day FROM movies ORDER BY tmdb_id"
    )
    for day in sorted(days):
        with engine.begin() as connection:
            snapshots.ensure_months(connection, [day])
            connection.execute(fill, {"day": day})
    engine.dispose()
    _sql(url, "VACUUM ANALYZE movie_snapshots", "CHECKPOINT")
    return int(options.films) * len(days)


def _measure(contender: str, url: str, exports_url: str, day: dt.date) -> dict[str, float]:
    """Run a contender in a process of its own."""
    arguments = ["--_contender", contender, "--_url", url, "--_exports", exports_url, "--_day", day.isoformat()]
    command = [sys.executable, __file__, *arguments]
    quiet = os.environ | {"PYTHONWARNINGS": "ignore"}
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=quiet).stdout
    measured: dict[str, float] = json.loads(output.splitlines()[-1])
    return measured


def _contend(contender: str, url: str, exports_url: str, day: dt.date) -> None:
    """One measurement, in its own process."""
    seconds, rows = {"pipeline": _pipeline, "pandas": _pandas}[contender](url, exports_url, day)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 if sys.platform == "linux" else 1024**2)
    print(json.dumps({"seconds": seconds, "rows": rows, "peak_mb": peak}))


def _pipeline(url: str, exports_url: str, day: dt.date) -> tuple[float, int]:
    """The asset, as a run materializes it."""
    os.environ["DAGSTER_DISABLE_TELEMETRY"] = "1"
    import dagster as dg
    import pandas  # noqa: F401  # both contenders import before the clock starts
    from sqlalchemy import make_url

    from horror_pipeline.defs.snapshots import movie_snapshots
    from horror_pipeline.tmdb.client import TmdbClient
    from horror_pipeline.warehouse.engine import connect

    engine = connect(make_url(url))
    client = TmdbClient(
        api_url=exports_url, exports_url=exports_url, api_key=None, requests_per_second=35, connections=2
    )
    quiet = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
    resources: dict[str, Any] = {"warehouse": engine, "tmdb": client, "clock": lambda: NOW}
    result = dg.materialize([movie_snapshots], resources=resources, partition_key=day.isoformat(), run_config=quiet)
    (step,) = [event.step_success_data for event in result.all_events if event.is_step_success]
    (event,) = result.asset_materializations_for_node("movie_snapshots")
    return step.duration_ms / 1_000, int(event.metadata["dagster/partition_row_count"].value)  # type: ignore[arg-type]


def _pandas(url: str, exports_url: str, day: dt.date) -> tuple[float, int]:
    """What one would write first: read the file as a frame, merge, append."""
    import pandas as pd
    from sqlalchemy import create_engine

    from horror_pipeline.tmdb.exports import export_url

    engine = create_engine(url)
    begun = time.perf_counter()
    export = pd.read_json(export_url(exports_url, day), lines=True, compression="gzip")
    movies = pd.read_sql("SELECT tmdb_id FROM movies", engine)
    rows = movies.merge(export, left_on="tmdb_id", right_on="id")[["tmdb_id", "popularity"]].dropna()
    rows["popularity_percentile"] = rows["popularity"].rank(pct=True, method="max")
    rows = rows.assign(snapshot_date=day, source="export", export_date=day)
    rows.to_sql("movie_snapshots", engine, if_exists="append", index=False)
    return time.perf_counter() - begun, len(rows)


# -- what is generated -------------------------------------------------------------------------------------------------


def _write_export(folder: Path, lines: int) -> None:
    """A file like TMDB's: ids in no order, titles of many lengths and scripts, a long tail of popularity."""
    chance = random.Random(27)
    ids = list(range(1, lines + 1))
    chance.shuffle(ids)
    words = ["Night", "Blood", "House", "Ночь", "怪談", "The", "of", "Dead", "Sangre", "é"]
    with gzip.open(folder / "export.gz", "wb", compresslevel=6) as file:
        for tmdb_id in ids:
            film = {
                "adult": False,
                "id": tmdb_id,
                "original_title": " ".join(chance.choices(words, k=chance.randint(1, 6))),
                "popularity": round(chance.paretovariate(1.2) / 10, 4),
                "video": False,
            }
            file.write(json.dumps(film, ensure_ascii=False, separators=(",", ":")).encode() + b"\n")


@contextlib.contextmanager
def _database(folder: Path, options: argparse.Namespace) -> Iterator[str]:
    """An embedded Postgres with a catalogue of every so many films, and the month of the measured day."""
    from horror_pipeline.runtime import postgres
    from horror_pipeline.warehouse import bulk, schema, snapshots, tables
    from horror_pipeline.warehouse.engine import connect

    step = options.lines // options.films
    films = (
        {
            "tmdb_id": number * step + 1,
            "title": f"Film {number}",
            "genres": ["Horror"],
            "is_adult": False,
            "first_seen_at": NOW,
            "observed_at": NOW,
            "details_fetched_at": NOW,
        }
        for number in range(options.films)
    )
    with postgres.session(folder / "home") as url:
        engine = connect(url)
        schema.upgrade(engine)
        with engine.begin() as connection:
            bulk.copy_rows(connection, tables.movies, films)
            snapshots.ensure_months(connection, [DAY, DAY.replace(day=1) - dt.timedelta(days=1)])
        engine.dispose()
        yield url.render_as_string(hide_password=False)


@contextlib.contextmanager
def _serving(folder: Path) -> Iterator[str]:
    """The file, under any day's name, from a process of its own."""
    ours, theirs = multiprocessing.Pipe()
    server = multiprocessing.get_context("spawn").Process(target=_serve, args=(folder / "export.gz", theirs))
    server.start()
    try:
        yield f"http://127.0.0.1:{ours.recv()}"
    finally:
        server.terminate()
        server.join()


def _serve(file: Path, ready: Any) -> None:
    handler = functools.partial(_OneFile, file.read_bytes())
    with http.server.HTTPServer(("127.0.0.1", 0), handler) as server:
        ready.send(server.server_port)
        server.serve_forever()


class _OneFile(http.server.BaseHTTPRequestHandler):
    """Answers everything with the file."""

    def __init__(self, body: bytes, *arguments: Any) -> None:
        """Remember the body; the base class answers at once."""
        self._body = body
        super().__init__(*arguments)

    def do_GET(self) -> None:
        """The file."""
        self.send_response(200)
        self.send_header("Content-Length", str(len(self._body)))
        self.end_headers()
        self.wfile.write(self._body)

    def log_message(self, *arguments: Any) -> None:
        """Nothing."""


def _sql(url: str, *statements: str) -> None:
    from sqlalchemy import create_engine, text

    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        for statement in statements:
            connection.execute(text(statement))
    engine.dispose()


if __name__ == "__main__":
    given = _options()
    if given._contender:
        _contend(given._contender, given._url, given._exports, given._day)
    else:
        main()
