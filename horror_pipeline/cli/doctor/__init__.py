"""`horror doctor`: check the settings, TMDB and the databases, and say how to fix what is wrong.

The checks create and change nothing. They live in `machine` (settings, this machine, TMDB) and `databases`.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator

from horror_pipeline.cli.doctor import machine
from horror_pipeline.cli.doctor.databases import check_databases
from horror_pipeline.cli.doctor.diagnosis import Diagnosis, Severity, guarded, print_diagnoses
from horror_pipeline.errors import SettingsError
from horror_pipeline.settings import load_settings

__all__ = ["Diagnosis", "Severity", "diagnose", "guarded", "print_diagnoses"]


def diagnose(now: Callable[[], dt.datetime] = lambda: dt.datetime.now(dt.UTC)) -> list[Diagnosis]:
    """Run every check; a problem is a diagnosis, never an exception.

    Args:
        now: the present moment, UTC.
    """
    diagnoses = [machine.check_versions()]
    try:
        settings = load_settings()
    except SettingsError as error:
        wrong = (Diagnosis("settings", Severity.FATAL, detail, error.remedy) for detail in error.details)
        return [*diagnoses, *wrong]
    checks: dict[str, Callable[[], Iterator[Diagnosis]]] = {
        "settings": lambda: machine.check_settings(settings),
        "home": lambda: machine.check_home(settings),
        "TMDB": lambda: machine.check_tmdb(settings, now),
        "database": lambda: check_databases(settings, now()),
        "ports": lambda: machine.check_ports(settings),
        "daemon": lambda: machine.check_daemon(settings),
    }
    for subject, check in checks.items():
        diagnoses += guarded(subject, check)
    return diagnoses
