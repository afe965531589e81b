"""Every setting of the pipeline, typed and validated, and the values that follow from settings alone.

Environment variables win over `.env`, which is read from the current folder. Lower layers, such as the warehouse and
the models, do not read settings: callers pass them the values they need.
"""

from __future__ import annotations

import datetime as dt
import ipaddress
import json
import re
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationError, model_validator
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from horror_pipeline.domain import GENRE_NAMES, HORROR_GENRE_ID, credential_form
from horror_pipeline.errors import SettingsError

TMDB_API_URL = "https://api.themoviedb.org/3"
TMDB_EXPORTS_URL = "https://files.tmdb.org/p/exports"

_GAP = re.compile(r"[\s\x00-\x1f]")

MOST_VOTES = 1_000_000
"""More votes than any film on TMDB has."""

RunLauncher = Literal["default", "celery", "docker", "k8s"]
"""Where runs execute: on the code server's machine, on Celery's workers, or each in its own container or pod."""

TmdbSource = Literal["tmdb", "served_demo", "own_demo"]
"""Where films come from: TMDB, a demo TMDB that `horror demo` serves, or one that each run starts for itself."""


def _switch(value: object) -> object:
    """Accept `on` and `off` in any case, and leave other spellings to pydantic."""
    return {"on": True, "off": False}.get(str(value).lower(), value)


def _json_object(value: object) -> object:
    try:
        parsed = json.loads(value) if isinstance(value, str) else value
    except (ValueError, RecursionError):
        parsed = None
    if not isinstance(parsed, dict):
        raise ValueError("must be a JSON object, such as {}")
    return parsed


def _genres(value: object) -> object:
    """Parse names of genres, separated by commas; `all` becomes an empty tuple."""
    names = [name.strip() for name in value.split(",")] if isinstance(value, str) else value
    if not isinstance(names, (list, tuple)) or [str(name).lower() for name in names] == ["all"]:
        return ()
    known = {name.lower(): name for name in GENRE_NAMES.values()}
    if not all(str(name).lower() in known for name in names):
        raise ValueError(f"must be `all`, or names of TMDB's genres with commas between: {', '.join(known.values())}")
    return tuple(dict.fromkeys(known[str(name).lower()] for name in names))


def _is_http_url(value: str) -> bool:
    try:
        parts = urlsplit(value)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0 and not _GAP.search(value)
    except ValueError:  # an impossible port or IPv6 address
        return False


def _http_url(value: str) -> str:
    if not _is_http_url(value) or {"?", "#", "@"} & set(value):
        raise ValueError("must be an http(s) URL without user or query, like https://api.themoviedb.org/3")
    return value.rstrip("/")


def _webhook(value: SecretStr) -> SecretStr:
    if not _is_http_url(value.get_secret_value()):
        raise ValueError("must be the http(s) URL that your chat or incident service gave you")
    return value


def _database_url(value: SecretStr) -> SecretStr:
    postgres_url(value.get_secret_value())
    return value


def _home(value: Path) -> Path:
    try:
        home = value.expanduser().absolute()
    except RuntimeError:
        raise ValueError("begins with ~ and a user who does not exist") from None
    if re.search(r"[\"$`\\\x00-\x1f]", str(home)):  # Postgres's own tools pass the path through a shell
        raise ValueError("must not contain a double quote, $, backtick, backslash or line break")
    return home


def _past_year(value: int) -> int:
    if value > dt.datetime.now(dt.UTC).year:
        raise ValueError("must not be in the future; upcoming films are always collected")
    return value


Switch = Annotated[bool, BeforeValidator(_switch)]
HttpUrl = Annotated[str, AfterValidator(_http_url)]
DatabaseUrl = Annotated[SecretStr, AfterValidator(_database_url)]


