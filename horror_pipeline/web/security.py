"""Response headers that keep a browser from doing anything but showing our own files.

What belongs here: the content security policy and its companions. What does not: authentication; this server has none,
and answers reads only.
"""

from __future__ import annotations

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

EMPTY_STYLE = "'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='"
"""The digest of nothing: plotly.js adds an empty style element and fills it through the CSSOM. No inline CSS passes."""

POSTER_HOST = "https://image.tmdb.org"


def content_security_policy(*, posters: bool) -> str:
    """The policy of a page; only with `posters` may it load pictures from TMDB's image server."""
    pictures = f"'self' data: {POSTER_HOST}" if posters else "'self' data:"
    return (
        "default-src 'none'; script-src 'self'; "
        f"style-src 'self' {EMPTY_STYLE}; img-src {pictures}; connect-src 'self'; "
        "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    )


HEADERS = {
    "content-security-policy": content_security_policy(posters=False),
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}


class SecurityHeaders:
    """ASGI middleware that adds the headers to every response that has not set its own."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._raw = [(name.encode(), value.encode()) for name, value in HEADERS.items()]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer as the application does, with the headers."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = message["headers"] = list(message["headers"])
                if "content-security-policy" in MutableHeaders(raw=own):
                    own += [pair for pair in self._raw if pair[0] != b"content-security-policy"]
                else:
                    own += self._raw
            await send(message)

        await self._app(scope, receive, with_headers)
