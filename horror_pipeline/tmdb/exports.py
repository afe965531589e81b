"""A day's id export: every film's popularity under a fixed date, in one file.

What belongs here: naming, streaming and reading the file, and deciding whether it can be trusted. What does not: which
days to read, percentiles, storage. The file is inflated, split and filtered in one pass and kept nowhere: of some
130 MB only the known films' popularities stay.

A file is trusted when it starts like gzip, has as many bytes as the server said, ends where its own checksum says,
holds JSON objects line by line, at least as many of them as `least_lines`, and at least `least_known` of the known
films.
"""

from __future__ import annotations

import datetime as dt
import json
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping, Set
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from horror_pipeline.errors import ExportUnavailableError, UnavailableError

if TYPE_CHECKING:
    import numpy as np

PUBLISHED_AT = dt.time(8, 0)
"""UTC time by which TMDB has put out the day's file; it was seen as early as 07:19."""

KEPT_DAYS = 90
"""Days TMDB keeps a file: three months."""

ATTEMPTS = 3
"""Attempts at a file whose transfer breaks off."""

PIECE_BYTES = 1 << 18
INFLATED_BYTES = 1 << 20
LONGEST_LINE_BYTES = 1 << 20
MOST_MALFORMED_SHARE = 0.001

_GZIP_MAGIC = b"\x1f\x8b"
_BEGINNING = b'{"adult":false,"id":'
_ADULT_BEGINNING = b'{"adult":true,"id":'
_MOST_DIGITS = 10
_LONGEST_BEGINNING = len(_BEGINNING) + _MOST_DIGITS + 1
_PLAIN_POPULARITY = re.compile(rb'.*?"popularity":((?:0|[1-9][0-9]*)(?:\.[0-9]+)?)[,}]')
"""Within a JSON string every quote is escaped: the bytes `"popularity":` are always a key."""

_PLAIN_DIGITS = 9
"""Digits of a popularity that is surely below `_BEYOND_POPULARITY`."""

_BEYOND_POPULARITY = 1e9


class Stream(Protocol):
    """A file being received."""

    @property
    def headers(self) -> Mapping[str, str]:
        """The answer's headers."""

    def stream(self, size: int) -> Iterable[bytes]:
        """The bytes as they are on the server, in pieces."""


class Source(Protocol):
    """Where exports come from; `client.TmdbClient` is one."""

    exports_url: str

    def open_export(self, url: str) -> AbstractContextManager[Stream]:
        """Open a file, or raise `ExportUnavailableError` where there is none."""


@dataclass
class Export:
    """What a day's file says of the known films.

    Attributes:
        popularity: by tmdb_id.
        lines: lines of the file.
        received_bytes: its size as received.
        without_popularity: known films whose popularity is missing or null.
        malformed: lines, of known films or without a readable id, that are not what they should be.
    """

    popularity: dict[int, float] = field(default_factory=dict)
    lines: int = 0
    received_bytes: int = 0
    without_popularity: int = 0
    malformed: int = 0


def export_url(exports_url: str, day: dt.date) -> str:
    """The address of a day's file."""
    return f"{exports_url}/movie_ids_{day:%m_%d_%Y}.json.gz"


def read_export(
    source: Source,
    day: dt.date,
    known_ids: Set[int],
    *,
    now: dt.datetime,
    least_lines: int = 1,
    least_known: int = 0,
) -> Export:
    """Read a day's file.

    Args:
        source: the TMDB client.
        day: which day's.
        known_ids: films to keep.
        now: the present moment, UTC; only words an error.
        least_lines: fewer lines than this are not trusted.
        least_known: fewer known films than this are not trusted.

    Raises:
        ExportUnavailableError: it is not out yet, has expired, or cannot be trusted; one sentence naming the day.
        UnavailableError: the server keeps failing.
    """
    for attempt in range(ATTEMPTS):
        try:
            with ExitStack() as stack:
                try:
                    stream = stack.enter_context(source.open_export(export_url(source.exports_url, day)))
                except ExportUnavailableError:
                    raise ExportUnavailableError(why_missing(day, now)) from None
                return _read(stream, day, known_ids, least_lines, least_known)
        except _TruncatedExportError as broken:
            if attempt == ATTEMPTS - 1:
                raise ExportUnavailableError(f"{broken}; nothing of it was stored, run again later") from None
    raise AssertionError("unreachable")