class Settings(BaseSettings):
    """The settings of one process; field names are the environment variables in lower case."""

    model_config = SettingsConfigDict(
        env_file=".env", env_file_encoding="utf-8", extra="ignore", env_ignore_empty=True, frozen=True
    )

    database_url: DatabaseUrl | None = Field(
        None, description="Warehouse; unset: the embedded Postgres under HORROR_HOME."
    )
    dagster_database_url: DatabaseUrl | None = Field(
        None, description="Dagster's own storage; unset: database `dagster` on the warehouse's server."
    )
    tmdb_api_key: SecretStr | None = Field(
        None, description="TMDB v3 key or v4 read access token; unset: the demo TMDB."
    )
    tmdb_api_url: HttpUrl = Field(TMDB_API_URL, description="Base URL of TMDB's v3 API.")
    tmdb_exports_url: HttpUrl = Field(TMDB_EXPORTS_URL, description="Base URL of TMDB's daily id exports.")
    tmdb_requests_per_second: float = Field(
        35, ge=0.01, allow_inf_nan=False, description="Ceiling of all requests to TMDB together."
    )
    tmdb_connections: int = Field(16, ge=1, le=128, description="Connections to TMDB kept open at once.")
    horror_home: Annotated[Path, AfterValidator(_home)] = Field(
        Path(".horror"), validate_default=True, description="Embedded database, Dagster home and logs."
    )
    horror_first_year: Annotated[int, AfterValidator(_past_year)] = Field(
        2010, ge=1874, description="First release year collected."
    )
    horror_min_votes: int = Field(
        10,
        ge=0,
        le=MOST_VOTES,
        description="Votes a released film needs to be collected; upcoming films are always in.",
    )
    horror_genres: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_genres)] = Field(
        (GENRE_NAMES[HORROR_GENRE_ID],), description="Genres collected: TMDB's names with commas between, or `all`."
    )
    horror_learn_from: Literal["all", "horror"] = Field(
        "all", description="Films that models learn from: of `all` genres, or only those collected (`horror`)."
    )
    horror_retention_days: int = Field(
        180, ge=1, le=180, description="Days TMDB data is kept; TMDB's terms allow six months at most."
    )
    horror_run_history_days: int = Field(
        30, ge=1, le=3_650, description="Days Dagster's runs and their events are kept."
    )
    horror_gap_min_votes: int = Field(
        50, ge=0, le=MOST_VOTES, description="Votes a film needs before it is called under- or over-valued."
    )
    horror_schedules: Switch = Field(True, description="`off` starts with every schedule stopped.")
    horror_run_launcher: RunLauncher = Field(
        "default", description="Where runs run: default (this machine), celery (workers), docker or k8s."
    )
    horror_run_launcher_config: Annotated[dict[str, Any], NoDecode, BeforeValidator(_json_object)] = Field(
        {}, description="With docker or k8s: Dagster's own configuration of that launcher, as a JSON object."
    )
    celery_broker_url: SecretStr | None = Field(
        None, description="With celery: the broker, like redis://localhost:6379/0."
    )
    horror_alert_webhook: Annotated[SecretStr, AfterValidator(_webhook)] | None = Field(
        None, description="URL that receives one JSON message per failure, and one a week."
    )
    horror_alert_breakouts: Switch = Field(
        False, description="`on` also posts the films that broke out, once a day, to the webhook."
    )
    poll_interval_ms: int = Field(30_000, ge=1_000, le=3_600_000, description="Dashboard refresh, in milliseconds.")
    horror_web_host: str = Field("127.0.0.1", description="Address the dashboard and the Dagster UI listen on.")
    horror_web_port: int = Field(8000, ge=1, le=65_535, description="Port of the dashboard and JSON API.")
    horror_ui_port: int = Field(3000, ge=1, le=65_535, description="Port of the Dagster UI.")
    horror_ui_url: HttpUrl | None = Field(
        None, description="Where people reach the Dagster UI, for links in alerts; unset: its host and port."
    )

    @model_validator(mode="before")
    @classmethod
    def _stripped(cls, values: dict[str, Any]) -> dict[str, Any]:
        """Strip the spaces that pasting can leave around a value; a value of nothing but spaces counts as unset."""
        stripped = {name: value.strip() if isinstance(value, str) else value for name, value in values.items()}
        return {name: value for name, value in stripped.items() if value != ""}

    @model_validator(mode="after")
    def _credential_has_a_known_form(self) -> Settings:
        key = self.tmdb_api_key.get_secret_value() if self.tmdb_api_key else None
        if key is not None and credential_form(key) is None and not is_loopback(self.tmdb_api_url):
            raise ValueError(
                "TMDB_API_KEY is neither a v3 API key (32 hexadecimal characters) nor a v4 read access token "
                "(eyJ… with two dots); copy one from https://www.themoviedb.org/settings/api"
            )
        return self

    @model_validator(mode="after")
    def _celery_has_a_broker(self) -> Settings:
        if self.horror_run_launcher == "celery" and self.celery_broker_url is None:
            raise ValueError("HORROR_RUN_LAUNCHER=celery needs CELERY_BROKER_URL, like redis://localhost:6379/0")
        return self

    @property
    def genre_ids(self) -> tuple[int, ...]:
        """TMDB's ids of the collected genres; empty if all genres are collected."""
        return tuple(genre for genre, name in GENRE_NAMES.items() if name in self.horror_genres)

    @property
    def learns_from_others(self) -> bool:
        """Whether models learn from films that are not collected."""
        return self.horror_learn_from == "all" and bool(self.horror_genres)

    @property
    def tmdb_source(self) -> TmdbSource:
        """Which TMDB is asked: with a key the real one, else the demo at `tmdb_api_url` or, by default, one per run."""
        if self.tmdb_api_key is not None:
            return "tmdb"
        return "own_demo" if self.tmdb_api_url == TMDB_API_URL else "served_demo"

    @property
    def is_demo(self) -> bool:
        """Whether films are made up."""
        return self.tmdb_source != "tmdb"

    @property
    def dagster_home(self) -> Path:
        """Dagster's home: its instance file and compute logs."""
        return self.horror_home / "dagster"

    @property
    def log_dir(self) -> Path:
        """Where processes started by `horror up` write their logs."""
        return self.horror_home / "logs"


