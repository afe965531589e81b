"""What is configured, reachable and wrong, and what to do about each: `horror doctor`.

What belongs here: looking at settings, this machine and TMDB, with a remedy for whatever is found wrong; databases are
in `doctor_databases`. What does not: mending. Nothing is created or changed.
"""

from __future__ import annotations

import datetime as dt
import os
import platform
import re
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from urllib.parse import urlsplit

from horror_pipeline.cli.doctor.databases import examine_databases
from horror_pipeline.cli.doctor.diagnosis import Finding, State, whatever_happens
from horror_pipeline.errors import CredentialError, HorrorError, SettingsError, TmdbError
from horror_pipeline.runtime.environment import free_disk_bytes
from horror_pipeline.settings import Settings, credential_form, load_settings

MEGABYTE = 1_000_000
LEAST_FREE_BYTES, LITTLE_FREE_BYTES = 200 * MEGABYTE, 2_000 * MEGABYTE
CLOCK_SECONDS = 60


def examine(now: Callable[[], dt.datetime] = lambda: dt.datetime.now(dt.UTC)) -> list[Finding]:
    """Look at everything. Never raises for what it finds.

    Args:
        now: the present moment, UTC.
    """
    findings = [_versions()]
    try:
        settings = load_settings()
    except SettingsError as error:
        problems = re.split(r"; (?=[A-Z_]{4,}\b)", str(error).removeprefix("wrong setting: "))
        remedy = "correct it in the environment or in .env; .env.example describes every setting"
        return [*findings, *(Finding("settings", State.FATAL, problem, remedy) for problem in problems)]
    looks: list[tuple[str, Callable[[], Iterator[Finding]]]] = [
        ("settings", lambda: _settings(settings)),
        ("home", lambda: _home(settings)),
        ("TMDB", lambda: _tmdb(settings, now)),
        ("database", lambda: examine_databases(settings, now())),
        ("ports", lambda: _ports(settings)),
    ]
    for subject, look in looks:
        findings += whatever_happens(subject, look)
    return findings


def _versions() -> Finding:
    names = ("horror-pipeline", "dagster", "sqlalchemy", "scikit-learn")
    told = ", ".join(f"{name} {version(name)}" for name in names)
    return Finding("versions", State.GOOD, f"{told}, Python {platform.python_version()}, {platform.system()}")


# -- settings and this machine -----------------------------------------------------------------------------------------


def _settings(settings: Settings) -> Iterator[Finding]:
    given = sorted(name.upper() for name in settings.model_fields_set)
    dot_env = " (with .env of this folder)" if Path(".env").is_file() else ""
    yield Finding("settings", State.GOOD, f"set: {', '.join(given) or 'none, all by default'}{dot_env}")
    if not settings.horror_schedules:
        yield Finding("schedules", State.NOTE, "HORROR_SCHEDULES is off: nothing runs by itself under `horror up`")
    if settings.horror_alert_webhook is None:
        yield Finding("alerts", State.NOTE, "HORROR_ALERT_WEBHOOK is not set: failures show in the Dagster UI only")
    else:
        parts = urlsplit(settings.horror_alert_webhook.get_secret_value())
        if parts.scheme in ("http", "https") and parts.hostname:
            yield Finding("alerts", State.GOOD, f"failures are posted to {parts.hostname}")
        else:
            remedy = "set it to the http(s) URL your chat or incident service gave you, or remove it"
            yield Finding("alerts", State.WARNING, "HORROR_ALERT_WEBHOOK is not an http(s) URL", remedy)
    host = settings.horror_web_host
    if host not in ("127.0.0.1", "::1", "localhost"):
        text_ = f"HORROR_WEB_HOST is {host}: the Dagster UI has no login, and whoever reaches it can run anything"
        remedy = "set HORROR_WEB_HOST=127.0.0.1 and put a proxy with a login in front: docs/operations.md, Security"
        yield Finding("exposure", State.WARNING, text_, remedy)


def _home(settings: Settings) -> Iterator[Finding]:
    home = settings.horror_home
    folder = home
    while not folder.exists():
        folder = folder.parent
    if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
        remedy = "make it writable or set HORROR_HOME elsewhere"
        yield Finding("home", State.FATAL, f"HORROR_HOME ({home}) cannot be written", remedy)
        return
    made = "" if home.exists() else ", made at the first run"
    yield Finding("home", State.GOOD, f"HORROR_HOME is {home}{made}")
    free = free_disk_bytes(settings)
    told = f"{free / MEGABYTE:,.0f} MB free where HORROR_HOME is"
    remedy = "free some space, or set HORROR_HOME to a folder on a larger disk"
    if free < LEAST_FREE_BYTES:
        yield Finding("disk", State.FATAL, told, remedy)
    elif free < LITTLE_FREE_BYTES:
        yield Finding("disk", State.WARNING, told, remedy)
    else:
        yield Finding("disk", State.GOOD, told)


def _ports(settings: Settings) -> Iterator[Finding]:
    from horror_pipeline.cli.up import answers, require_free_port, url

    ours = (
        ("Dagster UI", settings.horror_ui_port, "HORROR_UI_PORT", "/server_info"),
        ("dashboard", settings.horror_web_port, "HORROR_WEB_PORT", "/openapi.json"),
    )
    for name, port, variable, path in ours:
        if answers(f"{url(settings, port)}{path}")():
            yield Finding("ports", State.GOOD, f"the {name} answers on {url(settings, port)}")
            continue
        try:
            require_free_port(settings.horror_web_host, port, variable)
        except HorrorError as error:
            problem, _, remedy = str(error).partition("; ")
            yield Finding("ports", State.WARNING, problem, f"for `horror up`: {remedy}")
        else:
            yield Finding("ports", State.GOOD, f"port {port} is free for the {name}")


# -- TMDB --------------------------------------------------------------------------------------------------------------


def _tmdb(settings: Settings, now: Callable[[], dt.datetime]) -> Iterator[Finding]:
    if settings.tmdb_api_key is None:
        remedy = "for real films set TMDB_API_KEY: https://www.themoviedb.org/settings/api"
        yield Finding("TMDB", State.NOTE, "TMDB_API_KEY is not set: the made-up TMDB is used", remedy)
        return
    from horror_pipeline.tmdb.client import TmdbClient

    form = credential_form(settings.tmdb_api_key.get_secret_value())
    told = {"v3": "a v3 API key", "v4": "a v4 read access token", None: "of a form of its own"}[form]
    host = urlsplit(settings.tmdb_api_url).netloc
    with TmdbClient.from_settings(settings) as client:
        try:
            client.check_credential()
        except CredentialError as error:
            remedy = "copy it again from https://www.themoviedb.org/settings/api"
            yield Finding("TMDB", State.FATAL, f"TMDB_API_KEY, {told}, is refused by {host}: {error}", remedy)
        except TmdbError as error:
            problem, _, remedy = str(error).partition("; ")
            yield Finding("TMDB", State.FATAL, problem, remedy)
        else:
            yield Finding("TMDB", State.GOOD, f"{host} takes TMDB_API_KEY, {told}")
        there, here = client.server_date(), now()
    if there is not None:
        off = (here - there).total_seconds()
        if abs(off) > CLOCK_SECONDS:
            told = f"this machine's clock is {abs(off):,.0f} s {'ahead of' if off > 0 else 'behind'} TMDB's"
            yield Finding("clock", State.WARNING, told, "set it by NTP; days of history begin and end by it")
        else:
            yield Finding("clock", State.GOOD, f"within {CLOCK_SECONDS} s of TMDB's")
