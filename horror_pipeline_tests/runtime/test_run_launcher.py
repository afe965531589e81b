"""Where runs run is a setting: `dagster.yaml` stays as it is."""

import builtins
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from kombu.exceptions import OperationalError

from horror_pipeline.errors import SettingsError
from horror_pipeline.runtime import celery
from horror_pipeline.runtime.environment import PROJECT_ROOT
from horror_pipeline.settings import get_settings

BROKER = "redis://:swordfish@127.0.0.1:1/0"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copy(PROJECT_ROOT / "dagster.yaml", tmp_path)
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    return tmp_path


def launcher(monkeypatch: pytest.MonkeyPatch, **variables: str) -> Any:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    get_settings.cache_clear()
    with dg.DagsterInstance.get() as instance:
        return instance.run_launcher


def test_runs_start_beside_the_code_server_unless_something_else_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(launcher(monkeypatch), dg.DefaultRunLauncher)


def test_nothing_of_celery_is_imported_for_those_who_do_not_use_it() -> None:
    code = "import sys, dagster as dg; dg.DagsterInstance.get().run_launcher; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)  # noqa: S603
    assert "horror_pipeline.runtime.run_launcher" in done.stdout.split()
    assert not {"celery", "kombu", "docker", "kubernetes"} & set(done.stdout.split())


def test_celery_hands_runs_to_the_broker_of_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    made = launcher(monkeypatch, HORROR_RUN_LAUNCHER="celery", CELERY_BROKER_URL=BROKER)
    assert isinstance(made, celery.CeleryLauncher)
    assert made.celery.conf.broker_url == BROKER
    assert "swordfish" not in str(made.inst_data)  # the UI shows it


def test_the_worker_knows_the_task_that_the_launcher_sends(monkeypatch: pytest.MonkeyPatch) -> None:
    made = launcher(monkeypatch, HORROR_RUN_LAUNCHER="celery", CELERY_BROKER_URL=BROKER)
    app = celery.app
    assert "execute_job" in app.tasks
    assert app.conf.broker_url == made.celery.conf.broker_url
    assert app.conf.task_routes["execute_job"]["queue"] == made.default_queue


def test_a_launch_waits_a_minute_for_a_broker_that_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    made = launcher(monkeypatch, HORROR_RUN_LAUNCHER="celery", CELERY_BROKER_URL=BROKER)
    slept: list[float] = []
    monkeypatch.setattr("kombu.utils.functional.sleep", slept.append)
    monkeypatch.setattr("kombu.utils.functional.time", lambda: sum(slept))
    with pytest.raises(OperationalError):
        made.celery.send_task("execute_job")
    assert 50 < sum(slept) < 70


def test_a_container_gets_the_settings_by_the_names_of_their_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    config = json.dumps({"image": "horror-pipeline", "network": "horror_default"})
    made = launcher(monkeypatch, HORROR_RUN_LAUNCHER="docker", HORROR_RUN_LAUNCHER_CONFIG=config, TMDB_API_KEY="0" * 32)
    assert type(made).__name__ == "DockerRunLauncher"
    assert (made.image, made.networks) == ("horror-pipeline", ["horror_default"])
    assert "TMDB_API_KEY" in made.env_vars and "HORROR_HOME" not in made.env_vars
    assert "0" * 32 not in str(made.inst_data)


KUBECONFIG = """
apiVersion: v1
kind: Config
current-context: here
contexts: [{name: here, context: {cluster: here, user: me}}]
clusters: [{name: here, cluster: {server: "http://127.0.0.1:1"}}]
users: [{name: me, user: {}}]
"""


def test_kubernetes_is_configured_as_dagster_s_own_launcher(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / "kubeconfig").write_text(KUBECONFIG)
    config = {
        "instance_config_map": "dagster-instance",
        "service_account_name": "dagster",
        "job_namespace": "films",
        "job_image": "horror-pipeline",
        "load_incluster_config": False,
        "kubeconfig_file": str(home / "kubeconfig"),
    }
    made = launcher(monkeypatch, HORROR_RUN_LAUNCHER="k8s", HORROR_RUN_LAUNCHER_CONFIG=json.dumps(config))
    assert (made.job_namespace, made.job_image) == ("films", "horror-pipeline")


def test_an_extra_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    imported = builtins.__import__

    def without_docker(name: str, *args: Any, **keywords: Any) -> Any:
        if name.startswith("docker"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return imported(name, *args, **keywords)

    for name in [name for name in sys.modules if name.split(".")[0] in ("dagster_docker", "docker")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(builtins, "__import__", without_docker)
    with pytest.raises(SettingsError, match=r"needs docker.*, which is not installed; .*\[docker\]"):
        launcher(monkeypatch, HORROR_RUN_LAUNCHER="docker")


def test_a_run_lost_on_its_way_to_a_worker_leaves_time_to_retry_it_within_two_minutes() -> None:
    with dg.DagsterInstance.get() as instance:
        seen_after = instance.run_monitoring_start_timeout_seconds + instance.run_monitoring_poll_interval_seconds
    assert seen_after <= 120 - 15
