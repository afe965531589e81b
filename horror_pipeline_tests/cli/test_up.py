from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from horror_pipeline.cli.up import children, renewing, reserved
from horror_pipeline.errors import HorrorError
from horror_pipeline.runtime.ports import free_port
from horror_pipeline.runtime.processes import Child
from horror_pipeline.settings import Settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    made = Settings(_env_file=None, horror_home=tmp_path, horror_ui_port=3100)
    made.dagster_home.mkdir()
    return made


def test_a_home_is_served_once_at_a_time(settings: Settings) -> None:
    first, again = (
        settings.model_copy(update={"horror_ui_port": free_port(), "horror_web_port": free_port()}) for _ in range(2)
    )
    with (
        reserved(first),
        pytest.raises(HorrorError, match=r"another `horror up` serves .*; stop it, or set HORROR_HOME"),
        reserved(again),
    ):
        pass
    with reserved(again):  # what is over holds up nothing
        pass


def test_the_ui_and_the_daemon_find_the_code_server_where_it_listens(settings: Settings) -> None:
    code, ui, daemon, web = children(settings)
    workspace = settings.dagster_home / "workspace.yaml"
    (entry,) = yaml.safe_load(workspace.read_text())["load_from"]
    assert entry["grpc_server"]["host"] == "127.0.0.1"
    assert code.command[code.command.index("-p") + 1] == str(entry["grpc_server"]["port"])
    assert str(workspace) in ui.command and str(workspace) in daemon.command
    assert ui.command[ui.command.index("-p") + 1] == "3100"
    assert len({child.log for child in (code, ui, daemon, web)}) == 4


def test_only_the_ui_and_the_dashboard_listen_beyond_loopback_when_asked_to(tmp_path: Path) -> None:
    settings = Settings(_env_file=None, horror_home=tmp_path, horror_web_host="0.0.0.0")  # noqa: S104
    settings.dagster_home.mkdir()
    commands = [" ".join(child.command) for child in children(settings)]
    assert [("0.0.0.0" in command) for command in commands[:3]] == [False, True, False]  # noqa: S104


@pytest.mark.parametrize(("most_bytes", "is_idle", "ends"), [(1, True, True), (1, False, False), (10**12, True, False)])
def test_a_daemon_that_has_grown_is_ended_while_nothing_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most_bytes: int, is_idle: bool, ends: bool
) -> None:
    monkeypatch.setattr("horror_pipeline.cli.up.MEMORY_SECONDS", 0.0)
    told: list[str] = []
    child = Child("the daemon", ["sleep", "60"], tmp_path / "log")
    child.start({}, tmp_path)
    assert child.process is not None
    try:
        renewing(child, most_bytes, lambda: is_idle, told.append)()
        if ends:
            assert child.process.wait(10) != 0
        assert child.is_dead() is ends
        assert [line.startswith("the daemon has grown to ") for line in told] == [True] * ends
    finally:
        child.process.kill()
        child.process.wait()
