"""Kill parts of a fleet while it works, again and again: every run must end by itself, with the tables of a calm one.

Run `python benchmarks/kills.py`; `--help` lists the options. A control host (`horror up`), two workers and Redis share
one Postgres, each with a home of its own. In each try an ingest, or a training on its films, is hit by one `kill -9`
at a random moment: of every process of the worker that executes it, of Redis, of Dagster's daemon or of its code
server. The try counts if the run or its retry has succeeded within two minutes of the kill and the time that the run
takes undisturbed, if no two processes held locks of runs at once, and if every table is equal to that of an undisturbed
run. Prints a line for each try, and JSON as the last line; exit code 1 if one did not count. Needs `redis-server`.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import random
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import psutil
from soak import SETTINGS, Tables, difference, rows_of, tables_of

JOBS = ("ingest_catalogue", "train_and_predict")
WORKERS = ("first", "second")
PROCESSES = {"daemon": str(Path(sys.executable).parent / "dagster-daemon"), "code server": "grpc"}
PATIENCE_SECONDS = 120.0
NEVER_EMPTIED = ("schema_version", "data_source")
HELD = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted AND classid = {key}"


def main() -> int:
    """Try as often as asked, report."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--tries", type=int, default=10, help="of each victim (10)")
    parser.add_argument("--victims", nargs="+", default=["worker", "redis", *PROCESSES])
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    figures: dict[str, list[float]] = defaultdict(list)
    failed = 0
    with tempfile.TemporaryDirectory(prefix="horror-kills-") as folder, _trial(Path(folder)) as trial:
        calm = trial.calm()
        print(", ".join(f"{job} {seconds:.1f} s undisturbed" for job, (seconds, _) in calm.items()), flush=True)
        for victim in options.victims:
            for number in range(options.tries):
                draw, job = random.Random(f"{options.seed} {victim} {number}"), JOBS[number % len(JOBS)]
                share = (number + draw.random()) / options.tries  # early and late moments alike
                told, ended, problem = trial.disturbed(victim, job, share, *calm[job])
                print(f"{victim}, {told}{f': {problem}' if problem else ''}", flush=True)
                figures[victim].append(ended)  # negative where the run ended before the kill
                failed += problem is not None
    summary = {
        name: {"hits": sum(1 for ended in found if ended > 0), "slowest_seconds": round(max(found), 1)}
        for name, found in figures.items()
    }
    print(json.dumps({**summary, "failed": failed}))
    return int(failed > 0)


@contextmanager
def _trial(folder: Path) -> Iterator[Trial]:
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
    from horror_pipeline.demo.process import spawn
    from horror_pipeline.runtime import postgres
    from horror_pipeline_tests.fleet import Fleet

    today = dt.datetime.now(dt.UTC).date()
    with postgres.session(folder / "postgres") as server, spawn(today=today, scale=0.1) as demo:
        rows_of(server, "CREATE DATABASE films")  # of the embedded database every other home would say whose it is
        url = server.set(database="films")
        addresses = {"TMDB_API_URL": demo.api_url, "TMDB_EXPORTS_URL": demo.exports_url}
        with Fleet(folder, url, SETTINGS | addresses | {"TMDB_REQUESTS_PER_SECOND": "30"}) as fleet:
            fleet.start_broker()
            fleet.start("control", "up")
            trial = Trial(fleet, url, f"{SETTINGS['HORROR_FIRST_YEAR']}-{today.year + 1}")
            for host in WORKERS:
                trial.start_worker(host)
            fleet.wait(lambda: "logs in" in fleet.log("control"), 120, "the start")
            yield trial