def is_loopback(url: str) -> bool:
    """Whether the URL's host is this machine by name or address."""
    host = urlsplit(url).hostname or ""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def postgres_url(text: str) -> URL:
    """Parse any `postgres…://` form into a SQLAlchemy URL for psycopg2.

    Raises:
        ValueError: the text is not a Postgres URL; the message never repeats it, as it may hold a password.
    """
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        raise ValueError("is not a database URL; use postgresql://user:password@host:5432/database") from None
    if url.drivername.split("+")[0] not in ("postgres", "postgresql"):
        raise ValueError("must be a Postgres URL: postgresql://user:password@host:5432/database")
    if not url.database:
        raise ValueError("names no database; end it with one, like postgresql://user:password@host:5432/horror")
    if url.port is not None and not 1 <= url.port <= 65_535:
        raise ValueError("names a port outside 1 to 65535")
    return url.set(drivername="postgresql+psycopg2")


def load_settings() -> Settings:
    """Read the settings now.

    Raises:
        SettingsError: a setting is wrong; the message names every such variable, but no values, as they may be secret.
    """
    try:
        return Settings()
    except ValidationError as error:
        details = [_describe(detail) for detail in error.errors(include_input=False, include_url=False)]
        raise SettingsError(
            f"wrong setting: {'; '.join(details)}",
            "correct it in the environment or in .env; .env.example describes every setting",
            details=details,
        ) from None
    except UnicodeDecodeError:
        raise SettingsError("the .env file is not UTF-8 text", "save it as UTF-8 or remove it") from None


def _describe(detail: ErrorDetails) -> str:
    message = str(detail["msg"]).removeprefix("Value error, ")
    name = ".".join(str(part) for part in detail["loc"]).upper()
    return f"{name}: {message}" if name else message


@lru_cache(maxsize=1)
def get_settings() -> Settings:
    """Return the settings of this process, read once.

    Raises:
        SettingsError: as `load_settings`.
    """
    return load_settings()
