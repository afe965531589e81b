"""Requests per second and latency of `/api/predictions`, compared with a plain Flask + SQLAlchemy ORM endpoint.

Run `python benchmarks/web.py`; `--help` lists the sizes. An embedded Postgres in a temporary folder is filled with
invented films and a month of hourly predictions. Both servers are one process each, over the same database, and take
turns; the reference is served by gunicorn (one worker, eight threads) where it is installed, else by Werkzeug. Two
scenes: everybody asks for the same 20 predictions, and everybody asks for a page of their own, so that no answer can
be served twice. Prints a table, and JSON as the last line.
"""

# ruff: noqa: S608  # numbers from the command line are put into statements

from __future__ import annotations

import argparse
import asyncio
import importlib.util
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import urlopen

NOW = "2026-11-22 12:00+00"
SAME, OWN = "the same 20", "a page of one's own"
CONTENDERS = ("pipeline", "reference")
FIELDS = ("tmdb_id", "title", "predicted_popularity", "popularity_lower", "popularity_upper", "predicted_vote_average")


def main() -> None:
    """Fill, serve, load, report."""
    options = _options()
    with tempfile.TemporaryDirectory(prefix="horror-bench-") as folder, _database(Path(folder), options) as url:
        ports = {"pipeline": options.port, "reference": options.port + 1}
        with _serving("pipeline", url, ports["pipeline"]), _serving("reference", url, ports["reference"]):
            _require_the_same_answer(ports)
            result = _measure(options, ports)
    result["films"], result["batches"] = options.films, options.hours
    for name, value in result.items():
        print(f"{name:<58}{value:>14,.2f}" if isinstance(value, float) else f"{name:<58}{value!s:>14}")
    print(json.dumps(result))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--films", type=int, default=5_000, help="films, each in every batch")
    parser.add_argument("--hours", type=int, default=720, help="hourly batches of predictions")
    parser.add_argument("--connections", type=int, default=32, help="connections kept open, each always asking")
    parser.add_argument("--seconds", type=float, default=5.0, help="length of one turn")
    parser.add_argument("--rounds", type=int, default=3, help="turns of each; the median counts")
    parser.add_argument("--port", type=int, default=8856, help="first of two free ports")
    return parser.parse_args()


# -- the database ------------------------------------------------------------------------------------------------------


@contextmanager
def _database(folder: Path, options: argparse.Namespace) -> Iterator[str]:
    from sqlalchemy import create_engine, text

    from horror_pipeline.runtime import postgres
    from horror_pipeline.warehouse import schema

    with postgres.session(folder / "home") as url:
        engine = create_engine(url)
        schema.upgrade(engine)
        with engine.begin() as connection:
            for statement in _rows(options.films, options.hours):
                connection.execute(text(statement))
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("VACUUM ANALYZE"))
        engine.dispose()
        yield url.render_as_string(hide_password=False)


def _rows(films: int, hours: int) -> tuple[str, ...]:
    return (
        f"INSERT INTO data_source (is_demo, api_url, first_used_at) VALUES (true, 'http://127.0.0.1', '{NOW}')",
        "INSERT INTO movies (tmdb_id, title, overview, release_date, genres, popularity, vote_average, vote_count, "
        "is_adult, first_seen_at, observed_at, details_fetched_at) "
        "SELECT n, 'The ' || md5(n::text), repeat('plot ', 60), date '2026-11-22' - n, '{Horror,Thriller}', "
        f"n * 0.01, 2 + n % 7, n % 900, false, '{NOW}', '{NOW}', '{NOW}' FROM generate_series(1, {films}) n",
        "INSERT INTO model_predictions (predicted_at, tmdb_id, stage, predicted_popularity, popularity_lower, "
        "popularity_upper, predicted_vote_average, vote_average_lower, vote_average_upper, actual_popularity, "
        "actual_vote_average, actual_vote_count, popularity_model_version, vote_average_model_version) "
        f"SELECT timestamptz '{NOW}' - b * interval '1 hour', n, 'after_release', n * 0.01 + b * 0.001, n * 0.005, "
        "n * 0.02, 6.2, 5.2, 7.2, n * 0.01, 2 + n % 7, n % 900, 'popularity-1', 'rating-1' "
        f"FROM generate_series(0, {hours - 1}) b, generate_series(1, {films}) n",
    )


# -- the contenders ----------------------------------------------------------------------------------------------------


@contextmanager
def _serving(contender: str, url: str, port: int) -> Iterator[None]:
    command = [sys.executable, "-m", "horror_pipeline.web", "--port", str(port)]
    if contender == "reference":
        command = [sys.executable, __file__]
        if importlib.util.find_spec("gunicorn"):
            gunicorn = [sys.executable, "-m", "gunicorn", "--workers", "1", "--threads", "8", "--log-level", "error"]
            command = [
                *gunicorn,
                "--chdir",
                str(Path(__file__).parent),
                "--bind",
                f"127.0.0.1:{port}",
                "web:reference()",
            ]
    environment = os.environ | {"DATABASE_URL": url, "REFERENCE_PORT": str(port)}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
    try:
        _wait_for(port)
        yield
    finally:
        process.terminate()
        process.wait()


