from __future__ import annotations

import http.client
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from horror_pipeline.demo.process import spawn
from horror_pipeline.errors import HorrorError
from horror_pipeline_tests.demo.conftest import TODAY


def test_a_child_answers_when_spawn_returns_and_ends_with_stop() -> None:
    with spawn(today=TODAY, scale=0.01) as child:
        assert child.api_url == f"http://127.0.0.1:{child.port}/3"
        client = http.client.HTTPConnection("127.0.0.1", child.port, timeout=5)
        client.request("GET", "/p/exports/movie_ids_11_22_2026.json.gz")
        response = client.getresponse()
        assert response.headers["Date"].startswith("Sun, 22 Nov 2026")
        assert response.read(2) == b"\x1f\x8b"
        client.close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", child.port), timeout=1)


def test_a_port_in_use_is_the_parents_error() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as taken,
        pytest.raises(HorrorError, match="choose another port"),
        spawn(taken.getsockname()[1], scale=0.01),
    ):
        pass


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks into /proc")
def test_a_child_ends_when_its_parent_is_killed() -> None:
    script = """
import sys, time
from horror_pipeline.demo.process import spawn
with spawn(scale=0.01) as child:
    print(child.pid, flush=True)
    time.sleep(60)
"""
    parent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)  # noqa: S603
    assert parent.stdout is not None
    with parent.stdout:
        child = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    deadline = time.monotonic() + 10
    while is_running(child) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not is_running(child)


def is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"
