"""What a run says at its end."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest
from rich.console import Console
from sqlalchemy import make_url

from horror_pipeline.cli.run import print_next_steps
from horror_pipeline.runtime.environment import Environment
from horror_pipeline.settings import get_settings


@pytest.mark.parametrize(("is_on_path", "command"), [(True, "horror doctor"), (False, ".venv/bin/horror doctor")])
def test_the_next_steps_are_commands_this_shell_finds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_on_path: bool, command: str
) -> None:
    program = tmp_path / ".venv" / "bin" / "horror"
    program.parent.mkdir(parents=True)
    program.touch(mode=0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [str(program), "run"])
    monkeypatch.setenv("PATH", str(program.parent) if is_on_path else "/usr/bin")
    written = io.StringIO()

    nowhere = make_url("postgresql://")
    print_next_steps(Environment(get_settings(), nowhere, nowhere), Console(file=written, width=40))

    assert f"\n  {command} " in written.getvalue()
    assert "http://127.0.0.1:8000\n" in written.getvalue()