def why_missing(day: dt.date, now: dt.datetime) -> str:
    """The sentence for a file that is not there: which day, and from or until when there is one."""
    out = dt.datetime.combine(day, PUBLISHED_AT, dt.UTC)
    last = day + dt.timedelta(days=KEPT_DAYS)
    if now < out or day >= now.date():
        late = " and is late, run that day again later" if now >= out else ""
        return f"the id export of {day} is not out yet; TMDB publishes it by {out:%Y-%m-%d %H:%M} UTC{late}"
    if now.date() > last:
        return (
            f"the id export of {day} has expired; TMDB kept it for about {KEPT_DAYS} days, until {last}, "
            f"so history can now start at {now.date() - dt.timedelta(days=KEPT_DAYS)}"
        )
    return (
        f"the id export of {day} is missing at TMDB, though files are kept for about {KEPT_DAYS} days "
        f"(this one until {last}); run that day again later, or leave it out"
    )


def is_awaited(day: dt.date, now: dt.datetime) -> bool:
    """Whether the day's file need not be out yet: waiting is all there is to do."""
    return now < dt.datetime.combine(day, PUBLISHED_AT, dt.UTC)


def parse_lines(blocks: Iterable[bytes], known_ids: Set[int]) -> Export:
    """Read the lines of a file, keeping the known films.

    Args:
        blocks: whole lines each, with their newlines.
        known_ids: films to keep.
    """
    import numpy as np

    export = Export()
    known = np.array(sorted(known_ids), dtype=np.int64)
    for block in blocks:
        lines = _lines_of(block, known)
        if lines is not None:
            export.lines += lines.count
            for tmdb_id, place in lines.known:
                _take_at(block, place, tmdb_id, known_ids, export)
        else:  # slower, and to the same effect
            lines_alone = [line for line in block.split(b"\n") if line.strip()]
            export.lines += len(lines_alone)
            for line in lines_alone:
                _take(line, known_ids, export)
    return export


@dataclass(frozen=True)
class _Lines:
    """How many lines a block has, and the id and the place, behind that id's start, of each known film."""

    count: int
    known: Iterable[tuple[int, int]]


def _lines_of(block: bytes, known: np.ndarray) -> _Lines | None:
    """Find the known films without reading what is not needed; None where a line does not begin as TMDB's do."""
    import numpy as np

    data = np.frombuffer(block + bytes(_LONGEST_BEGINNING), dtype=np.uint8)
    ends = np.flatnonzero(data == ord("\n"))
    starts = np.concatenate(([0], ends[:-1] + 1))
    beginnings = np.lib.stride_tricks.sliding_window_view(data, len(_BEGINNING))[starts]
    is_usual = (beginnings == np.frombuffer(_BEGINNING, dtype=np.uint8)).all(axis=1)
    others = beginnings[~is_usual, : len(_ADULT_BEGINNING)]
    if not (others == np.frombuffer(_ADULT_BEGINNING, dtype=np.uint8)).all():
        return None
    places = starts + np.where(is_usual, len(_BEGINNING), len(_ADULT_BEGINNING))
    ids, at = np.zeros(len(places), dtype=np.int64), places.copy()
    for _ in range(_MOST_DIGITS):
        digits = data[at] - np.uint8(ord("0"))  # whatever is no digit is above 9: it wraps around
        is_digit = digits <= 9
        if not is_digit.any():
            break
        ids = np.where(is_digit, 10 * ids + digits, ids)
        at += is_digit
    if not ((data[at] == ord(",")) & (at > places)).all():
        return None
    nearest = known[np.minimum(np.searchsorted(known, ids), len(known) - 1)] if len(known) else np.full_like(ids, -1)
    is_known = nearest == ids
    return _Lines(len(ends), zip(ids[is_known].tolist(), places[is_known].tolist(), strict=True))


def _take_at(block: bytes, place: int, tmdb_id: int, known_ids: Set[int], export: Export) -> None:
    """Keep a known film's popularity, plainly a number in a flat object; else read the line in full."""
    plain = _PLAIN_POPULARITY.match(block, place)
    if plain is not None and len(plain[1]) <= _PLAIN_DIGITS and block.find(b"{", place, plain.end()) < 0:
        export.popularity[tmdb_id] = float(plain[1])
    else:
        _take(block[block.rfind(b"\n", 0, place) + 1 : block.find(b"\n", place)], known_ids, export)


