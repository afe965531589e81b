"""Fixtures of all tests: settings that no variable of the host reaches, and an empty, migrated Postgres per test."""

from __future__ import annotations

import fcntl
import gc
import itertools
import os
import signal
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psycopg2
import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory
from hypothesis import HealthCheck, settings
from sqlalchemy import URL, Engine

from horror_pipeline.runtime import postgres as embedded
from horror_pipeline.settings import get_settings
from horror_pipeline.warehouse import schema
from horror_pipeline.warehouse.engine import connect

OURS = ("HORROR_", "TMDB_", "DATABASE_URL", "DAGSTER_", "POLL_INTERVAL_MS", "PG")
TEMPLATE = "template_horror"
SLOW = {
    "e2e": ("cli/", "runtime/", "demo/test_process.py", "web/test_dashboard.py", "test_pipeline.py", "test_helm.py"),
    "integration": ("defs/test_retention.py", "defs/test_schedules.py", "defs/test_sensors.py", "modeling/"),
}
"""Files and folders that run other processes or a browser, and those that run Dagster or fit models."""
WORKER = os.environ.get("PYTEST_XDIST_WORKER", "")
MEMORY, ROOM_BYTES = Path("/dev/shm"), 2 << 30
"""Where Linux keeps files in memory, and how much has to be free for the tests' files to be there."""

_numbers = itertools.count()

# Some modules of the graph read settings when they are imported, which may be before the first test.
for _name in [name for name in os.environ if name.startswith(OURS)]:
    del os.environ[_name]


def _fits_in_memory() -> bool:
    if not os.access(MEMORY, os.W_OK):
        return False
    room = os.statvfs(MEMORY)  # tests run programs that they write, so it has to allow that
    return room.f_bavail * room.f_frsize > ROOM_BYTES and not room.f_flag & os.ST_NOEXEC


# Copying and dropping a database for every test takes a fifth of the time where its files are in memory.
if _fits_in_memory():
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(MEMORY))

# Nothing that is imported is garbage, and to look for some takes a quarter of the time of importing everything.
gc.disable()

# A script that starts the tests in the background has SIGINT ignored, and nohup SIGHUP. Every process a test starts
# would inherit that; Dagster, run in this process, would then ignore SIGTERM as well, which it treats like SIGINT.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)

# The same examples each time, and no failure because the machine is busy.
settings.register_profile(
    "tests", derandomize=True, database=None, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("tests")


def pytest_collection_finish() -> None:
    """Look for garbage again."""
    gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark each test by its cost, and start the slowest first, so that no worker ends long after the others."""
    ranks = {"e2e": 0, "integration": 1, "unit": 2}
    costs = {item: _cost(item, ranks) for item in items}
    for item, cost in costs.items():
        item.add_marker(cost)
    items.sort(key=lambda item: ranks[costs[item]])


def _cost(item: pytest.Item, names: Iterable[str]) -> str:
    given = [name for name in names if item.get_closest_marker(name)]
    path = item.path.relative_to(Path(__file__).parent).as_posix()
    slow = [name for name, paths in SLOW.items() if path.startswith(paths)]
    by_fixture = "integration" if "postgres" in getattr(item, "fixturenames", ()) else "unit"
    return (given + slow + [by_fixture])[0]


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """One worker more than cores, because tests wait for browsers, processes and databases."""
    return (os.cpu_count() or 1) + 1


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Name a case of bytes after its argument: workers have to agree on names, and compressed bytes hold the time."""
    return argname if isinstance(val, bytes) else None


@pytest.fixture(autouse=True)
def _own_settings(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No variable of the host, and no settings of the test before."""
    for name in list(os.environ):
        if name.startswith(OURS):
            monkeypatch.delenv(name)
    get_settings.cache_clear()
    yield
    get_settings.cache_clear()


@pytest.fixture(scope="session", autouse=True)
def _migrations_read_once() -> Iterator[None]:
    """Keep what Alembic reads of a folder of migrations: every instance of Dagster in memory reads all of Dagster's."""
    from_config = ScriptDirectory.from_config
    read: dict[str | None, ScriptDirectory] = {}

    def read_once(config: Config) -> ScriptDirectory:
        folder = config.get_main_option("script_location")
        if folder not in read:
            read[folder] = from_config(config)
        return read[folder]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ScriptDirectory, "from_config", staticmethod(read_once))
        yield


@pytest.fixture
def few_trees(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep every boosting small, for tests of what happens to models rather than of how good they are."""
    keep_trees_few(monkeypatch)


def keep_trees_few(patch: pytest.MonkeyPatch) -> None:
    """Do the same for fixtures that several tests share."""
    from horror_pipeline.modeling import candidates

    few = candidates.BoostingSize(leaves=4, trees=15, learning_rate=0.3)
    patch.setattr(candidates, "BOOSTING_SIZES", ((float("inf"), few),))
    patch.setattr(candidates, "ADDITIVE", few)
    patch.setattr(candidates, "AFTER_RELEASE", few)


def keep_forecasters_small(patch: pytest.MonkeyPatch) -> None:
    """Fit fewer trees than in earnest, and of the members of a horizon one of each kind."""
    from horror_pipeline.modeling.forecasting import change_model

    patch.setattr(change_model, "TREES", 10)
    patch.setattr(change_model, "LEARNING_RATE", 0.3)
    patch.setattr(change_model, "LEAVES", 5)
    patch.setattr(change_model, "RECIPES", {days: members[:2] for days, members in change_model.RECIPES.items()})


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[URL]:
    """The embedded server of all workers, with a migrated database to copy; yields its administration URL."""
    base = tmp_path_factory.getbasetemp()
    home = (base.parent if WORKER else base) / "home"
    home.mkdir(exist_ok=True)
    with embedded.session(home) as url:
        admin = url.set(database="postgres")
        with (home / "template.lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not os.fstat(lock.fileno()).st_size:
                _make_template(admin)
                lock.write("made\n")
        yield admin


def _make_template(admin: URL) -> None:
    # Nothing here outlives the tests: no need to wait for the disk.
    _administer(
        admin, *(f"ALTER SYSTEM SET {name} = off" for name in ("fsync", "synchronous_commit", "full_page_writes"))
    )
    _administer(admin, "SELECT pg_reload_conf()", f"CREATE DATABASE {TEMPLATE}")
    template = connect(admin.set(database=TEMPLATE))
    schema.upgrade(template)
    template.dispose()


@contextmanager
def database(postgres: URL, template: str = TEMPLATE) -> Iterator[URL]:
    """A copy of a database that nobody is connected to, until the block ends."""
    name = f"test_{WORKER}_{next(_numbers)}"
    _administer(postgres, f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY")
    yield postgres.set(database=name)
    _administer(postgres, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def database_url(postgres: URL) -> Iterator[URL]:
    """The URL of an empty, migrated database of the test's own."""
    with database(postgres) as url:
        yield url


@pytest.fixture
def engine(database_url: URL) -> Iterator[Engine]:
    """An engine on an empty, migrated database of the test's own."""
    engine = connect(database_url)
    yield engine
    engine.dispose()


@pytest.fixture(scope="module")
def module_engine(postgres: URL) -> Iterator[Engine]:
    """An engine on a database shared by the tests of a module, for tests that only read data that is slow to load."""
    with database(postgres) as url:
        engine = connect(url)
        yield engine
        engine.dispose()


def _administer(url: URL, *statements: str) -> None:
    connection = psycopg2.connect(url.set(drivername="postgresql").render_as_string(hide_password=False))
    connection.autocommit = True
    with closing(connection), connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
