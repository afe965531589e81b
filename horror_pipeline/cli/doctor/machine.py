"""The doctor's checks of the settings, this machine and TMDB."""

from __future__ import annotations

import datetime as dt
import os
import platform
import shutil
import socket
from collections.abc import Callable, Iterator
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import psutil

from horror_pipeline.cli.doctor.diagnosis import Diagnosis, Severity
from horror_pipeline.cli.run import tmdb_client
from horror_pipeline.cli.up import MOST_DAEMON_BYTES, workspace_file
from horror_pipeline.domain import credential_form
from horror_pipeline.errors import CredentialError, HorrorError, TmdbError
from horror_pipeline.runtime.ports import answers, local_url, require_free_port
from horror_pipeline.settings import Settings

MEGABYTE = 1_000_000
LEAST_FREE_BYTES, LITTLE_FREE_BYTES = 200 * MEGABYTE, 2_000 * MEGABYTE
CLOCK_SECONDS = 60
CONNECT_SECONDS = 3.0
CREDENTIAL_FORMS = {"v3": "a v3 API key", "v4": "a v4 read access token", None: "of an unknown form"}


def check_versions() -> Diagnosis:
    """Report the versions of the pipeline, of its main libraries and of Python."""
    names = ("horror-pipeline", "dagster", "sqlalchemy", "scikit-learn")
    versions = ", ".join(f"{name} {version(name)}" for name in names)
    return Diagnosis("versions", Severity.GOOD, f"{versions}, Python {platform.python_version()}, {platform.system()}")


def check_settings(settings: Settings) -> Iterator[Diagnosis]:
    """Report which settings are set, and warn about what follows from them."""
    names = ", ".join(sorted(name.upper() for name in settings.model_fields_set)) or "none, all by default"
    dot_env = " (with .env of this folder)" if Path(".env").is_file() else ""
    yield Diagnosis("settings", Severity.GOOD, f"set: {names}{dot_env}")
    if not settings.horror_schedules:
        problem = "HORROR_SCHEDULES is off: nothing runs by itself under `horror up`"
        yield Diagnosis("schedules", Severity.NOTE, problem)
    if settings.horror_alert_webhook is None:
        problem = "HORROR_ALERT_WEBHOOK is not set: failures show in the Dagster UI only"
        yield Diagnosis("alerts", Severity.NOTE, problem)
    else:
        host = urlsplit(settings.horror_alert_webhook.get_secret_value()).hostname
        yield Diagnosis("alerts", Severity.GOOD, f"failures are posted to {host}")
    if settings.horror_web_host not in ("127.0.0.1", "::1", "localhost"):
        yield Diagnosis(
            "exposure",
            Severity.WARNING,
            f"HORROR_WEB_HOST is {settings.horror_web_host}: the Dagster UI has no login, and whoever reaches it can "
            "run anything",
            "set HORROR_WEB_HOST=127.0.0.1 and put a proxy with a login in front: docs/operations.md, Security",
        )


def check_home(settings: Settings) -> Iterator[Diagnosis]:
    """Check that HORROR_HOME can be written and has space."""
    home = folder = settings.horror_home
    while not folder.exists():
        folder = folder.parent
    if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
        remedy = "make it writable or set HORROR_HOME elsewhere"
        yield Diagnosis("home", Severity.FATAL, f"HORROR_HOME ({home}) cannot be written", remedy)
        return
    created = "" if home.exists() else ", created by the first run"
    yield Diagnosis("home", Severity.GOOD, f"HORROR_HOME is {home}{created}")
    free = shutil.disk_usage(folder).free
    problem = f"{free / MEGABYTE:,.0f} MB free where HORROR_HOME is"
    if free >= LITTLE_FREE_BYTES:
        yield Diagnosis("disk", Severity.GOOD, problem)
    else:
        severity = Severity.FATAL if free < LEAST_FREE_BYTES else Severity.WARNING
        yield Diagnosis("disk", severity, problem, "free some space, or set HORROR_HOME to a folder on a larger disk")


