"""Static files held in memory, at addresses that change with the content so that browsers may keep them forever.

Our own files share one version, so that scripts can import each other by name. Libraries are served from their
installed packages.
"""

from __future__ import annotations

import gzip
import hashlib
import re
from dataclasses import dataclass
from functools import cached_property
from importlib import resources

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

TYPES = {"js": "text/javascript; charset=utf-8", "css": "text/css; charset=utf-8", "svg": "image/svg+xml"}
PLOTLY = "plotly.min.js"
LIBRARIES = {
    PLOTLY: ("plotly", "package_data"),
    "swagger-ui-bundle.js": ("fastapi_offline", "static"),
    "swagger-ui.css": ("fastapi_offline", "static"),
}
INLINE_STYLE_ID = re.compile(rb'getElementById\("([0-9a-f]{64})"\)\)\{var \w+=document\.createElement\("style"\)')
FOREVER = "public, max-age=31536000, immutable"


@dataclass(frozen=True)
class StaticFile:
    """A static file, with its content plain and gzipped."""

    content: bytes
    content_type: str

    @cached_property
    def zipped(self) -> bytes:
        """The gzipped content."""
        return gzip.compress(self.content, compresslevel=6, mtime=0)

    @cached_property
    def digest(self) -> str:
        """Twelve hexadecimal digits that change with the content."""
        return hashlib.sha256(self.content).hexdigest()[:12]


class StaticFiles:
    """Our own static files, and those of the libraries."""

    def __init__(self) -> None:
        folder = resources.files("horror_pipeline.web") / "static"
        own = {entry.name: _read(entry) for entry in folder.iterdir() if entry.is_file()}
        of_libraries = {
            name: _read(resources.files(package) / place / name) for name, (package, place) in LIBRARIES.items()
        }
        digests = "".join(own[name].digest for name in sorted(own))
        version = hashlib.sha256(digests.encode()).hexdigest()[:12]
        self._files = own | of_libraries
        self._versions = dict.fromkeys(own, version) | {name: file.digest for name, file in of_libraries.items()}

    def url(self, name: str) -> str:
        """Return the address of a file.

        Raises:
            KeyError: there is no such file.
        """
        return f"/static/{self._versions[name]}/{name}"

    def respond(self, request: Request, version: str, name: str) -> Response:
        """Return the file as a response; 404 for an unknown name or another version."""
        if self._versions.get(name) != version:
            return PlainTextResponse("no such file\n", status_code=404)
        file = self._files[name]
        headers = {"cache-control": FOREVER, "vary": "accept-encoding"}
        content = file.content
        if "gzip" in request.headers.get("accept-encoding", ""):
            content, headers["content-encoding"] = file.zipped, "gzip"
        return Response(content, media_type=file.content_type, headers=headers)

    @cached_property
    def plotly_style_ids(self) -> list[str]:
        """The ids of elements with inline CSS, which our policy forbids. plotly.js adds those that do not exist yet."""
        return [match.decode() for match in INLINE_STYLE_ID.findall(self._files[PLOTLY].content)]


def _read(entry: resources.abc.Traversable) -> StaticFile:
    return StaticFile(entry.read_bytes(), TYPES[entry.name.rpartition(".")[2]])
