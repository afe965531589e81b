"""Runs under random faults, again and again: after each, one undisturbed run must make every table right.

Run `make soak N=200`, or `python benchmarks/soak.py`; `--help` lists the options. A round draws a day of the clock,
shares of faults of TMDB, and one to three runs of `horror run`, most of which a random signal hits at a random moment.
Then one run without faults has to end with exit code 0, and every table must be equal to that of a home that only ever
saw this one run. Each run is `horror run` itself, in a forked process so that imports are paid once. Prints JSON as the
last line. A difference is printed with the seed that repeats its round, and ends the soak with exit code 1.
"""

from __future__ import annotations

import argparse
import datetime as dt
import http.client
import json
import os
import random
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from faulty_tmdb import FAULTS, serving

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGKILL)
LONGEST_RUN_SECONDS = 900.0
SETTINGS = {"HORROR_FIRST_YEAR": "2020", "HORROR_SCHEDULES": "off", "COLUMNS": "200"}
DAYS = ("2026-04-20", "2026-06-30", "2026-09-01", "2026-10-31")

DATABASES = ("horror", "dagster")

NOT_COMPARED = {"request_counts", "training_state", "data_source", "finished_runs", "schema_version"}
"""Tables that state how often something was done, or where from."""

PRESENT = {
    "model_predictions": "predicted_at = (SELECT max(predicted_at) FROM model_predictions)",
    "model_versions": "is_champion",
    "popularity_forecasts": "is_backtest OR made_on = (SELECT max(made_on) FROM popularity_forecasts)",
    "forecast_scores": "is_backtest",
    "forecast_group_scores": "is_backtest",
    "forecast_calls": "is_backtest",
}
"""Of tables that also say what was predicted before, and by which models, the rows that are compared. A run that lacked
the newest day forecast from the day before, and what was forecast at the time is kept."""

Tables = dict[str, Counter[str]]


def main() -> int:
    """Run the rounds and report."""
    options = _options()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    for name in [name for name in os.environ if name.startswith(("HORROR_", "TMDB_", "DATABASE_", "DAGSTER_"))]:
        del os.environ[name]
    os.environ |= SETTINGS
    warnings.simplefilter("ignore")  # Dagster's, about parameters in beta
    figures: Counter[str] = Counter()
    started = time.monotonic()
    with ExitStack() as stack, suppress(KeyboardInterrupt):  # what was done is reported
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="horror-soak-"))
        soak = stack.enter_context(_soak(Path(folder), options))
        for seed in range(options.seed, options.seed + options.rounds):
            if time.monotonic() - started > options.minutes * 60:
                break
            told, problem = soak.round(random.Random(seed), figures)
            print(f"seed {seed}: {told}", flush=True)
            if problem:
                print(f"{problem}\nagain: python benchmarks/soak.py --rounds 1 --seed {seed}")
                return 1
            figures["rounds"] += 1
    counts = dict(sorted(figures.items()))
    print(json.dumps({"first_seed": options.seed, "seconds": round(time.monotonic() - started)} | counts))
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--minutes", type=float, default=120, help="no round begins after so long (120)")
    parser.add_argument("--seed", type=int, default=1, help="of the first round; each further round adds one")
    parser.add_argument("--days", nargs="+", default=DAYS, help=f"what the clock may show ({', '.join(DAYS)})")
    parser.add_argument(
        "--history", type=int, default=5, help="days of history (5); 90 makes forecasts, and takes long"
    )
    parser.add_argument("--scale", type=float, default=0.1, help="share of the demo's films (0.1)")
    parser.add_argument("--tmdb", nargs=2, metavar=("API_URL", "EXPORTS_URL"), help="not the demo; one of --days")
    return parser.parse_args()


@contextmanager
def _soak(folder: Path, options: argparse.Namespace) -> Iterator[Soak]:
    """Start Postgres, with both databases ready to be copied."""
    from horror_pipeline.runtime import postgres

    os.environ["HORROR_HOME"] = str(folder)
    with postgres.session(folder) as url, ExitStack() as stack:
        server = stack.enter_context(serving())
        os.environ |= {"TMDB_API_URL": f"http://{server}/3", "TMDB_EXPORTS_URL": f"http://{server}/p/exports"}
        soak = Soak(folder, url, server, options, stack)
        soak.administer(
            *(f"ALTER SYSTEM SET {name} = off" for name in ("fsync", "synchronous_commit", "full_page_writes")),
            "SELECT pg_reload_conf()",
        )
        _import_everything(options.history)
        if soak.end_of(_fork(soak.log, dt.datetime.fromisoformat(f"{options.days[0]}T12:00Z"), _prepare)):
            raise SystemExit(soak.log.read_text())
        soak.administer(*(f"ALTER DATABASE {name} RENAME TO template_{name}" for name in DATABASES))
        yield soak