def reference() -> Any:
    """The plain endpoint: mapped classes, one joined query, `jsonify`."""
    from flask import Flask, jsonify, request
    from sqlalchemy import ForeignKey, create_engine, func, select
    from sqlalchemy.orm import DeclarativeBase, Session, joinedload, relationship

    from horror_pipeline.warehouse import tables

    class Base(DeclarativeBase):
        pass

    films = tables.movies.to_metadata(Base.metadata)
    table = tables.model_predictions.to_metadata(Base.metadata)
    table.c.tmdb_id.append_foreign_key(ForeignKey(films.c.tmdb_id))

    class Movie(Base):
        __table__ = films

    class Prediction(Base):
        __table__ = table
        movie = relationship(Movie)

    engine = create_engine(os.environ["DATABASE_URL"], pool_size=8)
    app = Flask(__name__)

    @app.get("/api/predictions")
    def predictions() -> Any:
        newest = select(func.max(table.c.predicted_at)).scalar_subquery()
        statement = (
            select(Prediction)
            .options(joinedload(Prediction.movie))
            .where(table.c.predicted_at == newest)
            .order_by(table.c.predicted_popularity.desc())
            .limit(int(request.args.get("limit", 20)))
            .offset(int(request.args.get("offset", 0)))
        )
        with Session(engine) as session:
            found = session.scalars(statement).all()
            rows = [
                {column.name: getattr(row, column.name) for column in table.columns}
                | {"title": row.movie.title, "release_date": row.movie.release_date, "genres": row.movie.genres}
                for row in found
            ]
        return jsonify(predictions=rows)

    return app


def _serve_reference() -> None:
    from werkzeug.serving import WSGIRequestHandler, make_server

    WSGIRequestHandler.protocol_version = "HTTP/1.1"  # connections stay open, as the other side's do
    make_server("127.0.0.1", int(os.environ["REFERENCE_PORT"]), reference(), threaded=True).serve_forever()


def _wait_for(port: int) -> None:
    for _ in range(100):
        try:
            with urlopen(f"http://127.0.0.1:{port}/api/predictions", timeout=5):
                return
        except OSError:
            time.sleep(0.2)
    raise SystemExit(f"nothing answers on port {port}")


def _require_the_same_answer(ports: dict[str, int]) -> None:
    answers = []
    for port in ports.values():
        with urlopen(f"http://127.0.0.1:{port}/api/predictions") as response:
            rows = json.load(response)["predictions"]
        answers.append([{field: row[field] for field in FIELDS} for row in rows])
    if len(answers[0]) != 20 or answers[0] != answers[1]:
        raise SystemExit("the contenders do not return the same 20 predictions")


# -- the load ----------------------------------------------------------------------------------------------------------


def _measure(options: argparse.Namespace, ports: dict[str, int]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for scene in (SAME, OWN):
        turns: dict[str, list[tuple[float, float, float]]] = {contender: [] for contender in CONTENDERS}
        for _ in range(options.rounds):
            for contender in CONTENDERS:
                turns[contender].append(asyncio.run(_turn(ports[contender], scene, options)))
        for contender in CONTENDERS:
            rates, p50s, p99s = zip(*turns[contender], strict=True)
            result[f"{scene}: {contender}, requests per second"] = statistics.median(rates)
            result[f"{scene}: {contender}, p50 ms"] = statistics.median(p50s)
            result[f"{scene}: {contender}, p99 ms"] = statistics.median(p99s)
        rate, p99 = "requests per second", "p99 ms"
        result[f"{scene}: times the requests"] = (
            result[f"{scene}: pipeline, {rate}"] / result[f"{scene}: reference, {rate}"]
        )
        result[f"{scene}: share of the p99"] = (
            result[f"{scene}: pipeline, {p99}"] / result[f"{scene}: reference, {p99}"]
        )
    return result


async def _turn(port: int, scene: str, options: argparse.Namespace) -> tuple[float, float, float]:
    """Requests per second, median and 99th percentile of latency in ms; any answer but 200 ends the benchmark."""
    latencies: list[float] = []
    started = time.perf_counter()
    until = started + options.seconds
    await asyncio.gather(
        *(_ask(port, scene, options.films, until, latencies, seed) for seed in range(options.connections))
    )
    took = time.perf_counter() - started
    cuts = statistics.quantiles(latencies, n=100)
    return len(latencies) / took, cuts[49] * 1000, cuts[98] * 1000


async def _ask(port: int, scene: str, films: int, until: float, latencies: list[float], seed: int) -> None:
    chance = random.Random(f"{seed} {until}")
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    while time.perf_counter() < until:
        query = "" if scene == SAME else f"?offset={chance.randrange(films - 20)}"
        asked = time.perf_counter()
        writer.write(f"GET /api/predictions{query} HTTP/1.1\r\nHost: bench\r\n\r\n".encode())
        head = await reader.readuntil(b"\r\n\r\n")
        status, _, rest = head.partition(b"\r\n")
        if b" 200 " not in status:
            raise SystemExit(f"port {port} answered {status.decode()}")
        length = next(line for line in rest.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        await reader.readexactly(int(length.split(b":")[1]))
        latencies.append(time.perf_counter() - asked)
    writer.close()


if __name__ == "__main__":
    if "REFERENCE_PORT" in os.environ:
        _serve_reference()
    else:
        main()