def check_ports(settings: Settings) -> Iterator[Diagnosis]:
    """Check that the ports of `horror up` are free, or that its servers answer on them."""
    servers = (
        ("Dagster UI", settings.horror_ui_port, "HORROR_UI_PORT", "/server_info"),
        ("dashboard", settings.horror_web_port, "HORROR_WEB_PORT", "/openapi.json"),
    )
    for name, port, variable, path in servers:
        url = local_url(settings.horror_web_host, port)
        if answers(f"{url}{path}"):
            yield Diagnosis("ports", Severity.GOOD, f"the {name} answers on {url}")
            continue
        try:
            require_free_port(settings.horror_web_host, port, variable)
        except HorrorError as error:
            yield Diagnosis("ports", Severity.WARNING, error.problem, f"for `horror up`: {error.remedy}")
        else:
            yield Diagnosis("ports", Severity.GOOD, f"port {port} is free for the {name}")


def check_tmdb(settings: Settings, now: Callable[[], dt.datetime]) -> Iterator[Diagnosis]:
    """Check that TMDB answers and takes the credential, and that its clock and this machine's agree."""
    if settings.tmdb_api_key is None:
        remedy = 'for real films read "Before you set a key" in the README, then set TMDB_API_KEY'
        yield Diagnosis("TMDB", Severity.NOTE, "TMDB_API_KEY is not set: the made-up TMDB is used", remedy)
        return
    form = CREDENTIAL_FORMS[credential_form(settings.tmdb_api_key.get_secret_value())]
    host = urlsplit(settings.tmdb_api_url).netloc
    with tmdb_client(settings) as client:
        try:
            client.check_credential()
        except CredentialError as error:
            problem = f"TMDB_API_KEY, {form}, is refused by {host}: {error.problem}"
            remedy = "copy it again from https://www.themoviedb.org/settings/api"
            yield Diagnosis("TMDB", Severity.FATAL, problem, remedy)
        except TmdbError as error:
            yield Diagnosis("TMDB", Severity.FATAL, error.problem, error.remedy)
        else:
            yield Diagnosis("TMDB", Severity.GOOD, f"{host} takes TMDB_API_KEY, {form}")
            yield from check_families(settings.tmdb_api_url)
        tmdb_time = client.server_date
    if tmdb_time is not None:
        yield _compare_clocks((now() - tmdb_time).total_seconds())


def check_families(url: str, connect: Callable[..., socket.socket] = socket.create_connection) -> Iterator[Diagnosis]:
    """Report each address family (IPv4, IPv6) by which a server cannot be reached; report nothing if a proxy is used.

    Args:
        url: an address at the server.
        connect: connects to a host and port within a time, as `socket.create_connection` does.
    """
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    if parts.scheme in getproxies() and not proxy_bypass(host):
        return
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError:
        return  # the request has already reported that the name is unknown
    for family, name, other in ((socket.AF_INET6, "IPv6", "IPv4"), (socket.AF_INET, "IPv4", "IPv6")):
        address = next((place[0] for kind, *_, place in found if kind == family), None)
        if address is None:
            continue
        try:
            connect((address, port), timeout=CONNECT_SECONDS).close()
        except OSError as error:
            problem = f"{host} cannot be reached by {name} ({address}: {error})"
            remedy = f"check {name} on this network; where {other} works, requests go by it after the first"
            yield Diagnosis("TMDB", Severity.WARNING, problem, remedy)


def check_daemon(settings: Settings) -> Iterator[Diagnosis]:
    """Report the memory of this home's Dagster daemon, if it runs, and warn if it is too large."""
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            command = process.cmdline()
            if any("dagster-daemon" in part for part in command) and str(workspace_file(settings)) in command:
                used = process.memory_info().rss
                severity = Severity.GOOD if used <= MOST_DAEMON_BYTES else Severity.WARNING
                remedy = "" if severity is Severity.GOOD else "`horror up` restarts it as soon as no run is under way"
                yield Diagnosis("daemon", severity, f"the Dagster daemon uses {used / MEGABYTE:,.0f} MB", remedy)


def _compare_clocks(seconds_ahead: float) -> Diagnosis:
    if abs(seconds_ahead) <= CLOCK_SECONDS:
        return Diagnosis("clock", Severity.GOOD, f"within {CLOCK_SECONDS} s of TMDB's")
    direction = "ahead of" if seconds_ahead > 0 else "behind"
    problem = f"this machine's clock is {abs(seconds_ahead):,.0f} s {direction} TMDB's"
    return Diagnosis("clock", Severity.WARNING, problem, "set it by NTP; days of history begin and end by it")