@dataclass
class Soak:
    """Rounds against one Postgres, and one TMDB for each day."""

    folder: Path
    url: Any
    server: str
    options: argparse.Namespace
    stack: ExitStack
    undisturbed: dict[dt.date, tuple[Tables, float]] = field(default_factory=dict)
    tmdb: dict[dt.date, Any] = field(default_factory=dict)
    hour: int = 0

    @property
    def log(self) -> Path:
        """What the latest run said."""
        return self.folder / "log"

    def round(self, draw: random.Random, figures: Counter[str]) -> tuple[str, str | None]:
        """Disturb a new home, then run once undisturbed; return what was done, and what is wrong after it."""
        day = dt.date.fromisoformat(draw.choice(self.options.days))
        if day not in self.undisturbed:
            self._new_home(day)
            began = time.monotonic()
            if self._run(day):
                return f"{day}, not disturbed", self.log.read_text()[-6000:]
            self.undisturbed[day] = tables_of(self.url.set(database="horror")), time.monotonic() - began
        wanted, seconds = self.undisturbed[day]
        self._new_home(day)
        steps = [self._disturb(day, draw, seconds, figures) for _ in range(draw.randint(1, 3))]
        told = f"{day}: {'; '.join(steps)}"
        self._set_faults(day, {}, 0)
        if code := self._run(day):
            return told, f"the undisturbed run ended with {code}: {self.log.read_text()[-6000:]}"
        return told, difference(wanted, tables_of(self.url.set(database="horror")))

    def _disturb(self, day: dt.date, draw: random.Random, seconds: float, figures: Counter[str]) -> str:
        shares = {name: draw.uniform(0, 0.05) for name in FAULTS}
        if draw.random() < 0.15:
            shares["error"] = 0.95  # an outage
        self._set_faults(day, shares, draw.randrange(1 << 30))
        number = None if draw.random() < 0.2 else draw.choice(SIGNALS)
        moment = draw.uniform(0, seconds)
        pid = self._start(day)
        figures["disturbed_runs"] += 1
        code = None if number is None else self.wait(pid, moment)
        if code is None:
            if number is not None:
                os.kill(pid, number)
                figures[number.name] += 1
            code = self.end_of(pid)
        figures[f"exit_{code}"] += 1
        return f"{number.name if number else 'no signal'} at {moment:.1f} s, exit {code}"

    def _run(self, day: dt.date) -> int:
        return self.end_of(self._start(day))

    def _start(self, day: dt.date) -> int:
        """Start a run, an hour after the one before: the clock only goes forward."""
        self.hour += 1
        return _fork(self.log, dt.datetime.combine(day, dt.time(self.hour), dt.UTC), _horror_run)

    def end_of(self, pid: int) -> int:
        """Return the exit code of a process, which is given up if it does not end."""
        code = self.wait(pid, LONGEST_RUN_SECONDS)
        if code is None:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            raise SystemExit(f"a run did not end: {self.log.read_text()[-6000:]}")
        return code

    def wait(self, pid: int, seconds: float) -> int | None:
        """Wait for a process; return its exit code, or None if it is still there after so long."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            done, status = os.waitpid(pid, os.WNOHANG)
            if done:
                return os.waitstatus_to_exitcode(status)
            time.sleep(0.01)
        return None

    def administer(self, *statements: str) -> None:
        """Execute statements outside both databases."""
        for statement in statements:
            rows_of(self.url.set(database="postgres"), statement)

    def _new_home(self, day: dt.date) -> None:
        """Empty both databases, and ask that day's TMDB, whose export is out by noon."""
        self.hour = 11
        for name in DATABASES:
            self.administer(
                f"DROP DATABASE IF EXISTS {name} WITH (FORCE)", f"CREATE DATABASE {name} TEMPLATE template_{name}"
            )
        if day not in self.tmdb:
            self.tmdb[day] = self.options.tmdb or self.stack.enter_context(_demo(day, self.options.scale))
        self._set_faults(day, {}, 0)

    def _set_faults(self, day: dt.date, shares: dict[str, float], seed: int) -> None:
        api_url, exports_url = self.tmdb[day]
        wanted = {"api_url": api_url, "exports_url": exports_url, "shares": shares, "seed": seed}
        connection = http.client.HTTPConnection(self.server)
        connection.request("POST", "/", json.dumps(wanted))
        connection.getresponse().read()
        connection.close()


