"""What the official chart's templates make of deploy/helm/values.yaml starts our image as it should.

The image's entry point and programs are run as processes. What the templates add (arguments, environment, the
instance's dagster.yaml) is written down here from the chart's own files.
"""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml
from sqlalchemy import URL

from horror_pipeline.runtime.databases import prepare_dagster_database
from horror_pipeline.runtime.ports import free_port
from horror_pipeline.settings import Settings

ROOT = Path(__file__).resolve().parent.parent
ENTRYPOINT = str(ROOT / "deploy" / "entrypoint.sh")
VALUES: dict[str, Any] = yaml.safe_load((ROOT / "deploy" / "helm" / "values.yaml").read_text(encoding="utf-8"))
(CODE,) = VALUES["dagster-user-deployments"]["deployments"]
OF_CODE = ("DATABASE_URL", "DAGSTER_DATABASE_URL", *(variable["name"] for variable in CODE["env"]))
KUBECONFIG = """{apiVersion: v1, kind: Config, current-context: a, users: [{name: a, user: {}}],
contexts: [{name: a, context: {cluster: a, user: a}}], clusters: [{name: a, cluster: {server: x}}]}"""
PROGRAMS = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"


def chart_instance(url: URL) -> dict[str, Any]:
    """What `configmap-instance.yaml` renders, with the test's own database."""
    database = {
        "username": url.username,
        "password": {"env": "DAGSTER_PG_PASSWORD"},
        "hostname": "localhost",
        "db_name": url.database,
        "port": 5432,
        "params": {"host": url.query["host"], "port": url.query["port"]},  # the test's server has no TCP port
        "scheme": VALUES["postgresql"]["postgresqlScheme"],
    }
    daemon, launcher = VALUES["dagsterDaemon"], VALUES["runLauncher"]["config"]["k8sRunLauncher"]
    monitoring = daemon["runMonitoring"]
    assert not daemon["runCoordinator"]["enabled"]
    storages = {"run": "PostgresRunStorage", "event_log": "PostgresEventLogStorage"}
    return {
        **{
            f"{name}_storage": {
                "module": f"dagster_postgres.{'event_log' if name == 'event_log' else f'{name}_storage'}",
                "class": class_name,
                "config": {"postgres_db": database},
            }
            for name, class_name in (storages | {"schedule": "PostgresScheduleStorage"}).items()
        },
        "run_launcher": {
            "module": "dagster_k8s",
            "class": "K8sRunLauncher",
            "config": {
                "load_incluster_config": False,  # there is no cluster here
                "job_namespace": "films",
                "image_pull_policy": launcher["imagePullPolicy"],
                "service_account_name": "dagster",
                "dagster_home": "/opt/dagster/dagster_home",
                "instance_config_map": "dagster-instance",
                "postgres_password_secret": VALUES["global"]["postgresqlSecretName"],
                "run_k8s_config": {"job_spec_config": launcher["runK8sConfig"]["jobSpecConfig"]},
            },
        },
        "compute_logs": {"module": "dagster.core.storage.noop_compute_log_manager", "class": "NoOpComputeLogManager"},
        "run_monitoring": {
            "enabled": monitoring["enabled"],
            "start_timeout_seconds": monitoring["startTimeoutSeconds"],
            "cancel_timeout_seconds": monitoring["cancelTimeoutSeconds"],
            "max_resume_run_attempts": monitoring["maxResumeRunAttempts"],
            "poll_interval_seconds": monitoring["pollIntervalSeconds"],
            "free_slots_after_run_end_seconds": monitoring["freeSlotsAfterRunEndSeconds"],
        },
        "run_retries": {"enabled": daemon["runRetries"]["enabled"]},
        "telemetry": VALUES["telemetry"],
        **VALUES["additionalInstanceConfig"],
    }


@pytest.fixture
def pod(tmp_path: Path, database_url: URL) -> dict[str, str]:
    """The environment of a pod that has the secrets and the instance's dagster.yaml."""
    dagster_url = database_url.set(database=f"{database_url.database}_dagster")
    prepare_dagster_database(dagster_url, str(database_url.database))
    home = tmp_path / "dagster_home"
    home.mkdir()
    (home / "dagster.yaml").write_text(yaml.safe_dump(chart_instance(dagster_url)))
    (tmp_path / ".kube").mkdir()
    (tmp_path / ".kube" / "config").write_text(KUBECONFIG)
    return {
        "PATH": PROGRAMS,
        "PYTHONPATH": str(ROOT),
        "HOME": str(tmp_path),
        "DAGSTER_HOME": str(home),
        "HORROR_HOME": str(tmp_path / "horror"),
        "DAGSTER_PG_PASSWORD": "none",
        # Only pods of the code server, and of runs, have the rest.
        "DATABASE_URL": database_url.set(drivername="postgresql").render_as_string(hide_password=False),
        "DAGSTER_DATABASE_URL": dagster_url.set(drivername="postgresql").render_as_string(hide_password=False),
        **{variable["name"]: variable["value"] for variable in CODE["env"]},
    }


def start(name: str, command: list[str], environment: dict[str, str], folder: Path) -> subprocess.Popen[str]:
    with (folder / f"{name}.log").open("w") as log:
        return subprocess.Popen(  # noqa: S603
            command, env=environment, cwd=folder, stdout=log, stderr=subprocess.STDOUT, text=True
        )


