"""What an hourly run costs beyond its work: launched by the daemon as shipped, by Celery, and with Dagster's defaults.

Run `python benchmarks/overhead.py`; `--help` lists the options. All run `train_and_predict` on the same invented films
in the same embedded Postgres, each with a code server and a daemon of its own, in turn. Shipped: one process per run,
the queue polled every second. Celery, where `redis-server` is installed: the same with one worker. Defaults: a process
per step, the queue polled every five. A run is timed from being queued to its end. The work is what its steps take in
one process, where each library is imported once; the same figure is taken off shipped and defaults, and Celery's own
off Celery. Prints a table, and JSON as the last line.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from horror_pipeline.runtime.environment import Environment

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
JOB = "train_and_predict"
BROKER = "CELERY_BROKER_URL"

DEFAULTS_YAML = """
storage: {postgres: {postgres_url: {env: DAGSTER_PG_URL}}}
telemetry: {enabled: false}
"""

DEFAULTS_MODULE = '''
"""The same code location with Dagster's default executor."""
import dagster as dg

from horror_pipeline import definitions


@dg.definitions
def defs() -> dg.Definitions:
    ours = definitions.defs()
    return dg.Definitions(
        assets=ours.assets,
        asset_checks=ours.asset_checks,
        jobs=ours.jobs,
        resources=ours.resources,
        executor=dg.multiprocess_executor,
    )
