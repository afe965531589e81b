"""A short-lived cache of whole answers, with ETags.

An answer is served again for a few seconds at most. While an answer is being made, other requests for the same address
wait for it, so that a crowd costs the database one query. Only answers with status 200 are kept.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import OrderedDict
from dataclasses import dataclass, field

from starlette.types import ASGIApp, Message, Receive, Scope, Send

Headers = list[tuple[bytes, bytes]]
Address = tuple[str, bytes]
"""Path and query string."""

MAX_ANSWERS = 512
MAX_ANSWER_BYTES = 512_000


@dataclass
class Answer:
    """A complete response."""

    status: int = 500
    headers: Headers = field(default_factory=list)
    body: bytes = b""
    etag: bytes = b""
    made_at: float = field(default_factory=time.monotonic)

    async def receive_from(self, message: Message) -> None:
        """Add a message from the application to this response."""
        if message["type"] == "http.response.start":
            self.status, self.headers = message["status"], list(message["headers"])
        elif message["type"] == "http.response.body":
            self.body += message.get("body", b"")

    async def send_to(self, scope: Scope, send: Send) -> None:
        """Answer a request with this response, or with 304 if the client already has it."""
        status, headers, body = self.status, self.headers, self.body
        known = dict(scope["headers"]).get(b"if-none-match", b"")
        if self.etag and self.etag in [tag.strip() for tag in known.split(b",")]:
            status, body = 304, b""
            headers = [(name, value) for name, value in headers if name in (b"etag", b"cache-control")]
        # A copy, because middleware outside this one changes the list it is given.
        await send({"type": "http.response.start", "status": status, "headers": list(headers)})
        await send({"type": "http.response.body", "body": body})


class ResponseCache:
    """ASGI middleware that caches the answers for paths with certain prefixes.

    Args:
        app: the application behind it.
        prefixes: path prefixes of cacheable answers; an answer that says `no-store` is not kept.
        seconds: how long an answer may be served again; at 0, only simultaneous requests share one.
    """

    def __init__(self, app: ASGIApp, *, prefixes: tuple[str, ...], seconds: float) -> None:
        self._app = app
        self._prefixes = prefixes
        self._seconds = seconds
        self._kept: OrderedDict[Address, Answer] = OrderedDict()
        self._pending: dict[Address, asyncio.Task[Answer]] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer from the cache, or keep what the application answers."""
        if scope["type"] != "http" or scope["method"] != "GET" or not scope["path"].startswith(self._prefixes):
            await self._app(scope, receive, send)
            return
        address = (scope["path"], scope["query_string"])
        answer = self._kept.get(address)
        if answer is None or time.monotonic() - answer.made_at >= self._seconds:
            if address not in self._pending:
                self._pending[address] = task = asyncio.create_task(self._ask(address, scope))
                task.add_done_callback(lambda _: self._pending.pop(address))
            # Shielded, because a visitor who leaves must not cancel the answer that others wait for.
            answer = await asyncio.shield(self._pending[address])
        await answer.send_to(scope, send)

    async def _ask(self, address: Address, scope: Scope) -> Answer:
        async def receive() -> Message:
            return {"type": "http.request", "body": b"", "more_body": False}

        answer = Answer()
        await self._app(scope, receive, answer.receive_from)
        if answer.status == 200 and (b"cache-control", b"no-store") not in answer.headers:
            answer.etag = b'W/"' + hashlib.sha256(answer.body).hexdigest()[:24].encode() + b'"'
            answer.headers += [(b"etag", answer.etag), (b"cache-control", b"max-age=%d" % int(self._seconds))]
            if len(answer.body) <= MAX_ANSWER_BYTES:
                self._kept[address] = answer
                self._kept.move_to_end(address)
            if len(self._kept) > MAX_ANSWERS:
                self._kept.popitem(last=False)
        return answer
