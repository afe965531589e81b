from __future__ import annotations

from pathlib import Path

import pytest

from horror_pipeline.domain import credential_form
from horror_pipeline.errors import SettingsError
from horror_pipeline.settings import Settings, is_loopback, load_settings, postgres_url

V3 = "0123456789abcdef" * 2
V4 = "eyJhbGciOiJIUzI1NiJ9.eyJhdWQiOiJ4In0.c2lnbmF0dXJl"


@pytest.fixture(autouse=True)
def empty_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_without_variables_the_demo_and_the_embedded_database_are_used() -> None:
    settings = load_settings()
    assert settings.is_demo
    assert settings.database_url is None
    assert settings.tmdb_requests_per_second == 35


def test_an_exported_variable_wins_over_dot_env(empty_environment: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (empty_environment / ".env").write_text("HORROR_FIRST_YEAR=2000\nHORROR_MIN_VOTES=3\n")
    monkeypatch.setenv("HORROR_FIRST_YEAR", "2015")
    settings = load_settings()
    assert (settings.horror_first_year, settings.horror_min_votes) == (2015, 3)


def test_an_empty_variable_counts_as_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMDB_API_KEY", "")
    monkeypatch.setenv("DATABASE_URL", "")
    assert load_settings().is_demo


def test_home_becomes_absolute(empty_environment: Path) -> None:
    assert load_settings().horror_home == empty_environment / ".horror"


@pytest.mark.parametrize("value", ["on", "off", "ON", "1", "false"])
def test_schedules_take_on_and_off(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("HORROR_SCHEDULES", value)
    assert load_settings().horror_schedules is (value.lower() in ("on", "1"))


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("HORROR_FIRST_YEAR", "soon", "HORROR_FIRST_YEAR"),
        ("HORROR_RETENTION_DAYS", "365", "HORROR_RETENTION_DAYS"),  # TMDB's terms: six months at most
        ("TMDB_REQUESTS_PER_SECOND", "0", "TMDB_REQUESTS_PER_SECOND"),
        ("TMDB_API_URL", "ftp://example.org", "TMDB_API_URL"),
        ("HORROR_RUN_LAUNCHER", "celery", "needs CELERY_BROKER_URL"),
        ("HORROR_RUN_LAUNCHER_CONFIG", "image: x", "must be a JSON object"),
        ("DATABASE_URL", "mysql://u:hunter2@host/db", "DATABASE_URL"),
        ("DATABASE_URL", "postgresql://u:hunter2@host", "DATABASE_URL"),
        ("DATABASE_URL", "hunter2", "DATABASE_URL"),
        ("HORROR_UI_PORT", "99999", "HORROR_UI_PORT"),
        ("HORROR_GENRES", "horror, splatter", "HORROR_GENRES: must be `all`, or names of TMDB's genres"),
        ("HORROR_GENRES", "all, horror", "HORROR_GENRES"),
        ("HORROR_GENRES", "horror,", "HORROR_GENRES"),
    ],
)
def test_a_wrong_value_is_one_line_that_names_the_variable_and_hides_the_value(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, said: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as raised:
        load_settings()
    message = str(raised.value)
    assert said in message
    assert "\n" not in message
    assert "hunter2" not in message


@pytest.mark.parametrize(
    ("value", "names", "ids", "has_others"),
    [
        (None, ("Horror",), (27,), True),
        ("horror, science fiction,HORROR", ("Horror", "Science Fiction"), (27, 878), True),
        ("All", (), (), False),
    ],
)
def test_genres_are_named_as_tmdb_names_them(
    monkeypatch: pytest.MonkeyPatch, value: str | None, names: tuple[str, ...], ids: tuple[int, ...], has_others: bool
) -> None:
    if value is not None:
        monkeypatch.setenv("HORROR_GENRES", value)
    settings = load_settings()
    assert (settings.horror_genres, settings.genre_ids, settings.learns_from_others) == (names, ids, has_others)


def test_a_malformed_credential_is_refused_without_repeating_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMDB_API_KEY", "not-a-key-at-all")
    with pytest.raises(SettingsError, match="v3 API key") as raised:
        load_settings()
    assert "not-a-key-at-all" not in str(raised.value)


def test_a_loopback_server_may_take_any_credential(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMDB_API_KEY", "replay")
    monkeypatch.setenv("TMDB_API_URL", "http://127.0.0.1:8799/3")
    assert not load_settings().is_demo


def test_secrets_do_not_show_in_the_settings_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMDB_API_KEY", V3)
    monkeypatch.setenv("DATABASE_URL", "postgresql://u:hunter2@host/db")
    assert V3 not in repr(load_settings())
    assert "hunter2" not in repr(load_settings())


def test_credential_forms_are_told_apart() -> None:
    assert [credential_form(key) for key in (V3, V3.upper(), V4, V3[:-1], "eyJ.x", "")] == [
        "v3", "v3", "v4", None, None, None,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://127.0.0.1:1/3", True),
        ("http://localhost/3", True),
        ("http://[::1]:9/3", True),
        ("https://api.themoviedb.org/3", False),
        ("http://127.0.0.1.example.org/3", False),
    ],
)
def test_loopback_is_told_by_address(url: str, expected: bool) -> None:
    assert is_loopback(url) is expected


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg2", "postgresql+psycopg"])
def test_any_postgres_url_is_made_one_for_psycopg2(scheme: str) -> None:
    url = postgres_url(f"{scheme}://u:p@host:5433/db?sslmode=require")
    assert url.render_as_string(hide_password=False) == "postgresql+psycopg2://u:p@host:5433/db?sslmode=require"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("HORROR_FIRST_YEAR", "2199"),
        ("HORROR_MIN_VOTES", "10000000000"),
        ("HORROR_GAP_MIN_VOTES", "-1"),
        ("HORROR_RUN_HISTORY_DAYS", "999999999"),
        ("TMDB_REQUESTS_PER_SECOND", "1e-300"),
        ("TMDB_REQUESTS_PER_SECOND", "inf"),
        ("HORROR_ALERT_WEBHOOK", "hunter2"),
        ("HORROR_ALERT_WEBHOOK", "https://chat:99999/hunter2"),
        ("TMDB_API_URL", "http://127.0.0.1:99999/3"),
        ("TMDB_API_URL", "http://a host/3"),
        ("TMDB_API_URL", "http://me:hunter2@host/3"),
        ("TMDB_EXPORTS_URL", "http://[::1/p/exports"),
        ("HORROR_RUN_LAUNCHER_CONFIG", "[" * 5_000),
        ("HORROR_HOME", "~nobody-of-this-name/horror"),
        ("DATABASE_URL", "postgresql://u:hunter2@host:99999/db"),
        ("HORROR_HOME", '/tmp/a"b'),
        ("HORROR_HOME", "/tmp/a$b"),
        ("HORROR_HOME", "/tmp/a`b`"),
    ],
)
def test_what_could_only_fail_later_is_refused_by_name(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as raised:
        load_settings()
    (detail,) = raised.value.details
    assert detail.startswith(f"{name}: ")
    assert "hunter2" not in str(raised.value)


def test_spaces_around_a_value_are_stripped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMDB_API_KEY", f"  {V3}\t")
    monkeypatch.setenv("HORROR_SCHEDULES", " off ")
    monkeypatch.setenv("DATABASE_URL", "   ")
    settings = load_settings()
    assert settings.tmdb_api_key is not None and settings.tmdb_api_key.get_secret_value() == V3
    assert not settings.horror_schedules
    assert settings.database_url is None


@pytest.mark.parametrize(
    ("variables", "source"),
    [
        ({}, "own_demo"),
        ({"TMDB_API_URL": "http://127.0.0.1:8801/3"}, "served_demo"),
        ({"TMDB_API_KEY": V3}, "tmdb"),
        ({"TMDB_API_KEY": "replay", "TMDB_API_URL": "http://127.0.0.1:8801/3"}, "tmdb"),
    ],
)
def test_which_tmdb_is_asked_follows_from_credential_and_address(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], source: str
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert load_settings().tmdb_source == source
