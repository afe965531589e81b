"""Static files held in memory under addresses that change with their content, so browsers may keep them for ever.

What belongs here: our scripts and styles, and plotly.js from its installed package. What does not: pages.
"""

from __future__ import annotations

import gzip
import hashlib
import re
from dataclasses import dataclass
from functools import cache, cached_property
from importlib import resources

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

TYPES = {".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8", ".svg": "image/svg+xml"}
PLOTLY = "plotly.min.js"
INLINE_STYLE_ID = re.compile(rb'getElementById\("([0-9a-f]{64})"\)\)\{var \w+=document\.createElement\("style"\)')
FOR_EVER = "public, max-age=31536000, immutable"


@dataclass(frozen=True)
class StaticFile:
    """A file as it is sent."""

    content: bytes
    content_type: str

    @cached_property
    def zipped(self) -> bytes:
        """The gzipped content, made once."""
        return gzip.compress(self.content, compresslevel=6, mtime=0)

    @cached_property
    def digest(self) -> str:
        """Twelve hexadecimal digits that change with the content."""
        return hashlib.sha256(self.content).hexdigest()[:12]


class Assets:
    """All static files, read once."""

    def __init__(self) -> None:
        own = resources.files("horror_pipeline.web") / "static"
        self._own = {
            entry.name: _read(entry) for entry in sorted(own.iterdir(), key=lambda entry: entry.name) if entry.is_file()
        }
        self._plotly = _plotly()
        together = "".join(file.digest for file in self._own.values())
        self._version = hashlib.sha256(together.encode()).hexdigest()[:12]

    def url(self, name: str) -> str:
        """The address of a file. Our own share one version, so that scripts can import each other by name."""
        if name == PLOTLY:
            return f"/static/{self._plotly.digest}/{PLOTLY}"
        if name not in self._own:
            raise KeyError(name)
        return f"/static/{self._version}/{name}"

    @property
    def plotly_style_ids(self) -> list[str]:
        """Ids of the elements plotly.js would fill with inline CSS, which our policy forbids, unless they exist."""
        return _inline_style_ids()

    def respond(self, request: Request, version: str, name: str) -> Response:
        """The file as a response; 404 for an unknown name or another version."""
        file = self._plotly if name == PLOTLY else self._own.get(name)
        if file is None or self.url(name) != f"/static/{version}/{name}":
            return PlainTextResponse("no such file\n", status_code=404)
        headers = {"cache-control": FOR_EVER, "vary": "accept-encoding"}
        body = file.content
        if "gzip" in request.headers.get("accept-encoding", ""):
            body, headers["content-encoding"] = file.zipped, "gzip"
        return Response(body, media_type=file.content_type, headers=headers)


@cache
def _plotly() -> StaticFile:
    """Four megabytes, read and zipped once however many applications a process makes."""
    return _read(resources.files("plotly") / "package_data" / PLOTLY)


@cache
def _inline_style_ids() -> list[str]:
    return [match.decode() for match in INLINE_STYLE_ID.findall(_plotly().content)]


def _read(entry: resources.abc.Traversable) -> StaticFile:
    suffix = entry.name[entry.name.rfind(".") :]
    return StaticFile(entry.read_bytes(), TYPES[suffix])
