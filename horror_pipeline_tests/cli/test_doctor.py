from __future__ import annotations

import datetime as dt
import http.server
import io
import os
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from email.utils import format_datetime
from pathlib import Path
from types import SimpleNamespace

import pytest
from rich.console import Console
from sqlalchemy import URL, Engine, text

from horror_pipeline.cli.doctor import Diagnosis, Severity, diagnose, guarded, print_diagnoses
from horror_pipeline.cli.doctor.machine import check_daemon, check_families
from horror_pipeline.cli.up import workspace_file
from horror_pipeline.runtime.ports import free_port
from horror_pipeline.settings import Settings, get_settings
from horror_pipeline.warehouse import data_source, schema

V3 = "0123456789abcdef" * 2
NOW = dt.datetime(2026, 11, 22, 12, tzinfo=dt.UTC)

Set = Callable[..., None]


@pytest.fixture(autouse=True)
def given(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Set:
    """Sets variables; to begin with a home of the test's own and free ports."""
    monkeypatch.chdir(tmp_path)
    # The look at Dagster exports these two.
    monkeypatch.setenv("DAGSTER_PG_URL", "")
    monkeypatch.setenv("DAGSTER_HOME", "")

    def give(**variables: object) -> None:
        for name, value in variables.items():
            monkeypatch.setenv(name, str(value))
        get_settings.cache_clear()

    give(HORROR_HOME=tmp_path / "home", HORROR_UI_PORT=free_port(), HORROR_WEB_PORT=free_port())
    return give


def found(subject: str, severity: Severity | None = None) -> list[Diagnosis]:
    return [one for one in diagnose(lambda: NOW) if one.subject == subject and severity in (None, one.severity)]


class Tmdb:
    """Answers /authentication with a status and a date."""

    def __init__(self, status: int = 200, date: dt.datetime = NOW) -> None:
        body = b'{"success": true}' if status == 200 else b'{"status_code": 7, "status_message": "Invalid API key"}'

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response_only(status)
                self.send_header("Date", format_datetime(date, usegmt=True))
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01})

    def __enter__(self) -> str:
        self.thread.start()
        return f"http://127.0.0.1:{self.server.server_port}/3"

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


def test_a_fresh_machine_can_run_and_nothing_is_made(tmp_path: Path) -> None:
    diagnoses = diagnose(lambda: NOW)
    assert not [one for one in diagnoses if one.severity in (Severity.WARNING, Severity.FATAL)]
    assert not (tmp_path / "home").exists()
    (database,) = [one for one in diagnoses if one.subject == "database"]
    assert database.problem.startswith("the embedded Postgres does not exist yet")


def test_every_wrong_setting_is_told_with_what_to_do(given: Set) -> None:
    given(HORROR_FIRST_YEAR="soon", TMDB_API_KEY="hunter2")
    diagnoses = found("settings", Severity.FATAL)
    assert diagnoses[0].problem.startswith("HORROR_FIRST_YEAR")
    assert all(one.remedy for one in diagnoses)
    assert "hunter2" not in str(diagnose(lambda: NOW))


def test_a_wrong_key_beside_nothing_else_is_one_finding(given: Set) -> None:
    given(TMDB_API_KEY="hunter2")
    assert len(found("settings", Severity.FATAL)) == 1


def test_a_credential_tmdb_takes_is_well(given: Set) -> None:
    with Tmdb() as url:
        given(TMDB_API_KEY=V3, TMDB_API_URL=url)
        assert "takes TMDB_API_KEY, a v3 API key" in found("TMDB", Severity.GOOD)[0].problem
        assert found("clock", Severity.GOOD)


def test_a_refused_credential_is_fatal_and_never_repeated(given: Set) -> None:
    with Tmdb(status=401) as url:
        given(TMDB_API_KEY=V3, TMDB_API_URL=url)
        (refused,) = found("TMDB")
    assert refused.is_fatal
    assert "refused" in refused.problem and "themoviedb.org/settings/api" in refused.remedy
    assert V3 not in str(refused)


