"""Reading TMDB's daily id exports, each of which is one file with the popularity of every film on a fixed date.

A file is decompressed, split into lines and filtered in one pass, and it is not stored. Of some 130 MB, only the
popularity of known films is kept.

A file is trusted if it is gzip to its end, holds a JSON object on each line but for very few, and lists at least half
of the films that are known to have been on TMDB by its day.
"""

from __future__ import annotations

import datetime as dt
import gzip
import io
import zlib
from collections.abc import Iterable, Iterator, Set
from contextlib import AbstractContextManager, ExitStack, suppress
from dataclasses import dataclass, field
from typing import Protocol

import msgspec

from horror_pipeline.domain import EXPORTS_REACH_DAYS
from horror_pipeline.errors import ExportUnavailableError
from horror_pipeline.tmdb.transport import ConnectionFailedError, Response

PUBLISHED_AT = dt.time(8, 0)
"""UTC time by which TMDB publishes the day's file; it was seen as early as 07:19."""

ATTEMPTS = 3
"""Attempts at a file whose transfer breaks off."""

BLOCK_BYTES = 1 << 20
LONGEST_LINE_BYTES = 1 << 20
LARGEST_FILE_BYTES = 1 << 31
"""Size of a file after decompression that is surely not an export; TMDB's have some 130 MB."""

MOST_MALFORMED_SHARE = 0.001
LEAST_OF_FILMS = 0.5
"""An export that lists less than this share of the expected films is not whole, because exports list every film of
TMDB, horror or not."""

_BEYOND_POPULARITY = 1e9


class Source(Protocol):
    """Where exports come from; `client.TmdbClient` is one."""

    exports_url: str

    def open_export(self, url: str) -> AbstractContextManager[Response]:
        """Open a file as a stream, or raise `ExportUnavailableError` where there is none."""


@dataclass
class Export:
    """A day's file, reduced to the known films.

    Attributes:
        popularity: the popularity of each known film, by tmdb_id.
        lines: number of lines of the file.
        received_bytes: size of the file as received.
        without_popularity: number of known films whose popularity is missing or null.
        malformed: number of lines that are not a film, or whose popularity is impossible.
    """

    popularity: dict[int, float] = field(default_factory=dict)
    lines: int = 0
    received_bytes: int = 0
    without_popularity: int = 0
    malformed: int = 0


def export_url(exports_url: str, day: dt.date) -> str:
    """Return the address of a day's file."""
    return f"{exports_url}/movie_ids_{day:%m_%d_%Y}.json.gz"


def read_export(
    source: Source,
    day: dt.date,
    known_ids: Set[int],
    *,
    now: dt.datetime,
) -> Export:
    """Read a day's file.

    Args:
        source: the TMDB client.
        day: the day of the file.
        known_ids: films to keep.
        now: the present moment, UTC; it only decides how a missing file is explained.

    Raises:
        ExportUnavailableError: the file is not published yet, has expired, or cannot be trusted; the message names the
            day.
        UnavailableError: the server keeps failing.
    """
    for attempt in range(ATTEMPTS):
        try:
            with ExitStack() as stack:
                try:
                    response = stack.enter_context(source.open_export(export_url(source.exports_url, day)))
                except ExportUnavailableError:
                    raise why_missing(day, now) from None
                return _read(response, day, known_ids)
        except _TruncatedExportError as error:
            if attempt == ATTEMPTS - 1:
                raise ExportUnavailableError(
                    str(error), "nothing of that day was stored, so run it again later"
                ) from None
    raise AssertionError("unreachable")


def require_films(export: Export, day: dt.date, expected: int) -> None:
    """Refuse an export that is not whole.

    Args:
        export: the export of a day.
        day: the day.
        expected: number of films that are known to have been on TMDB by that day.

    Raises:
        ExportUnavailableError: the export lists fewer than half of the expected films, or none at all.
    """
    listed = len(export.popularity) + export.without_popularity
    least = max(1, int(LEAST_OF_FILMS * expected))
    if listed < least:
        raise _untrusted(day, f"it lists {listed:,} of the films known, where at least {least:,} are expected")


