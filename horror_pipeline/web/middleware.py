"""ASGI middleware around the whole application, which sets security headers and normalizes equivalent requests."""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send

EMPTY_STYLE = "'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='"
"""The digest of an empty style element. plotly.js adds one and fills it through the CSSOM. No inline CSS is allowed."""

POSTER_HOST = "https://image.tmdb.org"


def content_security_policy(*, posters: bool) -> str:
    """Return the policy of a page; only with `posters` may it load pictures from TMDB's image server."""
    pictures = f"'self' data: {POSTER_HOST}" if posters else "'self' data:"
    return (
        "default-src 'none'; script-src 'self'; "
        f"style-src 'self' {EMPTY_STYLE}; img-src {pictures}; connect-src 'self'; "
        "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    )


HEADERS = [
    (b"content-security-policy", content_security_policy(posters=False).encode()),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=()"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
]
"""Bytes, as ASGI has them: encoding them for every response would take a twentieth of the time of a cached answer."""


class SecurityHeaders:
    """Adds `HEADERS` to every response, without replacing a header that the response already has."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer as the application does, with the headers."""

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = {name for name, _ in message["headers"]}
                added = ((name, value) for name, value in HEADERS if name not in own)
                message["headers"] = [*message["headers"], *added]
            await send(message)

        await self._app(scope, receive, send_with_headers)


class NormalizedRequests:
    """Treats HEAD as GET, and a path with a trailing slash as the same path without it.

    The server leaves out the body of an answer to HEAD. Starlette would redirect a path with a trailing slash to an
    absolute address made from the request's Host header.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the normalized request on."""
        if scope["type"] == "http":
            method = "GET" if scope["method"] == "HEAD" else scope["method"]
            scope = {**scope, "path": scope["path"].rstrip("/") or "/", "method": method}
        await self._app(scope, receive, send)