class Trial:
    """Runs of a fleet, and what becomes of them.

    Args:
        fleet: the hosts.
        url: the warehouse.
        years: first and last release year of an ingest.
    """

    def __init__(self, fleet: Any, url: Any, years: str) -> None:
        self.fleet, self.url, self.years = fleet, url, years
        self.read: dict[str, int] = {}
        self.deaths: dict[str, list[float]] = defaultdict(list)
        self.most_held = 0

    def start_worker(self, host: str) -> None:
        """Start a host, and remember where its log begins."""
        self.fleet.start(host, "worker", "--runs", "1", "--wait", "60")
        self.read[host] = len(self.fleet.log(host))

    def calm(self) -> dict[str, tuple[float, Tables]]:
        """Run each job undisturbed; return how long it takes, and the tables after it."""
        found = {}
        for job in JOBS:
            began = time.time()
            self._launch(job)
            self.fleet.wait(self.fleet.is_over, 300, job)
            found[job] = time.time() - began, tables_of(self.url)
        return found

    def disturbed(
        self, victim: str, job: str, share: float, seconds: float, wanted: Tables
    ) -> tuple[str, float, str | None]:
        """Run a job, kill a part of the fleet after a share of its time.

        Returns:
            What was done; seconds from the kill to the end; what is wrong.
        """
        self._keep_below_restart_limit(victim)
        self._empty(job)
        before = {run["runId"] for run in self.fleet.runs()}
        with self._watched():
            self._launch(job)
            moment = share * seconds
            time.sleep(moment)
            killed = time.time()
            hit = self._kill(victim)
            self.deaths[victim].append(killed)
            self.fleet.wait(self.fleet.is_over, 600, f"{victim}, {job}")
        runs = [run for run in self.fleet.runs() if run["runId"] not in before]
        ended = runs[0]["endTime"] - killed
        states = ", ".join(f"{run['status'].lower()} {run['endTime'] - killed:.0f} s after it" for run in runs[::-1])
        for host in set(WORKERS) - set(self.fleet.processes):
            self.start_worker(host)
        return f"{job}, {hit} at {moment:.1f} s: {states}", ended, self._problem(runs, ended, seconds, wanted)

    def _keep_below_restart_limit(self, victim: str) -> None:
        """Wait while one more death would be more than `horror up` restarts within a minute."""
        from horror_pipeline.runtime.processes import MOST_RESTARTS, RESTART_WINDOW_SECONDS

        deaths = self.deaths[victim]
        if len(deaths) >= MOST_RESTARTS:
            time.sleep(max(0.0, deaths[-MOST_RESTARTS] + RESTART_WINDOW_SECONDS - time.time()))

    def _problem(self, runs: list[dict[str, Any]], ended: float, seconds: float, wanted: Tables) -> str | None:
        if runs[0]["status"] != "SUCCESS":
            return "the last run failed"
        if ended > PATIENCE_SECONDS + seconds:
            return f"ended later than {PATIENCE_SECONDS + seconds:.0f} s"
        if self.most_held > 1:
            return f"{self.most_held} processes executed a run at once"
        return difference(wanted, tables_of(self.url))

    def _launch(self, job: str) -> None:
        years = self.years.split("-") if job == JOBS[0] else []

        def is_launched() -> bool:
            with suppress(HTTPError, KeyError):  # the UI has not yet found the code server that was started again
                self.fleet.launch(job, *years)
                return True
            return False

        self.fleet.wait(is_launched, 60, "the launch")

    def _empty(self, job: str) -> None:
        """Forget the films before an ingest, and what was learned before a training."""
        from horror_pipeline.warehouse.tables import TABLES

        learned = ("movie_features", "model", "training_state", "rating_class", "movie_clusters", "similar", "predic")
        names = [name for name in TABLES if name not in NEVER_EMPTIED]
        names = names if job == JOBS[0] else [name for name in names if name.startswith(learned)]
        rows_of(self.url, f"TRUNCATE {', '.join(names)}")

    def _kill(self, victim: str) -> str:
        """Kill what the name says; return what exactly it was."""
        if victim == "worker":
            host = next((host for host in WORKERS if self._is_busy(host)), None)
            self.fleet.kill(host or WORKERS[0])
            return f"the worker at work ({host})" if host else "an idle worker"
        if victim == "redis":
            self.fleet.kill("broker")
            time.sleep(5)
            self.fleet.start_broker()
            return "redis, away for 5 s"
        children = psutil.Process(self.fleet.processes["control"].pid).children()
        next(child for child in children if PROCESSES[victim] in child.cmdline()).kill()
        return victim

    def _is_busy(self, host: str) -> bool:
        log = self.fleet.log(host)[self.read[host] :]
        return bool(log.count("received") > log.count("succeeded"))

    @contextmanager
    def _watched(self) -> Iterator[None]:
        """Count how many processes hold the lock of a run, again and again."""
        from horror_pipeline.warehouse.locks import RUN_LOCK

        self.most_held, is_over = 0, threading.Event()

        def watch() -> None:
            while not is_over.wait(0.1):
                ((held,),) = rows_of(self.url, HELD.format(key=RUN_LOCK))
                self.most_held = max(self.most_held, held)

        watching = threading.Thread(target=watch)
        watching.start()
        try:
            yield
        finally:
            is_over.set()
            watching.join()


if __name__ == "__main__":
    sys.exit(main())
