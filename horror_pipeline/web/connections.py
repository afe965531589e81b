"""Client connections that cannot shut others out, however slow or silent they are.

uvicorn limits neither how long a client may take to send a request nor how long it may take to read the answer, and
counts silent connections toward its concurrency limit.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.auto import AutoHTTPProtocol

REQUEST_SECONDS = 10.0
"""A connection without a request in progress is closed after at most twice this time."""

RESPONSE_SECONDS = 120.0
MAX_CONNECTIONS = 400
"""Beyond this number, a new connection closes the one that has been without a request for longest."""

Protocol: Any = AutoHTTPProtocol


class BoundedConnection(Protocol):  # type: ignore[misc]
    """uvicorn's connection with limits on the time and the number of connections."""

    def connection_made(self, transport: asyncio.Transport) -> None:
        """Start the time limits; if there are too many connections, close the one that has been waiting longest."""
        super().connection_made(transport)
        self._began_at = self.loop.time()
        self._watched_cycle: Any = None
        self.loop.call_later(REQUEST_SECONDS, self._close_if_slow)
        if len(self.connections) > MAX_CONNECTIONS:
            waiting = [other for other in self.connections if other is not self and other.is_waiting]
            if waiting:
                min(waiting, key=lambda other: other._began_at).transport.abort()

    @property
    def is_waiting(self) -> bool:
        """Whether no request is in progress."""
        return self.cycle is None or self.cycle.response_complete

    def _close_if_slow(self) -> None:
        if self.transport.is_closing():
            return
        if self.cycle is not self._watched_cycle:  # a request has arrived since the last look
            self._watched_cycle, self._began_at = self.cycle, self.loop.time()
        elif self.loop.time() - self._began_at >= (0 if self.is_waiting else RESPONSE_SECONDS):
            self.transport.abort()
            return
        self.loop.call_later(REQUEST_SECONDS, self._close_if_slow)
