"""Answers of the JSON API kept for a moment, with ETag and gzip.

What belongs here: HTTP caching of whole answers. What does not: anything about what they contain.

An answer is served again for `seconds` at most, so nothing here is ever staler than that. Requests for the same
address that arrive while it is being made wait for that one answer: a crowd costs the database one query.
Only 200s are kept.
"""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import time
from collections import OrderedDict
from dataclasses import dataclass, field

from starlette.types import ASGIApp, Message, Receive, Scope, Send

Headers = list[tuple[bytes, bytes]]

MAX_ANSWERS = 512
MAX_KEPT_BYTES = 512_000
GZIP_FROM_BYTES = 1_000


@dataclass
class Answer:
    """A complete response, its gzipped form made when first wanted."""

    status: int
    headers: Headers
    body: bytes
    made_at: float
    _plain: Headers = field(default_factory=list)
    _zipped: tuple[bytes, Headers] | None = None
    etag: bytes = b""

    def seal(self, seconds: float) -> None:
        """Give the answer its ETag and caching headers."""
        self.etag = b'W/"' + hashlib.sha256(self.body).hexdigest()[:24].encode() + b'"'
        self.headers = [(name, value) for name, value in self.headers if name != b"content-length"] + [
            (b"etag", self.etag),
            (b"cache-control", b"max-age=%d" % int(seconds)),
            (b"vary", b"accept-encoding"),
        ]

    def plain(self) -> tuple[bytes, Headers]:
        """Body and headers, not compressed."""
        if not self._plain:
            self._plain = [*self.headers, (b"content-length", str(len(self.body)).encode())]
        return self.body, self._plain

    def zipped(self) -> tuple[bytes, Headers]:
        """Body and headers, gzipped where that pays."""
        if len(self.body) < GZIP_FROM_BYTES:
            return self.plain()
        if self._zipped is None:
            body = gzip.compress(self.body, compresslevel=5, mtime=0)
            length = (b"content-length", str(len(body)).encode())
            self._zipped = body, [*self.headers, (b"content-encoding", b"gzip"), length]
        return self._zipped


class ShortCache:
    """ASGI middleware that keeps answers under `prefix`.

    Args:
        app: the application behind.
        prefix: path prefix of cacheable answers.
        except_paths: paths never kept.
        seconds: how long an answer may be served again; 0 keeps nothing but still collapses crowds.
    """

    def __init__(self, app: ASGIApp, *, prefix: str, except_paths: frozenset[str], seconds: float) -> None:
        self._app = app
        self._prefix = prefix
        self._except = except_paths
        self._seconds = seconds
        self._kept: OrderedDict[tuple[str, bytes], Answer] = OrderedDict()
        self._making: dict[tuple[str, bytes], asyncio.Task[Answer]] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer from what is kept, or keep what the application answers."""
        path = scope.get("path", "")
        if (
            scope["type"] != "http"
            or scope["method"] != "GET"
            or not path.startswith(self._prefix)
            or path in self._except
        ):
            await self._app(scope, receive, send)
            return
        key = (path, scope["query_string"])
        answer = self._kept.get(key)
        if answer is None or time.monotonic() - answer.made_at >= self._seconds:
            answer = await self._make(key, scope)
        await _send(answer, scope, send)

    async def _make(self, key: tuple[str, bytes], scope: Scope) -> Answer:
        task = self._making.get(key)
        if task is None:
            task = asyncio.create_task(self._ask(key, scope))
            self._making[key] = task
            task.add_done_callback(lambda _: self._making.pop(key, None))
        # Shielded: a visitor who leaves must not cancel the answer others wait for.
        return await asyncio.shield(task)

    async def _ask(self, key: tuple[str, bytes], scope: Scope) -> Answer:
        answer = Answer(500, [], b"", time.monotonic())
        chunks: list[bytes] = []

        async def receive() -> Message:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: Message) -> None:
            if message["type"] == "http.response.start":
                answer.status, answer.headers = message["status"], list(message["headers"])
            elif message["type"] == "http.response.body":
                chunks.append(message.get("body", b""))

        await self._app(scope, receive, send)
        answer.body = b"".join(chunks)
        if answer.status == 200:
            answer.seal(self._seconds)
            self._keep(key, answer)
        return answer

    def _keep(self, key: tuple[str, bytes], answer: Answer) -> None:
        if len(answer.body) > MAX_KEPT_BYTES:
            return
        self._kept[key] = answer
        self._kept.move_to_end(key)
        while len(self._kept) > MAX_ANSWERS:
            self._kept.popitem(last=False)


async def _send(answer: Answer, scope: Scope, send: Send) -> None:
    asked: dict[bytes, bytes] = dict(scope["headers"])
    if answer.status != 200:
        body, headers = answer.body, answer.headers
        status = answer.status
    elif answer.etag in [tag.strip() for tag in asked.get(b"if-none-match", b"").split(b",")]:
        kept = (b"etag", b"cache-control", b"vary")
        body, headers, status = b"", [(name, value) for name, value in answer.headers if name in kept], 304
    else:
        body, headers = answer.zipped() if b"gzip" in asked.get(b"accept-encoding", b"") else answer.plain()
        status = 200
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
