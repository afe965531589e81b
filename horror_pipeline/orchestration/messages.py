"""The messages that are posted to `HORROR_ALERT_WEBHOOK`: redacted, as JSON."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from urllib.parse import urlsplit

import requests

from horror_pipeline.settings import Settings, postgres_url

logging.getLogger("urllib3.connectionpool").setLevel(logging.INFO)  # at DEBUG it logs the webhook's path, a secret

POST_SECONDS = 2.0
LONGEST_LINE = 500

CREDENTIALS = re.compile(r"(?i)((?:api_key|apikey|access_token|token|password)=|bearer\s+|://[^\s:/@]+:)[^\s&'\"@)]+")


@dataclass(frozen=True)
class Message:
    """A message, whose attributes are the keys of the posted JSON.

    Attributes:
        id: identifies the event; the same each time it is sent.
        kind: `run_failed`, `check_failed`, `asset_stale`, `breakouts` or `weekly_digest`.
        asset: key of the asset concerned; '' if there is none, as when a run failed outside the step of an asset.
        link: where to look in the Dagster UI.
        reason: what happened, as a sentence.
        at: when it happened, in ISO 8601, UTC.
        run: Dagster's id of the run; '' if the message concerns no run.
        job: the run's job; '' if the message concerns no run.
        error: first line of the error; '' if there is none.
        will_retry: whether Dagster will start the run again.
        text: the whole message in one line, under the key that chat services display.
    """

    id: str
    kind: str
    asset: str
    link: str
    reason: str
    at: str
    run: str = ""
    job: str = ""
    error: str = ""
    will_retry: bool = False
    text: str = ""


def redacted(text: str, secrets: Iterable[str]) -> str:
    """Return the text's first line without credentials, at most `LONGEST_LINE` long."""
    line = next(iter(text.strip().splitlines()), "")
    for secret in secrets:
        line = line.replace(secret, "***")
    return CREDENTIALS.sub(r"\1***", line)[:LONGEST_LINE]


def secrets_of(settings: Settings) -> list[str]:
    """Return every secret among the settings, the longest first."""
    urls = [settings.database_url, settings.dagster_database_url]
    passwords = [postgres_url(url.get_secret_value()).password for url in urls if url is not None]
    configured = [settings.tmdb_api_key, settings.horror_alert_webhook, *urls]
    values = [str(password) for password in passwords if password]
    values += [secret.get_secret_value() for secret in configured if secret is not None]
    return sorted(values, key=len, reverse=True)


def poster(settings: Settings) -> Callable[[Message], None] | None:
    """Return a function that redacts a message and posts it; None if no webhook is set.

    If posting fails, the function raises `OSError`, whose message is one line without the URL.
    """
    if settings.horror_alert_webhook is None:
        return None
    url, secrets = settings.horror_alert_webhook.get_secret_value(), secrets_of(settings)
    host = urlsplit(url).hostname

    def post(message: Message) -> None:
        error = redacted(message.error, secrets)
        subject = " ".join(filter(None, (message.job, message.asset)))
        about = f"{subject}: {message.reason}" if subject else message.reason
        text = f"horror_pipeline: {about}{f': {error}' if error else ''} {message.link}"
        body = json.dumps(asdict(replace(message, error=error, text=text))).encode()
        headers = {"Content-Type": "application/json", "User-Agent": "horror-pipeline"}
        try:
            answer = requests.post(url, data=body, headers=headers, timeout=POST_SECONDS, allow_redirects=False)
        except requests.RequestException as error:
            # Only the error's type is reported: its text holds the URL's path, which may be a secret.
            raise OSError(f"the webhook at {host} could not be reached ({type(error).__name__})") from None
        if answer.status_code >= 300:
            raise OSError(f"the webhook at {host} answered {answer.status_code}")

    return post


def ui_url(settings: Settings) -> str:
    """Return the address at which people reach the Dagster UI."""
    host = "127.0.0.1" if settings.horror_web_host in ("0.0.0.0", "::") else settings.horror_web_host  # noqa: S104
    return settings.horror_ui_url or f"http://{host}:{settings.horror_ui_port}"
