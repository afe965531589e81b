"""TCP ports of this machine: which are free, and what answers on them."""

from __future__ import annotations

import errno
import json
import socket
from typing import Any

import requests

from horror_pipeline.errors import HorrorError

ANSWER_SECONDS = 2.0
DAEMON_HEALTH = "{instance{daemonHealth{allDaemonStatuses{daemonType required healthy}}}}"


def local_url(host: str, port: int) -> str:
    """Return the URL at which a browser on this machine reaches the server that listens on this host and port."""
    address = connectable(host)
    return f"http://[{address}]:{port}" if ":" in address else f"http://{address}:{port}"


def connectable(host: str) -> str:
    """Return the address at which a server that listens on `host` can be reached from this machine."""
    return "127.0.0.1" if host in ("0.0.0.0", "::") else host  # noqa: S104 - compared, not listened on


def require_free_port(host: str, port: int, variable: str) -> None:
    """Make sure that a port can be listened on.

    Raises:
        HorrorError: the port cannot be listened on; the remedy names the setting to change.
    """
    with _socket(host) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            is_elsewhere = isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL
            raise HorrorError(
                f"port {port} on {host} cannot be used ({error.strerror})",
                "set HORROR_WEB_HOST to an address of this machine"
                if is_elsewhere
                else f"stop what uses it or set {variable} to another",
            ) from None


def free_port() -> int:
    """Return a port of the loopback address that nothing listens on."""
    with _socket("127.0.0.1") as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def listens(host: str, port: int) -> bool:
    """Whether anything listens on a port."""
    with _socket(host) as probe:
        probe.settimeout(1)
        return probe.connect_ex((host, port)) == 0


def answers(address: str) -> bool:
    """Whether the URL answers with status 200."""
    return _body(address) is not None


def daemon_is_healthy(graphql: str) -> bool:
    """Ask the UI's GraphQL endpoint whether every daemon that the Dagster instance requires is healthy."""
    body = _body(graphql, {"query": DAEMON_HEALTH})
    if body is None:
        return False
    statuses: list[dict[str, Any]] = json.loads(body)["data"]["instance"]["daemonHealth"]["allDaemonStatuses"]
    return all(status["healthy"] for status in statuses if status["required"])


def _body(address: str, question: dict[str, str] | None = None) -> bytes | None:
    """Send a GET, or a POST of the question as JSON; return the body of an answer with status 200, else None."""
    with requests.Session() as session:
        session.trust_env = False  # requests to this machine must not go through a proxy
        try:
            answer = session.request("POST" if question else "GET", address, json=question, timeout=ANSWER_SECONDS)
        except requests.RequestException:
            return None
        return answer.content if answer.status_code == 200 else None


def _socket(host: str) -> socket.socket:
    return socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