def test_tmdb_out_of_reach_is_fatal(given: Set) -> None:
    given(TMDB_API_KEY=V3, TMDB_API_URL=f"http://127.0.0.1:{free_port()}/3")
    (away,) = found("TMDB")
    assert away.is_fatal and away.remedy


@pytest.mark.parametrize(("hours", "told"), [(-2, "7,200 s ahead of"), (2, "7,200 s behind")])
def test_a_clock_that_is_off_is_told(given: Set, hours: int, told: str) -> None:
    with Tmdb(date=NOW + dt.timedelta(hours=hours)) as url:
        given(TMDB_API_KEY=V3, TMDB_API_URL=url)
        (clock,) = found("clock")
    assert clock.severity is Severity.WARNING and told in clock.problem


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_home_that_cannot_be_written_is_fatal(given: Set, tmp_path: Path) -> None:
    (tmp_path / "fixed").mkdir(mode=0o500)
    given(HORROR_HOME=tmp_path / "fixed" / "home")
    assert found("home")[0].is_fatal


def test_a_home_below_a_file_is_fatal(given: Set, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    given(HORROR_HOME=tmp_path / "file" / "home")
    (home,) = found("home")
    assert home.is_fatal and "HORROR_HOME" in home.remedy


@pytest.mark.parametrize(
    ("free", "severity"),
    [(100_000_000, Severity.FATAL), (1_000_000_000, Severity.WARNING), (9_000_000_000, Severity.GOOD)],
)
def test_a_full_disk_is_told(monkeypatch: pytest.MonkeyPatch, free: int, severity: Severity) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=free))
    assert found("disk")[0].severity is severity


def test_a_port_somebody_else_uses_is_told_with_its_setting(given: Set) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        given(HORROR_WEB_PORT=other.getsockname()[1])
        (used,) = found("ports", Severity.WARNING)
    assert "HORROR_WEB_PORT" in used.remedy


def test_listening_for_everybody_is_told(given: Set) -> None:
    given(HORROR_WEB_HOST="0.0.0.0")  # noqa: S104
    assert "no login" in found("exposure", Severity.WARNING)[0].problem


def test_a_webhook_that_is_no_url_is_told_without_repeating_it(given: Set) -> None:
    given(HORROR_ALERT_WEBHOOK="T0KEN")
    assert found("settings", Severity.FATAL)
    assert "T0KEN" not in str(diagnose(lambda: NOW))


def test_a_database_that_is_away_is_fatal_without_its_password(given: Set) -> None:
    given(DATABASE_URL="postgresql://horror:hunter2@127.0.0.1:1/horror")
    (away,) = found("database")
    assert away.is_fatal and "DATABASE_URL" in away.remedy
    assert "hunter2" not in str(away)


@pytest.fixture
def database(given: Set, database_url: URL) -> Set:
    given(DATABASE_URL=database_url.render_as_string(hide_password=False))
    return given


def test_a_migrated_database_is_well(database: Set) -> None:
    assert "Postgres 18" in found("database", Severity.GOOD)[0].problem
    assert found("schema", Severity.GOOD)
    assert not [one for one in diagnose(lambda: NOW) if one.is_fatal]


def test_a_database_of_another_version_is_fatal_and_names_the_command(database: Set, engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text(f"UPDATE {schema.VERSION_TABLE} SET version_num = '9999'"))
    assert found("schema", Severity.FATAL)[0].remedy


def test_an_empty_database_is_no_fault(database: Set, engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text(f"DROP TABLE {schema.VERSION_TABLE}"))
    assert found("schema")[0].severity is Severity.NOTE


def test_a_database_of_the_other_source_is_fatal(database: Set, engine: Engine) -> None:
    with engine.begin() as connection:
        data_source.claim_source(connection, False, "https://api.themoviedb.org/3", NOW)
    (mixed,) = found("data", Severity.FATAL)
    assert "horror purge --all" in mixed.remedy


