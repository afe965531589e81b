"""Dagster's run launcher for `dagster.yaml`: the one that `HORROR_RUN_LAUNCHER` names, so that users edit no file."""

from __future__ import annotations

import json
import os
from importlib import import_module
from typing import Any

import dagster as dg

from horror_pipeline.errors import SettingsError
from horror_pipeline.settings import RunLauncher, Settings, get_settings

CLASSES: dict[RunLauncher, tuple[str, str]] = {
    "celery": ("horror_pipeline.runtime.celery", "CeleryLauncher"),
    "docker": ("dagster_docker", "DockerRunLauncher"),
    "k8s": ("dagster_k8s", "K8sRunLauncher"),
}


class PipelineRunLauncher(dg.DefaultRunLauncher):
    """Starts each run as a process on the code server's machine, unless the settings name another launcher."""

    @classmethod
    def config_type(cls) -> Any:
        """Accept no configuration in `dagster.yaml`, because the settings hold all of it."""
        return {}

    @classmethod
    def from_config_value(cls, inst_data: Any, config_value: Any) -> Any:
        """Make the launcher that the settings name.

        Raises:
            SettingsError: the package extra of that launcher is not installed.
        """
        settings = get_settings()
        name = settings.horror_run_launcher
        if name == "default":
            return cls(inst_data)
        require_extra(name)
        module, class_name = CLASSES[name]
        return type(inst_data)(module, class_name, json.dumps(_configuration(settings))).rehydrate()


def require_extra(name: RunLauncher) -> None:
    """Import the module of a launcher, to be sure that its package extra is installed.

    Raises:
        SettingsError: the extra is not installed; the remedy is the command that installs it.
    """
    try:
        import_module(CLASSES[name][0])
    except ImportError as error:
        raise SettingsError(
            f"HORROR_RUN_LAUNCHER={name} needs {error.name}, which is not installed",
            f"in the checkout: uv pip install --editable '.[{name}]'",
        ) from None


def _configuration(settings: Settings) -> dict[str, Any]:
    """Return the launcher's configuration: HORROR_RUN_LAUNCHER_CONFIG, and defaults that follow from other settings."""
    followed: dict[str, Any] = {}
    if settings.horror_run_launcher == "docker":
        # Only names: Docker's launcher reads the values when it starts a container, and they are stored nowhere.
        names = {field.upper() for field in Settings.model_fields} - {"HORROR_HOME"}
        followed = {"env_vars": sorted(names & set(os.environ))}
    return followed | settings.horror_run_launcher_config