def why_missing(day: dt.date, now: dt.datetime) -> ExportUnavailableError:
    """Return an error that says why a day's file is not on the server, and from or until when the server has it."""
    published = dt.datetime.combine(day, PUBLISHED_AT, dt.UTC)
    last = day + dt.timedelta(days=EXPORTS_REACH_DAYS)
    if now < published or day >= now.date():
        is_late = now >= published
        problem = f"the id export of {day} is not out yet"
        remedy = f"TMDB publishes it by {published:%Y-%m-%d %H:%M} UTC"
        return ExportUnavailableError(problem, remedy + (" and is late, run that day again later" if is_late else ""))
    if now.date() > last:
        return ExportUnavailableError(
            f"the id export of {day} has expired",
            f"TMDB kept it for about {EXPORTS_REACH_DAYS} days, until {last}, "
            f"so history can now start at {now.date() - dt.timedelta(days=EXPORTS_REACH_DAYS)}",
        )
    return ExportUnavailableError(
        f"the id export of {day} is missing at TMDB, though files are kept for about {EXPORTS_REACH_DAYS} days "
        f"(this one until {last})",
        "run that day again later, or leave it out",
    )


def is_awaited(day: dt.date, now: dt.datetime) -> bool:
    """Return whether the time by which TMDB publishes the day's file is still to come."""
    return now < dt.datetime.combine(day, PUBLISHED_AT, dt.UTC)


class _Film(msgspec.Struct, gc=False):
    """The fields of a line that are used; all others are skipped without being decoded."""

    id: int
    popularity: float | None = None


_FILMS = msgspec.json.Decoder(_Film)


def parse_lines(blocks: Iterable[bytes], known_ids: Set[int]) -> Export:
    """Read the lines of a file and keep the known films.

    Args:
        blocks: pieces of the file, each of whole lines with their newlines.
        known_ids: films to keep.
    """
    export = Export()
    for block in blocks:
        films = _films_of(block, export)
        export.lines += len(films)
        for film in films:
            if film.id in known_ids:
                _keep(film, export)
    return export


def _films_of(block: bytes, export: Export) -> list[_Film]:
    """Decode a block as a whole; if that fails, decode it line by line and count the malformed lines."""
    with suppress(msgspec.DecodeError, RecursionError):
        return _FILMS.decode_lines(block)
    films = []
    for line in filter(bytes.strip, block.split(b"\n")):
        try:
            films.append(_FILMS.decode(line))
        except (msgspec.DecodeError, RecursionError):
            export.malformed += 1
            export.lines += 1
    return films


def _keep(film: _Film, export: Export) -> None:
    if film.popularity is None:
        export.without_popularity += 1
    elif 0 <= film.popularity < _BEYOND_POPULARITY:
        export.popularity[film.id] = film.popularity
    else:
        export.malformed += 1


class _TruncatedExportError(Exception):
    """The transfer ended too early, which is worth another attempt."""


def _read(response: Response, day: dt.date, known_ids: Set[int]) -> Export:
    stream = response.stream or io.BytesIO(response.body)
    export = parse_lines(_blocks(stream, day), known_ids)
    export.received_bytes = stream.tell()
    if export.received_bytes == 0:
        raise _untrusted(day, "it is empty")
    if export.malformed > max(10, MOST_MALFORMED_SHARE * export.lines):
        raise _untrusted(day, f"{export.malformed:,} of {export.lines:,} lines are not films")
    return export


def _blocks(stream: io.BufferedIOBase, day: dt.date) -> Iterator[bytes]:
    """Decompress the file and yield whole lines, about a megabyte at a time; end the last line with a newline."""
    text, rest, size = gzip.GzipFile(fileobj=stream), b"", 0
    try:
        while piece := text.read(BLOCK_BYTES):
            size += len(piece)
            lines, newline, rest = (rest + piece).rpartition(b"\n")
            if len(rest) > LONGEST_LINE_BYTES:
                raise _untrusted(day, "it has a line that is too long")
            if size > LARGEST_FILE_BYTES:
                raise _untrusted(day, f"it decompresses to more than {LARGEST_FILE_BYTES:,} bytes")
            yield lines + newline
    except EOFError:
        raise _TruncatedExportError(f"the id export of {day} is truncated after {stream.tell():,} bytes") from None
    except ConnectionFailedError as error:
        raise _TruncatedExportError(f"the id export of {day} broke off: {error}") from None
    except (gzip.BadGzipFile, zlib.error):
        raise _untrusted(day, "it is not gzip but something else, such as an error page, or it is damaged") from None
    if rest.strip():
        yield rest + b"\n"


def _untrusted(day: dt.date, why: str) -> ExportUnavailableError:
    return ExportUnavailableError(
        f"the id export of {day} cannot be trusted: {why}", "nothing of that day was stored, so run it again later"
    )
