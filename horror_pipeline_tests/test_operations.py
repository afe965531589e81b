"""Commands and settings that docs/operations.md and docker-compose.yml name exist, and services stay private."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from horror_pipeline.cli import app
from horror_pipeline.settings import Settings

ROOT = Path(__file__).resolve().parent.parent
DOCUMENT = ROOT / "docs" / "operations.md"
TEXT = DOCUMENT.read_text(encoding="utf-8")
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
SERVICES: dict[str, Any] = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if name not in ("postgres", "redis")}

NOT_OURS = {"HORROR_HOME", "HORROR_WEB_HOST", "HORROR_WEB_PORT"}
"""Settings the image or the compose file itself decides."""


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)


def commands() -> Iterator[list[str]]:
    """Every command of a shell block, without variables before it and comments after it."""
    for block in blocks("sh"):
        for line in block.splitlines():
            for part in line.split(" && "):
                words = shlex.split(part, comments=True)
                while words and re.match(r"[A-Z_]+=", words[0]):
                    words.pop(0)
                if words:
                    yield words


def of(*program: str) -> list[list[str]]:
    found = [words[len(program) :] for words in commands() if tuple(words[: len(program)]) == program]
    assert found, program
    return found


def parse(arguments: list[str]) -> None:
    """Parse a `horror` command line as the command would; raises where it does not hold."""
    command: Any = typer.main.get_command(app)
    while hasattr(command, "commands"):
        name, *arguments = arguments
        assert name in command.commands, f"horror has no command {name}"
        command = command.commands[name]
    command.make_context(command.name, list(arguments))


@pytest.mark.parametrize("arguments", of("horror"), ids=" ".join)
def test_every_horror_command_is_one(arguments: list[str]) -> None:
    parse(arguments)


@pytest.mark.parametrize("name", ["README.md", "docs/README.pt.md"])
def test_the_first_page_s_commands_exist(name: str) -> None:
    page = (ROOT / name).read_text(encoding="utf-8")
    shell = "\n".join(re.findall(r"```sh\n(.*?)```", page, re.DOTALL))
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"^make (\w+)", shell, re.MULTILINE)) <= targets
    assert set(re.findall(r" -j (\w+)", shell)) <= {"train_and_predict", "ingest_catalogue"}
    command: Any = typer.main.get_command(app)
    assert set(re.findall(r"^\| `horror (\w+)`", page, re.MULTILINE)) == set(command.commands) - {"exec"}


def test_every_setting_it_names_exists() -> None:
    known = {name.upper() for name in Settings.model_fields}
    assert set(re.findall(r"\b(?:HORROR|TMDB)_[A-Z_]+\b|\bDAGSTER_DATABASE_URL\b", TEXT)) <= known


def test_compose_commands_name_services_that_exist() -> None:
    for words in of("docker", "compose"):
        if "run" in words:
            rest = words[words.index("run") + 1 :]
            service, *arguments = [word for word in rest if word != "--rm"]
            assert service in SERVICES
            parse(arguments)
        if "logs" in words:
            assert words[-1] in SERVICES


@pytest.mark.parametrize("name", OURS)
def test_every_service_starts_with_a_command_of_the_image(name: str) -> None:
    parse(OURS[name]["command"])
    check = OURS[name].get("healthcheck", {}).get("test", ["CMD", "horror", "doctor"])
    if check[1] == "horror":
        parse(check[2:])


def test_ports_are_published_on_this_machine_only() -> None:
    ports = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert len(ports) == 2
    assert all(port.startswith("127.0.0.1:") for port in ports)
    assert not {"ports", "network_mode"} & {*SERVICES["postgres"], *SERVICES["redis"], *SERVICES["worker"]}


def test_services_that_serve_are_checked_and_none_depends_on_a_database_that_may_be_elsewhere() -> None:
    assert {name for name in SERVICES if "healthcheck" in SERVICES[name]} == set(SERVICES) - {"migrate", "worker"}
    assert not [name for name in SERVICES if "depends_on" in SERVICES[name]]
    assert SERVICES["postgres"]["profiles"] == ["local"]
    assert SERVICES["redis"]["profiles"] == SERVICES["worker"]["profiles"] == ["celery"]


def test_every_setting_reaches_the_containers() -> None:
    given = set(OURS["daemon"]["environment"])
    assert given == {name.upper() for name in Settings.model_fields} - NOT_OURS


def test_containers_have_no_more_rights_than_they_need() -> None:
    for service in OURS.values():
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
    assert re.search(r"^USER horror$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)


@pytest.mark.parametrize(
    "profile", [(), ("--profile", "local"), ("--profile", "celery")], ids=["hosted", "local", "celery"]
)
@pytest.mark.skipif(shutil.which("docker-compose") is None, reason="docker-compose is not installed")
def test_docker_compose_takes_the_file(profile: tuple[str, ...]) -> None:
    command = [shutil.which("docker-compose"), *profile, "config"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)  # type: ignore[arg-type]  # noqa: S603
    assert done.returncode == 0, done.stderr
    assert len(yaml.safe_load(done.stdout)["services"]) >= len(OURS)


def test_what_the_image_needs_is_not_left_out_of_the_build() -> None:
    kept = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = re.findall(r"^COPY (.+) \S+$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert {name for line in copied for name in line.split()} == kept
