"""A file of the exports server while it is received.

What belongs here: reading bytes, and telling a cut connection in our own terms. What does not: what the bytes mean.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from io import BytesIO

from horror_pipeline.errors import UnavailableError
from horror_pipeline.tmdb.transport import ByteStream, Response


class ExportStream:
    """An export being received: read it in pieces, close it when done."""

    def __init__(self, response: Response) -> None:
        """Read what the answer still holds."""
        self.headers: Mapping[str, str] = response.headers
        self._body: ByteStream = response.stream if response.stream is not None else BytesIO(response.body)

    def read(self, size: int = -1) -> bytes:
        """Up to `size` further bytes as they are on the server; empty at the end.

        Raises:
            UnavailableError: the connection was lost on the way.
        """
        try:
            return self._body.read(size) if size >= 0 else self._body.read()
        except Exception as error:  # urllib3's and the socket's errors have no common base
            raise UnavailableError(f"the export was cut short ({type(error).__name__}); run again") from None

    def stream(self, size: int = 1 << 16) -> Iterator[bytes]:
        """The rest, piece by piece."""
        while piece := self.read(size):
            yield piece

    def close(self) -> None:
        """Give the connection up."""
        self._body.close()
