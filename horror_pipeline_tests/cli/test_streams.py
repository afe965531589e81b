"""The command as a process: signals in its first seconds, and standard streams that are closed, full or ASCII."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from horror_pipeline.runtime import postgres

MAIN = "import sys; from horror_pipeline.cli import main; sys.argv[0] = 'horror'; main()"


def variables(home: Path, **more: str) -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
    return kept | {"HOME": str(home), "HORROR_HOME": str(home)} | more


@pytest.mark.parametrize(("name", "seconds"), [("TERM", 0.7), ("HUP", 1.5), ("INT", 1.5), ("TERM", 3.0)])
def test_a_signal_in_the_first_seconds_leaves_no_postgres_running(tmp_path: Path, name: str, seconds: float) -> None:
    number = signal.Signals[f"SIG{name}"]
    running = subprocess.Popen(  # noqa: S603
        [sys.executable, "-c", MAIN, "run"],
        env=variables(tmp_path),
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    time.sleep(seconds)
    running.send_signal(number)
    problems = running.communicate(timeout=60)[1]
    assert running.returncode in (0, 130, -number), problems
    assert not postgres.is_running(tmp_path)
    assert "Traceback" not in problems or running.returncode == -number


@pytest.mark.parametrize(
    ("redirection", "code"),
    [(">&-", 0), ("| true", 0), ("2>&-", 0), (">/dev/full", 1)],
    ids=["closed", "pipe", "err", "full"],
)
def test_odd_standard_streams_end_in_no_traceback(tmp_path: Path, redirection: str, code: int) -> None:
    script = f'{sys.executable} -c "{MAIN}" --help {redirection}'
    done = subprocess.run(  # noqa: S603
        ["/bin/sh", "-c", script], env=variables(tmp_path), cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert "Traceback" not in done.stderr and "Exception ignored" not in done.stderr, done.stderr
    assert done.returncode == code, done.stderr


def test_ascii_output_is_no_error(tmp_path: Path) -> None:
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-c", MAIN, "doctor"],
        env=variables(tmp_path, PYTHONIOENCODING="ascii", PYTHONUTF8="0", TMDB_API_KEY="wrong"),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1
    assert "? settings" in done.stdout and done.stderr == ""
