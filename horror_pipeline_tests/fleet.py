"""Several hosts on one machine: a HORROR_HOME each, one Postgres and one broker for all of them."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil
from sqlalchemy import URL

from horror_pipeline.runtime.ports import free_port

HORROR = "import sys; from horror_pipeline.cli import main; sys.exit(main())"
DONE = {"SUCCESS", "FAILURE", "CANCELED"}

LAUNCH = """mutation($p: ExecutionParams!) { launchRun(executionParams: $p) {
  __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }"""
RUNS = """{ runsOrError(limit: 1000) { ... on Runs { results {
  runId jobName status creationTime startTime endTime tags { key value } } } } }"""
LOG = """query($id: ID!) { logsForRun(runId: $id) { ... on EventConnection { events {
  ... on MessageEvent { message timestamp } } } } }"""


class Fleet:
    """A control host that serves Dagster, any number of workers, and Redis between them.

    Args:
        folder: where every host gets its home.
        url: the warehouse of all hosts.
        settings: further variables of all hosts.
    """

    def __init__(self, folder: Path, url: URL, settings: Mapping[str, str]) -> None:
        self.folder, self.ui_port, self.broker_port = folder, free_port(), free_port()
        address = url.set(drivername="postgresql")
        self.variables = {
            **{name: value for name, value in os.environ.items() if name in ("PATH", "PYTHONPATH", "HOME", "LANG")},
            "DATABASE_URL": address.render_as_string(hide_password=False),
            "DAGSTER_DATABASE_URL": address.set(database=f"{url.database}_dagster").render_as_string(False),
            "HORROR_RUN_LAUNCHER": "celery",
            "CELERY_BROKER_URL": f"redis://127.0.0.1:{self.broker_port}/0",
            "HORROR_SCHEDULES": "off",
            "HORROR_UI_PORT": str(self.ui_port),
            "HORROR_WEB_PORT": str(free_port()),
            **settings,
        }
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Fleet:
        return self

    def __exit__(self, *_: object) -> None:
        for name in list(self.processes):
            self.kill(name)

    def start_broker(self) -> None:
        """Start Redis, which keeps nothing over a restart."""
        options = ["--port", str(self.broker_port), "--bind", "127.0.0.1", "--save", "", "--dir", str(self.folder)]
        self._start("broker", [str(shutil.which("redis-server")), *options])

    def start(self, host: str, *arguments: str) -> None:
        """Start a `horror` command on a host."""
        self._start(host, [sys.executable, "-c", HORROR, *arguments])

    def _start(self, name: str, command: list[str]) -> None:
        with (self.folder / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(  # noqa: S603
                command,
                env=self.variables | {"HORROR_HOME": str(self.folder / name)},
                stdout=log,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )

    def kill(self, name: str) -> None:
        """End a host as a loss of power does: every process of it at once."""
        process = self.processes.pop(name)
        try:
            found = psutil.Process(process.pid)
            victims = [found, *found.children(recursive=True)]
        except psutil.NoSuchProcess:
            victims = []
        for victim in victims:
            try:
                victim.send_signal(signal.SIGKILL)
            except psutil.NoSuchProcess:
                continue
        process.wait()

    def log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text(errors="replace")

    def ask(self, query: str, **variables: Any) -> Any:
        """Ask Dagster's UI."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.ui_port}/graphql",
            json.dumps({"query": query, "variables": variables}).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=60) as response:  # noqa: S310
            answer = json.load(response)
        assert "errors" not in answer, answer
        return answer["data"]

    def launch(self, job: str, first: str | None = None, last: str | None = None) -> str:
        """Queue a run of a job over a range of partitions."""
        ends = {"dagster/asset_partition_range_start": first, "dagster/asset_partition_range_end": last or first}
        selector = {
            "repositoryLocationName": "horror_pipeline.definitions",
            "repositoryName": "__repository__",
            "jobName": job,
        }
        tags = [{"key": key, "value": value} for key, value in ends.items() if value]
        parameters = {"selector": selector, "runConfigData": {}, "executionMetadata": {"tags": tags}}
        return str(self.ask(LAUNCH, p=parameters)["launchRun"]["run"]["runId"])

    def runs(self) -> list[dict[str, Any]]:
        """Return all runs, the newest first, their tags as a dictionary."""
        found = self.ask(RUNS)["runsOrError"]["results"]
        return [run | {"tags": {tag["key"]: tag["value"] for tag in run["tags"]}} for run in found]

    def run_log(self, run_id: str) -> list[str]:
        """Return the messages of a run's own log."""
        events = self.ask(LOG, id=run_id)["logsForRun"]["events"]
        return [event["message"] for event in events if event]

    def wait(self, condition: Any, seconds: float, what: str) -> None:
        """Wait until something holds.

        Raises:
            AssertionError: it did not in time; the message ends with the hosts' logs.
        """
        deadline = time.monotonic() + seconds
        while not condition():
            logs = "".join(f"\n--- {name}\n{self.log(name)[-3000:]}" for name in self.processes)
            assert time.monotonic() < deadline, f"{what} took more than {seconds:.0f} s{logs}"
            time.sleep(0.2)

    def is_over(self) -> bool:
        """Whether no run is queued, under way, or about to be retried."""
        runs = self.runs()
        retried = {run["tags"].get("dagster/parent_run_id") for run in runs}
        return all(
            run["status"] in DONE
            and (
                run["status"] != "FAILURE"
                or run["tags"].get("dagster/will_retry") == "false"
                or run["runId"] in retried
            )
            for run in runs
        )