def wait(processes: dict[str, subprocess.Popen[str]], is_ready: Callable[[], bool], folder: Path) -> None:
    """Wait until something holds; the processes' logs say why it does not."""
    deadline = time.monotonic() + 120
    while not is_ready():
        logs = "\n".join((folder / f"{name}.log").read_text()[-3_000:] for name in processes)
        assert time.monotonic() < deadline and all(process.poll() is None for process in processes.values()), logs
        time.sleep(0.5)


def is_listening(port: int) -> bool:
    """Whether a probe is worth its seconds of start-up."""
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def succeeds(command: list[str], environment: dict[str, str]) -> bool:
    return not subprocess.run(command, env=environment, capture_output=True).returncode  # noqa: S603


SERVED = """{ workspaceOrError { ... on Workspace { locationEntries { locationOrLoadError { __typename } } } }
  instance { daemonHealth { allDaemonStatuses { daemonType required healthy } } } }"""


def is_served(port: int) -> bool:
    """Whether the UI has the code location, and every daemon that the instance needs is alive."""
    body = json.dumps({"query": SERVED}).encode()
    request = urllib.request.Request(f"http://127.0.0.1:{port}/graphql", body, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=20) as response:  # noqa: S310
            told = json.load(response)["data"]
    except OSError:
        return False
    (entry,) = told["workspaceOrError"]["locationEntries"]
    daemons = told["instance"]["daemonHealth"]["allDaemonStatuses"]
    is_alive = all(daemon["healthy"] for daemon in daemons if daemon["required"])
    return is_alive and (entry["locationOrLoadError"] or {}).get("__typename") == "RepositoryLocation"


def test_the_chart_s_pods_serve_together(pod: dict[str, str], tmp_path: Path) -> None:
    """The code server by arguments to the entry point; UI and daemon by commands, without the pipeline's secrets."""
    port, ui_port = str(free_port()), free_port()
    arguments = ["dagster", "api", "grpc", "-h", "0.0.0.0", "-p", port, *CODE["dagsterApiGrpcArgs"]]  # noqa: S104
    context = {
        "k8s": {"env_secrets": [secret["name"] for secret in CODE["envSecrets"]], "resources": CODE["resources"]}
    }
    environment = pod | {
        "DAGSTER_CURRENT_IMAGE": f"{CODE['image']['repository']}:{CODE['image']['tag']}",
        "DAGSTER_CLI_API_GRPC_CONTAINER_CONTEXT": json.dumps(context),
    }
    workspace = tmp_path / "workspace.yaml"
    workspace.write_text(f"load_from:\n  - grpc_server: {{host: 127.0.0.1, port: {port}, location_name: horror}}\n")
    assert not {"env", "envSecrets", "envConfigMaps"} & {*VALUES["dagsterWebserver"], *VALUES["dagsterDaemon"]}
    bare = {name: value for name, value in pod.items() if name not in OF_CODE}
    commands = {
        "daemon": f"dagster-daemon run -w {workspace}",
        "webserver": f"dagster-webserver -h 127.0.0.1 -p {ui_port} -w {workspace}",
    }
    processes = {"code": start("code", [ENTRYPOINT, *arguments], environment, tmp_path)}
    try:
        probe = ["dagster", "api", "grpc-health-check", "-p", port]
        wait(processes, lambda: is_listening(int(port)) and succeeds(probe, environment), tmp_path)
        for name, command in commands.items():
            processes[name] = start(name, ["/bin/bash", "-c", command], bare, tmp_path)
        wait(processes, lambda: is_served(ui_port), tmp_path)
    finally:
        for process in processes.values():
            process.kill()
            process.wait()


def test_the_instance_has_one_pool_and_the_launcher_s_values_are_its_own(
    pod: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAGSTER_HOME", pod["DAGSTER_HOME"])
    monkeypatch.setenv("DAGSTER_PG_PASSWORD", pod["DAGSTER_PG_PASSWORD"])
    monkeypatch.setenv("HOME", pod["HOME"])
    monkeypatch.setattr("kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", pod["HOME"] + "/.kube/config")
    with dg.DagsterInstance.get() as instance:
        assert instance.global_op_concurrency_default_limit == 1
        launcher: Any = instance.run_launcher
        assert type(launcher).__name__ == "K8sRunLauncher"
        assert launcher.run_k8s_config["job_spec_config"] == {"ttl_seconds_after_finished": 86400}


def test_a_run_s_pod_becomes_dagster_s_command_with_the_schema_ready(pod: dict[str, str]) -> None:
    """`args: [dagster, api, execute_run, …]` reach Dagster, which then asks for its one argument."""
    done = subprocess.run(  # noqa: S603
        [ENTRYPOINT, "dagster", "api", "execute_run", "{}"], env=pod, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 1
    assert "ExecuteRunArgs" in done.stderr


def test_the_entry_point_leaves_horror_s_own_commands_as_they_are(pod: dict[str, str]) -> None:
    done = subprocess.run([ENTRYPOINT, "db", "--help"], env=pod, capture_output=True, text=True, timeout=60)  # noqa: S603
    assert done.returncode == 0 and "Migrate the database" in done.stdout


def test_secrets_are_referred_to_and_every_setting_exists() -> None:
    text = (ROOT / "deploy" / "helm" / "values.yaml").read_text(encoding="utf-8")
    assert not re.search(r"(?i)(password|key|token|url)\s*:\s*\S*(://|[0-9a-f]{16})", text)
    assert {variable["name"].lower() for variable in CODE["env"]} <= set(Settings.model_fields)
    assert CODE["image"] == VALUES["dagsterDaemon"]["image"] == VALUES["dagsterWebserver"]["image"]