@pytest.mark.parametrize(("hours", "severity"), [(1, Severity.GOOD), (31, Severity.WARNING)])
def test_old_data_is_told(database: Set, engine: Engine, hours: int, severity: Severity) -> None:
    seen = NOW - dt.timedelta(hours=hours)
    with engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO movies (tmdb_id, title, genres, is_adult, first_seen_at, observed_at, details_fetched_at) "
                "VALUES (1, 'Nosferatu', '{Horror}', false, :seen, :seen, :seen)"
            ),
            {"seen": seen},
        )
    (data,) = found("data")
    assert data.severity is severity and f"1 films, observed {hours} h ago" in data.problem


def test_a_login_that_may_not_create_tables_is_fatal(database: Set, engine: Engine, database_url: URL) -> None:
    with engine.begin() as connection:
        connection.execute(text("DROP ROLE IF EXISTS guest"))
        connection.execute(text("CREATE ROLE guest LOGIN"))
        connection.execute(text("GRANT USAGE ON SCHEMA raw TO guest"))
        connection.execute(text("GRANT SELECT ON ALL TABLES IN SCHEMA public, raw TO guest"))
    database(DATABASE_URL=database_url.set(username="guest").render_as_string(hide_password=False))
    assert "may not create" in found("rights", Severity.FATAL)[0].problem


def test_dagsters_own_database_that_is_missing_is_no_fault_yet(database: Set, database_url: URL) -> None:
    # On the tests' server it exists, empty: `horror run` would fill it.
    assert found("Dagster")[0].severity is Severity.NOTE


def test_a_look_that_breaks_is_a_finding_and_the_rest_goes_on() -> None:
    def look() -> Iterator[Diagnosis]:
        yield Diagnosis("one", Severity.GOOD, "well")
        raise RuntimeError("secret inside")

    first, second = guarded("one", look)
    assert first.severity is Severity.GOOD
    assert second.is_fatal and second.problem == "could not be checked: RuntimeError"


def test_diagnoses_are_printed_with_their_remedies_and_a_verdict() -> None:
    out = io.StringIO()
    diagnoses = [
        Diagnosis("disk", Severity.WARNING, "20 MB [free]", "free some"),
        Diagnosis("TMDB", Severity.GOOD, "well"),
    ]
    print_diagnoses(diagnoses, Console(file=out))
    assert (
        out.getvalue()
        == "! disk  20 MB [free]\n        → free some\n✓ TMDB  well\n\nIt can run, but look at what is marked !.\n"
    )


def test_an_address_family_that_leads_nowhere_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    places = [(socket.AF_INET6, 1, 6, "", ("2001:db8::1", 443, 0, 0)), (socket.AF_INET, 1, 6, "", ("192.0.2.1", 443))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: places)

    def connect(address: tuple[str, int], timeout: float) -> socket.socket:
        if ":" in address[0]:
            raise TimeoutError("timed out")
        return socket.socket()

    (found,) = check_families("https://api.themoviedb.org/3", connect)
    assert found.problem == "api.themoviedb.org cannot be reached by IPv6 (2001:db8::1: timed out)"
    assert "where IPv4 works" in found.remedy


def test_the_memory_of_the_daemon_is_told(given: Set, tmp_path: Path) -> None:
    settings = Settings(_env_file=None, horror_home=tmp_path)
    program = "import sys, time; print(flush=True); time.sleep(60)"
    command = [sys.executable, "-c", program, "dagster-daemon", "run", "-w", str(workspace_file(settings))]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as daemon:  # noqa: S603
        assert daemon.stdout is not None
        daemon.stdout.readline()
        (found,) = check_daemon(settings)
        daemon.kill()
    assert found.severity is Severity.GOOD
    assert found.problem.startswith("the Dagster daemon uses ")
