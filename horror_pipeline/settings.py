"""Every setting of the pipeline, typed, in one place.

What belongs here: reading the environment and `.env`, validating, and values derived from settings alone.
What does not: connecting to anything, the clock, Dagster.

Environment variables win over `.env`, which is read from the current folder.
"""

from __future__ import annotations

import ipaddress
import re
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, SettingsConfigDict
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from horror_pipeline.errors import SettingsError

TMDB_API_URL = "https://api.themoviedb.org/3"
TMDB_EXPORTS_URL = "https://files.tmdb.org/p/exports"

V3_KEY = re.compile(r"[0-9a-fA-F]{32}")
V4_TOKEN = re.compile(r"eyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")

CredentialForm = Literal["v3", "v4"]


def _switch(value: object) -> object:
    """`on`/`off` beside the spellings pydantic knows."""
    return {"on": True, "off": False}.get(str(value).strip().lower(), value)


Switch = Annotated[bool, BeforeValidator(_switch)]


class Settings(BaseSettings):
    """The settings of one process; field names are the environment variables in lower case."""

    model_config = SettingsConfigDict(
        env_file=".env", env_file_encoding="utf-8", extra="ignore", env_ignore_empty=True, frozen=True
    )

    database_url: SecretStr | None = Field(
        None, description="Warehouse; unset: the embedded Postgres under HORROR_HOME."
    )
    dagster_database_url: SecretStr | None = Field(
        None, description="Dagster's own storage; unset: database `dagster` on the warehouse's server."
    )
    tmdb_api_key: SecretStr | None = Field(
        None, description="TMDB v3 key or v4 read access token; unset: the demo TMDB."
    )
    tmdb_api_url: str = Field(TMDB_API_URL, description="Base URL of TMDB's v3 API.")
    tmdb_exports_url: str = Field(TMDB_EXPORTS_URL, description="Base URL of TMDB's daily id exports.")
    tmdb_requests_per_second: float = Field(35, gt=0, description="Ceiling of all requests to TMDB together.")
    tmdb_connections: int = Field(16, ge=1, le=128, description="Connections to TMDB kept open at once.")
    horror_home: Path = Field(Path(".horror"), description="Embedded database, Dagster home and logs.")
    horror_first_year: int = Field(2010, ge=1874, le=2100, description="First release year collected.")
    horror_min_votes: int = Field(
        10, ge=0, description="Votes a released film needs to be collected; upcoming films are always in."
    )
    horror_retention_days: int = Field(
        180, ge=1, le=180, description="Days TMDB data is kept; TMDB's terms allow six months at most."
    )
    horror_run_history_days: int = Field(30, ge=1, description="Days Dagster's runs, events and ticks are kept.")
    horror_gap_min_votes: int = Field(
        50, ge=0, description="Votes a film needs before it is called under- or over-valued."
    )
    horror_schedules: Switch = Field(True, description="`off` starts with every schedule stopped.")
    horror_alert_webhook: SecretStr | None = Field(None, description="URL that receives one JSON message per failure.")
    poll_interval_ms: int = Field(30_000, ge=1_000, le=3_600_000, description="Dashboard refresh, in milliseconds.")
    horror_web_host: str = Field("127.0.0.1", description="Address the dashboard and the Dagster UI listen on.")
    horror_web_port: int = Field(8000, ge=1, le=65_535, description="Port of the dashboard and JSON API.")
    horror_ui_port: int = Field(3000, ge=1, le=65_535, description="Port of the Dagster UI.")
    horror_ui_url: str | None = Field(
        None, description="Where people reach the Dagster UI, for links in alerts; unset: its host and port."
    )

    @field_validator("tmdb_api_url", "tmdb_exports_url", "horror_ui_url")
    @classmethod
    def _http_url(cls, value: str | None) -> str | None:
        if value is None:
            return None
        parts = urlsplit(value)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query:
            raise ValueError("must be an http(s) URL without a query, like https://api.themoviedb.org/3")
        return value.rstrip("/")

    @field_validator("horror_home")
    @classmethod
    def _absolute(cls, value: Path) -> Path:
        return value.expanduser().absolute()

    @field_validator("database_url", "dagster_database_url")
    @classmethod
    def _postgres_url(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            postgres_url(value.get_secret_value())
        return value

    @model_validator(mode="after")
    def _credential_form(self) -> Settings:
        key = self.tmdb_api_key.get_secret_value() if self.tmdb_api_key else None
        if key is not None and credential_form(key) is None and not is_loopback(self.tmdb_api_url):
            raise ValueError(
                "TMDB_API_KEY is neither a v3 API key (32 hexadecimal characters) nor a v4 read access token "
                "(eyJ… with two dots); copy one from https://www.themoviedb.org/settings/api"
            )
        return self

    @property
    def is_demo(self) -> bool:
        """Whether the made-up TMDB is used: no credential is set."""
        return self.tmdb_api_key is None

    @property
    def dagster_home(self) -> Path:
        """Dagster's home: its instance file and compute logs."""
        return self.horror_home / "dagster"

    @property
    def log_dir(self) -> Path:
        """Where processes started by `horror up` write their logs."""
        return self.horror_home / "logs"


def credential_form(key: str) -> CredentialForm | None:
    """Tell a v3 API key from a v4 read access token by its form; None when it is neither."""
    if V3_KEY.fullmatch(key):
        return "v3"
    return "v4" if V4_TOKEN.fullmatch(key) else None


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
    return url.set(drivername="postgresql+psycopg2")


def load_settings() -> Settings:
    """Read the settings now.

    Raises:
        SettingsError: one line naming every wrong variable; values are left out, as they may be secret.
    """
    try:
        return Settings()
    except ValidationError as error:
        problems = "; ".join(_describe(problem) for problem in error.errors(include_input=False, include_url=False))
        raise SettingsError(f"wrong setting: {problems}") from None
    except UnicodeDecodeError:
        raise SettingsError("the .env file is not UTF-8 text; save it as UTF-8 or remove it") from None


def _describe(problem: ErrorDetails) -> str:
    message = str(problem["msg"]).removeprefix("Value error, ")
    name = ".".join(str(part) for part in problem["loc"]).upper()
    return f"{name}: {message}" if name else message


@lru_cache(maxsize=1)
def get_settings() -> Settings:
    """The settings of this process, read once.

    Raises:
        SettingsError: as `load_settings`.
    """
    return load_settings()
