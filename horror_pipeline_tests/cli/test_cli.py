"""What a person meets at the command line when something is wrong: one line, exit code 1, no traceback, no secret."""

from __future__ import annotations

import json
import os
import shutil
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from sqlalchemy import URL, text

from horror_pipeline import cli
from horror_pipeline.demo.server import serve
from horror_pipeline.runtime.ports import free_port
from horror_pipeline.runtime.postgres.cluster import Cluster
from horror_pipeline.warehouse.engine import connect

V3 = "0123456789abcdef" * 2

Horror = Callable[..., tuple[int, str, str]]


@pytest.fixture
def horror(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Iterator[Horror]:
    """The command with its own HORROR_HOME; gives exit code, standard output and standard error."""
    monkeypatch.chdir(tmp_path)
    before = dict(os.environ)
    monkeypatch.setenv("HORROR_HOME", str(tmp_path / "home"))

    def call(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["horror", *arguments])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        printed = capsys.readouterr()
        return int(ended.value.code or 0), printed.out, printed.err

    yield call
    os.environ.clear()
    os.environ.update(before)


def test_diff_exits_as_diff_does(horror: Horror, database_url: URL) -> None:
    here = database_url.render_as_string(hide_password=False)
    assert horror("diff", here, here)[:2] == (0, "nothing differs\n")
    for sides in ((here, "2026-11-24"), ("2026-11-24", "yesterday"), (here, "mysql://u:s3cret@h/d")):
        code, out, err = horror("diff", *sides)
        assert (code, out) == (2, "")
        assert "s3cret" not in err and err.count("\n") == 1


def assert_one_line(result: tuple[int, str, str], *said: str) -> None:
    code, _, err = result
    assert code == 1
    assert err.count("\n") == 1, err
    for words in said:
        assert words in err


def given(url: URL) -> str:
    return url.render_as_string(hide_password=False)


def test_a_malformed_credential_names_its_two_forms(horror: Horror, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMDB_API_KEY", "s3cret-and-wrong")
    result = horror("run")
    assert_one_line(result, "TMDB_API_KEY", "v3 API key", "v4 read access token")
    assert "s3cret-and-wrong" not in result[2]


class Refusing(BaseHTTPRequestHandler):
    """A TMDB that takes no credential."""

    def do_GET(self) -> None:
        body = json.dumps({"success": False, "status_code": 7, "status_message": "Invalid API key"}).encode()
        self.send_response(401)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Print nothing."""


def test_a_refused_credential_stops_before_anything_is_collected(
    horror: Horror, monkeypatch: pytest.MonkeyPatch, database_url: URL
) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), Refusing) as tmdb:
        threading.Thread(target=tmdb.serve_forever, daemon=True).start()
        monkeypatch.setenv("DATABASE_URL", given(database_url))
        monkeypatch.setenv("TMDB_API_KEY", V3)
        monkeypatch.setenv("TMDB_API_URL", f"http://127.0.0.1:{tmdb.server_port}/3")
        result = horror("run")
        tmdb.shutdown()
    assert_one_line(result, "TMDB", "TMDB_API_KEY")
    assert V3 not in result[2]


def test_an_unreachable_tmdb_is_said(horror: Horror, monkeypatch: pytest.MonkeyPatch, database_url: URL) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    monkeypatch.setenv("DATABASE_URL", given(database_url))
    monkeypatch.setenv("TMDB_API_KEY", V3)
    monkeypatch.setenv("TMDB_API_URL", f"http://127.0.0.1:{port}/3")
    result = horror("run")
    assert_one_line(result, "TMDB", "TMDB_API_URL")
    assert V3 not in result[2]


def test_an_unreachable_database_is_said_without_its_password(horror: Horror, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://someone:hunter2@127.0.0.1:1/horror")
    result = horror("run")
    assert_one_line(result, "127.0.0.1", "DATABASE_URL")
    assert "hunter2" not in "".join(map(str, result))


def test_a_database_of_another_version_is_refused_and_left_alone(
    horror: Horror, monkeypatch: pytest.MonkeyPatch, database_url: URL
) -> None:
    engine = connect(database_url)
    with engine.begin() as connection:
        connection.execute(text("UPDATE schema_version SET version_num = '9999'"))
        connection.execute(text("INSERT INTO data_source VALUES (true, 'http://x', now())"))
    monkeypatch.setenv("DATABASE_URL", given(database_url))
    assert_one_line(horror("run"), "9999")
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM data_source")) == 1
    engine.dispose()


def test_a_database_that_is_not_as_it_was_left_is_one_line(
    horror: Horror, monkeypatch: pytest.MonkeyPatch, database_url: URL
) -> None:
    engine = connect(database_url)
    with engine.begin() as connection:
        connection.execute(text("DROP TABLE model_predictions CASCADE"))
    engine.dispose()
    monkeypatch.setenv("DATABASE_URL", given(database_url))
    monkeypatch.setenv("DAGSTER_DATABASE_URL", given(database_url.set(database=f"{database_url.database}_dagster")))
    assert_one_line(horror("predictions"), "latest_predictions", "does not exist", "DATABASE_URL")


def test_demo_and_tmdb_data_never_mix(horror: Horror, monkeypatch: pytest.MonkeyPatch, database_url: URL) -> None:
    engine = connect(database_url)
    with engine.begin() as connection:
        connection.execute(text("INSERT INTO data_source VALUES (true, 'http://demo', now())"))
    engine.dispose()
    monkeypatch.setenv("DATABASE_URL", given(database_url))
    with serve(scale=0.02) as demo:
        monkeypatch.setenv("TMDB_API_KEY", V3)
        monkeypatch.setenv("TMDB_API_URL", demo.api_url)
        assert_one_line(horror("run"), "horror purge --all")


@pytest.mark.skipif(shutil.which("chattr") is None and os.geteuid() == 0, reason="root writes everywhere")
def test_a_read_only_home_is_said(horror: Horror, monkeypatch: pytest.MonkeyPatch) -> None:
    # /proc takes no folder of ours, not even from root.
    monkeypatch.setenv("HORROR_HOME", "/proc/horror")
    assert_one_line(horror("run"), "HORROR_HOME", "/proc/horror")


@pytest.mark.parametrize("arguments", [("db", "upgrade"), ("run",), ("exec", "--", "true")], ids=" ".join)
def test_the_database_of_another_home_is_not_taken_for_this_one_s(
    horror: Horror, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    # What `horror env` exported for one home stays in the shell when HORROR_HOME is set to another.
    other = tmp_path / "other"
    monkeypatch.setenv("DATABASE_URL", given(Cluster(other).urls()[0]))
    assert_one_line(horror(*arguments), str(other), str(tmp_path / "home"), "unset DATABASE_URL")


def test_waiting_for_a_database_is_told_on_one_line(horror: Horror, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", f"postgresql://horror:s3cret@127.0.0.1:{free_port()}/{'long_name_' * 6}")
    _, _, err = horror("db", "upgrade", "--wait", "2")
    waiting, ended = err.splitlines()
    assert waiting.startswith("waiting for the database: cannot use database") and ended.startswith("horror: ")
    assert "s3cret" not in err


@pytest.mark.parametrize("name", ["HORROR_UI_PORT", "HORROR_WEB_PORT"])
def test_a_port_in_use_is_said_before_anything_is_started(
    horror: Horror, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        monkeypatch.setenv("HORROR_UI_PORT", str(free_port()))
        monkeypatch.setenv("HORROR_WEB_PORT", str(free_port()))
        monkeypatch.setenv(name, str(taken.getsockname()[1]))
        assert_one_line(horror("up"), name)
    assert not list(tmp_path.rglob("PG_VERSION"))


def test_a_backfill_outside_the_partitions_says_which_there_are(horror: Horror) -> None:
    assert_one_line(horror("backfill", "catalogue", "--from", "1950", "--to", "1951"), "1950", "2010")
    assert_one_line(horror("backfill", "catalogue", "--from", "2012", "--to", "2011"), "--from 2012")


def test_purge_asks_what_to_delete(horror: Horror) -> None:
    assert_one_line(horror("purge"), "--older-than", "--all")