def _take(line: bytes, known_ids: Set[int], export: Export) -> None:
    """Keep what one line says, if it is a known film's."""
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        record = None
    if not isinstance(record, dict) or type(tmdb_id := record.get("id")) is not int:
        export.malformed += 1
        return
    if tmdb_id not in known_ids:
        return
    popularity = record.get("popularity")
    if popularity is None:
        export.without_popularity += 1
    elif type(popularity) in (int, float) and 0 <= popularity < _BEYOND_POPULARITY:
        export.popularity[tmdb_id] = float(popularity)
    else:
        export.malformed += 1


class _TruncatedExportError(Exception):
    """The transfer ended too early: worth another attempt."""


def _read(stream: Stream, day: dt.date, known_ids: Set[int], least_lines: int, least_known: int) -> Export:
    received = _Received(stream, day)
    export = parse_lines(received.blocks(), known_ids)
    export.received_bytes = received.bytes
    what = f"the id export of {day} cannot be trusted"
    advice = "nothing of it was stored, run that day again later"
    if export.malformed > max(10, MOST_MALFORMED_SHARE * export.lines):
        raise ExportUnavailableError(f"{what}: {export.malformed:,} of {export.lines:,} lines are not films; {advice}")
    if export.lines < least_lines:
        raise ExportUnavailableError(
            f"{what}: it has {export.lines:,} lines, where at least {least_lines:,} are expected; {advice}"
        )
    listed = len(export.popularity) + export.without_popularity
    if listed < least_known:
        raise ExportUnavailableError(
            f"{what}: it lists only {listed:,} of the {len(known_ids):,} films known; {advice}"
        )
    return export


class _Received:
    """The bytes of a file on their way to lines, counted and checked."""

    def __init__(self, stream: Stream, day: dt.date) -> None:
        self._stream = stream
        self._day = day
        self.bytes = 0

    def blocks(self) -> Iterator[bytes]:
        """Whole lines, about a megabyte at a time; the last line gets its newline where it lacks one."""
        rest = b""
        for text in self._inflated():
            cut = text.rfind(b"\n") + 1
            if cut:
                yield rest + text[:cut]
                rest = text[cut:]
            else:
                rest += text
            if len(rest) > LONGEST_LINE_BYTES:
                raise self._untrusted("a line of it has no end")
        if rest.strip():
            yield rest + b"\n"

    def _inflated(self) -> Iterator[bytes]:
        inflater = zlib.decompressobj(wbits=31)
        try:
            for piece in self._pieces():
                while piece:
                    if inflater.eof:  # gzip allows several members, one after the other
                        inflater = zlib.decompressobj(wbits=31)
                    yield inflater.decompress(piece, INFLATED_BYTES)
                    piece = inflater.unconsumed_tail or inflater.unused_data
        except zlib.error:
            raise self._untrusted("it is damaged") from None
        if not inflater.eof:
            raise _TruncatedExportError(f"the id export of {self._day} is truncated after {self.bytes:,} bytes")

    def _pieces(self) -> Iterator[bytes]:
        expected = self._stream.headers.get("Content-Length", "")
        head = b""
        try:
            for piece in self._stream.stream(PIECE_BYTES):
                self.bytes += len(piece)
                if len(head) < len(_GZIP_MAGIC):
                    head = (head + piece)[: len(_GZIP_MAGIC)]
                    if not _GZIP_MAGIC.startswith(head):
                        raise self._untrusted("it is not gzip but something else, such as an error page")
                yield piece
        except UnavailableError as broken:
            raise _TruncatedExportError(f"the id export of {self._day} broke off: {broken}") from None
        if self.bytes == 0:
            raise self._untrusted("it is empty")
        if expected.isdigit() and int(expected) != self.bytes:
            raise _TruncatedExportError(
                f"the id export of {self._day} is truncated: {self.bytes:,} of {int(expected):,} bytes arrived"
            )

    def _untrusted(self, why: str) -> ExportUnavailableError:
        return ExportUnavailableError(
            f"the id export of {self._day} cannot be trusted: {why}; nothing of it was stored, run that day again later"
        )