'''


def main() -> None:
    """Measure both, report."""
    options = _options()
    # Dagster's processes treat SIGTERM as they treat SIGINT, which a shell's background job inherits as ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with tempfile.TemporaryDirectory(prefix="horror-bench-") as folder:
        scratch = Path(folder)
        os.environ |= {
            "HORROR_HOME": str(scratch / "home"),
            "HORROR_FIRST_YEAR": str(options.first_year),
            "HORROR_SCHEDULES": "off",
            "TMDB_API_KEY": "",
            "DATABASE_URL": "",
            "PYTHONWARNINGS": "ignore",
        }
        result = _measure(scratch, options.repeats)
    for name, value in result.items():
        print(f"{name:<44}{value:>14,.3f}" if isinstance(value, float) else f"{name:<44}{value:>14,}")
    print(json.dumps(result))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3, help="runs of each kind; the median counts")
    parser.add_argument("--first-year", type=int, default=2018, help="first release year of the invented films")
    return parser.parse_args()


def _measure(scratch: Path, repeats: int) -> dict[str, float | int]:
    import dagster as dg

    from horror_pipeline.runtime.environment import prepared
    from horror_pipeline.settings import get_settings

    years = ["--from", os.environ["HORROR_FIRST_YEAR"], "--to", str(dt.datetime.now(dt.UTC).year + 1)]
    subprocess.run([BIN / "horror", "backfill", "catalogue", *years], check=True, stdout=subprocess.DEVNULL)
    result: dict[str, float | int] = {}
    with prepared(get_settings()) as environment:
        kinds = _kinds(environment, scratch)
        found: dict[str, list[dict[str, float]]] = defaultdict(list)
        with ExitStack() as stack:
            served = {}
            for kind, (module, changed) in kinds.items():
                variables = (
                    environment.variables() | changed | {"PYTHONPATH": f"{scratch / 'defaults'}{os.pathsep}{ROOT}"}
                )
                folder = scratch / f"of {kind}"
                folder.mkdir()
                stack.enter_context(_serving(folder, module, variables))
                served[kind] = folder, variables
            for what, repeat, kind in product(("training", "idle"), range(repeats + 1), kinds):
                os.environ |= served[kind][1]
                with dg.DagsterInstance.get() as instance:
                    run = _run(instance, *served[kind], has_news=what == "training")
                if repeat:  # the first of each is not counted
                    found[f"{kind}_{what}"].append(run)
    for name, runs in found.items():
        result |= {f"{name}_{what}_seconds": statistics.median(run[what] for run in runs) for what in ("wall", "steps")}
    for what in ("training", "idle"):
        work = result[f"shipped_{what}_steps_seconds"]
        beyond = {kind: result[f"{kind}_{what}_wall_seconds"] - work for kind in kinds}
        if "celery" in kinds:  # its worker has imported the libraries before, so its own steps are its work
            beyond["celery"] = result[f"celery_{what}_wall_seconds"] - result[f"celery_{what}_steps_seconds"]
        result |= {f"{kind}_{what}_beyond_seconds": seconds for kind, seconds in beyond.items()}
        result[f"{what}_beyond_ratio"] = beyond["shipped"] / beyond["defaults"]
        if "celery" in kinds:
            result[f"celery_{what}_beyond_ratio"] = beyond["celery"] / beyond["shipped"]
    return result | {"repeats": repeats}


def _kinds(environment: Environment, scratch: Path) -> dict[str, tuple[str, dict[str, str]]]:
    """Prepare each kind's Dagster; return its module and the variables that differ from the environment's."""
    _sql(environment.variables(), "CREATE DATABASE defaults")
    defaults = scratch / "defaults"
    defaults.mkdir()
    (defaults / "dagster.yaml").write_text(DEFAULTS_YAML)
    (defaults / "with_defaults.py").write_text(DEFAULTS_MODULE)
    url = environment.dagster_url.set(database="defaults").render_as_string(hide_password=False)
    ours = "horror_pipeline.definitions"
    kinds: dict[str, tuple[str, dict[str, str]]] = {
        "shipped": (ours, {}),
        "defaults": ("with_defaults", {"DAGSTER_HOME": str(defaults), "DAGSTER_PG_URL": url}),
    }
    if shutil.which("redis-server"):
        broker = f"redis://127.0.0.1:{_free_port()}/0"
        home = scratch / "celery"
        home.mkdir()
        shutil.copy(ROOT / "dagster.yaml", home)
        _sql(environment.variables(), "CREATE DATABASE celery")
        url = environment.dagster_url.set(database="celery").render_as_string(hide_password=False)
        changed = {
            "HORROR_RUN_LAUNCHER": "celery",
            BROKER: broker,
            "DAGSTER_HOME": str(home),
            "DAGSTER_PG_URL": url,
        }
        kinds["celery"] = ours, changed
    return kinds


def _run(instance: object, scratch: Path, variables: dict[str, str], has_news: bool) -> dict[str, float]:
    """Queue one run, let the daemon launch it, and read what it took from its events."""
    import dagster as dg

    assert isinstance(instance, dg.DagsterInstance)  # noqa: S101 - for the type checker
    if has_news:
        _sql(variables, "UPDATE movies SET observed_at = now()")
    workspace = str(scratch / "workspace.yaml")
    launch: list[str | Path] = [BIN / "dagster", "job", "launch", "-w", workspace, "-j", JOB]
    subprocess.run(launch, check=True, capture_output=True)
    (run,) = instance.get_runs(limit=1)
    deadline = time.monotonic() + 600
    while not (found := instance.get_run_by_id(run.run_id)) or not found.is_finished:
        if time.monotonic() > deadline:
            raise SystemExit(f"run {run.run_id} does not end")
        time.sleep(0.5)
    if not found.is_success:
        raise SystemExit(f"run {run.run_id} failed")
    kind = dg.DagsterEventType
    at: dict[dg.DagsterEventType, float] = {}
    steps = 0.0
    for record in instance.get_records_for_run(run.run_id).records:
        entry = record.event_log_entry
        if (event := entry.dagster_event) is not None:
            at[event.event_type] = entry.timestamp
            if event.event_type is kind.STEP_SUCCESS:
                steps += event.step_success_data.duration_ms / 1000
    wall = at[kind.RUN_SUCCESS] - at[kind.RUN_ENQUEUED]
    return {"wall": wall, "steps": steps}


@contextmanager
def _serving(scratch: Path, module: str, variables: dict[str, str]) -> Iterator[None]:
    """A code server and a daemon, and where Celery launches a broker and a worker, ready."""
    port = _free_port()
    workspace = scratch / "workspace.yaml"
    workspace.write_text(f"load_from: [{{grpc_server: {{host: 127.0.0.1, port: {port}, location_name: {module}}}}}]\n")
    commands: list[list[str | Path]] = [
        [BIN / "dagster", "api", "grpc", "-h", "127.0.0.1", "-p", str(port), "-m", module],
        [BIN / "dagster-daemon", "run", "-w", workspace],
    ]
    if BROKER in variables:
        broker = variables[BROKER].partition("://")[2].removesuffix("/0").partition(":")
        commands.append(["redis-server", "--bind", broker[0], "--port", broker[2], "--save", "", "--dir", scratch])
        celery = [sys.executable, "-m", "celery", "--app", "horror_pipeline.runtime.celery", "worker"]
        commands.append([*celery, "--concurrency", "1", "--without-gossip", "--without-mingle"])  # as `horror worker`
    with (scratch / "log").open("ab") as log:
        started = []
        try:
            for command in commands:
                started.append(
                    subprocess.Popen(command, env=os.environ | variables, cwd=scratch, stdout=log, stderr=log)
                )
                deadline = time.monotonic() + 60
                while command is commands[0] and socket.socket().connect_ex(("127.0.0.1", port)):
                    if time.monotonic() > deadline:
                        raise SystemExit((scratch / "log").read_text()[-2000:])
                    time.sleep(0.2)
            time.sleep(10)  # the daemon's first round
            yield
        finally:
            for process in started:
                process.terminate()
            for process in started:
                process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _sql(variables: dict[str, str], statement: str) -> None:
    import sqlalchemy

    engine = sqlalchemy.create_engine(variables["DATABASE_URL"], isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(sqlalchemy.text(statement))
    engine.dispose()


if __name__ == "__main__":
    main()
