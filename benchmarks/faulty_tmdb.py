"""A server before a TMDB that passes requests on and, as often as it is told, disturbs the answers."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import random
import signal
import socket
import struct
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

FAULTS = ("error", "refusal", "reset", "truncate", "html", "slow", "short")
"""5xx; 429; a cut connection; half a body; HTML; a late answer; a page of a listing short by a row."""


class FaultyTmdb(ThreadingHTTPServer):
    """Listens on loopback. A POST with a JSON object sets the TMDB that is asked, the shares of faults and a seed."""

    daemon_threads = True
    request_queue_size = 256

    def __init__(self) -> None:
        self.upstream: dict[str, str] = {}
        self.shares: dict[str, float] = {}
        self.random = random.Random(0)
        super().__init__(("127.0.0.1", 0), _Handler)
        self.address = f"127.0.0.1:{self.server_port}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: clients that are killed are what this is for."""


class _Handler(BaseHTTPRequestHandler):
    server: FaultyTmdb
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_POST(self) -> None:
        """Change what is asked and how it is disturbed."""
        wanted = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.upstream = {"/3": wanted["api_url"], "/p/exports": wanted["exports_url"]}
        self.server.random, self.server.shares = random.Random(wanted["seed"]), wanted["shares"]
        self._send(200, b"{}")

    def do_GET(self) -> None:
        """Pass the request on, or disturb it."""
        fault = self._fault()
        if fault == "reset":
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.close_connection = True
            self.connection.close()
        elif fault == "error":
            self._send(self.server.random.choice((500, 502, 503, 504)), b"upstream trouble")
        elif fault == "refusal":
            self._send(429, b'{"status_code":25,"status_message":"over the limit"}', {"Retry-After": "0"})
        elif fault == "html":
            self._send(200, b"<html>Maintenance</html>")
        else:
            if fault == "slow":
                time.sleep(0.2)
            status, headers, body = self._ask()
            if status == 200 and fault == "short":
                body = _short(body)
            self._send(status, body, headers, is_cut=fault == "truncate")

    def _fault(self) -> str | None:
        draw = self.server.random.random()
        for name, share in self.server.shares.items():
            if draw < share:
                return name
            draw -= share
        return None

    def _ask(self) -> tuple[int, dict[str, str], bytes]:
        prefix = next(prefix for prefix in self.server.upstream if self.path.startswith(prefix))
        url = urlsplit(self.server.upstream[prefix])
        passed = {name: value for name, value in self.headers.items() if name.lower() in ("authorization", "accept")}
        with contextlib.closing(http.client.HTTPConnection(url.netloc, timeout=30)) as connection:
            connection.request("GET", url.path + self.path.removeprefix(prefix), headers=passed)
            answer = connection.getresponse()
            kept = {name: value for name, value in answer.getheaders() if name in ("Content-Type", "Date")}
            return answer.status, kept, answer.read()

    def _send(self, status: int, body: bytes, headers: dict[str, str] | None = None, is_cut: bool = False) -> None:
        head = {"Content-Length": str(len(body)), **(headers or {})}
        lines = "".join(f"{name}: {value}\r\n" for name, value in head.items())
        self.wfile.write(f"HTTP/1.1 {status} X\r\n{lines}\r\n".encode() + (body[: len(body) // 2] if is_cut else body))
        self.close_connection = self.close_connection or is_cut

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing."""


@contextlib.contextmanager
def serving() -> Iterator[str]:
    """Serve TMDB with faults, in a process of its own; yields host and port."""
    server = FaultyTmdb()
    pid = os.fork()
    if pid == 0:
        server.serve_forever()
    server.socket.close()
    try:
        yield server.address
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def _short(body: bytes) -> bytes:
    with contextlib.suppress(ValueError):  # an export
        document = json.loads(body)
        if len(document.get("results", ())) > 1:
            del document["results"][-1]
        return json.dumps(document).encode()
    return body