def tables_of(url: Any) -> Tables:
    """Return the rows of every table, without the moments at which they were made."""
    from horror_pipeline.warehouse.tables import TABLES

    tables = {}
    for name, table in TABLES.items():
        if name not in NOT_COMPARED:
            columns = [column.name for column in table.columns if not _is_incidental(column)]
            query = f"SELECT ({', '.join(columns)})::text FROM {name} WHERE {PRESENT.get(name, 'true')}"  # noqa: S608
            tables[name] = Counter(str(row[0]) for row in rows_of(url, query))
    return tables


def _is_incidental(column: Any) -> bool:
    """Whether it holds a moment, or how long something took, or a file that holds moments."""
    is_moment = getattr(column.type, "timezone", False) is True
    return is_moment or str(column) in ("model_versions.metrics", "model_versions.artifact")


def difference(wanted: Tables, found: Tables) -> str | None:
    """Say which rows are missing and which were added, by table; None where the tables are equal."""
    different = []
    for name, rows in wanted.items():
        missing, added = rows - found[name], found[name] - rows
        if missing or added:
            examples = [f"  - {row[:300]}" for row in list(missing)[:3]] + [
                f"  + {row[:300]}" for row in list(added)[:3]
            ]
            counts = f"{missing.total()} of {rows.total()} rows missing, {added.total()} added"
            different.append("\n".join([f"{name}: {counts}", *examples]))
    return "\n".join(different) or None


def rows_of(url: Any, statement: str) -> list[Any]:
    """Execute a statement in a session of its own, and return its rows."""
    import sqlalchemy

    engine = sqlalchemy.create_engine(url, isolation_level="AUTOCOMMIT", poolclass=sqlalchemy.NullPool)
    with engine.connect() as connection:
        result = connection.execute(sqlalchemy.text(statement))
        return list(result) if result.returns_rows else []


# -- processes ---------------------------------------------------------------------------------------------------------


@contextmanager
def _demo(day: dt.date, scale: float) -> Iterator[tuple[str, str]]:
    from horror_pipeline.demo.process import spawn

    with spawn(today=day, scale=scale) as demo:
        yield demo.api_url, demo.exports_url


def _import_everything(days_of_history: int) -> None:
    """Import what every run needs, load the graph, and make cheap what is not asked about."""
    import pandas  # noqa: F401
    import sklearn.ensemble  # noqa: F401
    import skops.io  # noqa: F401

    import horror_pipeline.cli.run  # noqa: F401
    from horror_pipeline.definitions import loaded_defs
    from horror_pipeline.modeling import candidates
    from horror_pipeline.modeling.forecasting import change_model
    from horror_pipeline.orchestration import liveness, missing
    from horror_pipeline.tmdb import client

    # How good models are is not asked here, and nobody waits out a pause of politeness.
    few = candidates.BoostingSize(leaves=4, trees=15, learning_rate=0.3)
    candidates.BOOSTING_SIZES = ((0, few), (0, few), (float("inf"), few))
    candidates.ADDITIVE = candidates.AFTER_RELEASE = few
    change_model.TREES = 10
    setattr(missing, "EXPORTS_REACH_DAYS", days_of_history)  # noqa: B010
    client.FIRST_BACKOFF_SECONDS, client.LONGEST_BACKOFF_SECONDS = 0.02, 0.2
    liveness.PATIENCE_SECONDS = 0.2
    loaded_defs()


def _fork(log: Path, moment: dt.datetime, work: Callable[[], None]) -> int:
    """Do the work in a process of its own, from a moment on."""
    sys.stdout.flush()
    pid = os.fork()
    if pid:
        return pid
    code = 70
    try:
        import time_machine

        from horror_pipeline.settings import get_settings

        with log.open("wb") as said:
            os.dup2(said.fileno(), 1)
            os.dup2(said.fileno(), 2)
        get_settings.cache_clear()
        with time_machine.travel(moment, tick=True):
            work()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        os._exit(code)


def _prepare() -> None:
    """Create the schema of both databases."""
    import dagster as dg

    from horror_pipeline.runtime.environment import prepared
    from horror_pipeline.settings import get_settings

    with prepared(get_settings()), dg.DagsterInstance.get() as instance:
        instance.get_run_records(limit=1)


def _horror_run() -> None:
    from horror_pipeline.cli import main as horror

    sys.argv = ["horror", "run"]
    horror()


if __name__ == "__main__":
    sys.exit(main())
