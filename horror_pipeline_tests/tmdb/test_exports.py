from __future__ import annotations

import datetime as dt
import gzip
import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from horror_pipeline.errors import ExportUnavailableError
from horror_pipeline.tmdb.exports import (
    Export,
    export_url,
    is_awaited,
    parse_lines,
    read_export,
    require_films,
    why_missing,
)
from horror_pipeline.tmdb.transport import ConnectionFailedError, Response

DAY = dt.date(2026, 11, 20)
NOW = dt.datetime(2026, 11, 22, 12, tzinfo=dt.UTC)


class File(io.BytesIO):
    """A file on the exports server, and how much of it arrives."""

    def __init__(self, body: bytes, *, breaks_after: int | None = None) -> None:
        super().__init__(body)
        self.breaks_after = breaks_after

    def read(self, size: int | None = 0, /) -> bytes:
        if self.breaks_after is not None and self.tell() >= self.breaks_after:
            raise ConnectionFailedError("the connection was cut")
        return super().read(min(size or 0, 7))


class Exports:
    """A source that answers with these files in turn, the last one again and again."""

    exports_url = "http://exports.test/p/exports"

    def __init__(self, *files: File | None) -> None:
        self.files = list(files)
        self.asked: list[str] = []

    @contextmanager
    def open_export(self, url: str) -> Iterator[Response]:
        self.asked.append(url)
        file = self.files.pop(0) if len(self.files) > 1 else self.files[0]
        if file is None:
            raise ExportUnavailableError("403")
        file.seek(0)
        yield Response(200, {}, stream=file)


def line(tmdb_id: object, popularity: object = 1.5, **more: Any) -> str:
    film = {"adult": False, "id": tmdb_id, "original_title": "Film", "popularity": popularity, "video": False}
    return json.dumps(film | more, separators=(",", ":"))


def packed(*lines: str, newline: str = "\n") -> bytes:
    return gzip.compress(newline.join(lines).encode())


def read(*files: File | None, known: set[int] | None = None) -> Export:
    return read_export(Exports(*files), DAY, known or {1, 2, 3}, now=NOW)


def test_the_file_is_named_by_month_day_and_year() -> None:
    assert export_url("https://x/p/exports", dt.date(2026, 3, 9)) == "https://x/p/exports/movie_ids_03_09_2026.json.gz"


def test_known_films_are_kept_and_all_lines_counted() -> None:
    export = read(File(packed(line(1, 2.5), line(9), line(3, 0), line(8))), known={1, 3, 5})
    assert export.popularity == {1: 2.5, 3: 0.0}
    assert export.lines == 4
    assert export.received_bytes > 0


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\n\n"])
@pytest.mark.parametrize("ending", ["", "\n"])
def test_the_last_line_may_lack_its_newline_and_empty_lines_are_none(newline: str, ending: str) -> None:
    body = gzip.compress((newline.join([line(1), line(9), line(2)]) + ending).encode())
    export = read(File(body))
    assert (sorted(export.popularity), export.lines, export.malformed) == ([1, 2], 3, 0)


def test_a_null_or_absent_popularity_is_counted_not_stored() -> None:
    export = read(File(packed(line(1, None), '{"id":2}', line(3))))
    assert (export.popularity, export.without_popularity, export.malformed) == ({3: 1.5}, 2, 0)


@pytest.mark.parametrize("popularity", [-1, "5", True, float("nan"), float("inf"), 10**400])
def test_an_impossible_popularity_is_malformed(popularity: object) -> None:
    export = read(File(packed(line(1, popularity), line(2))))
    assert (export.popularity, export.malformed) == ({2: 1.5}, 1)


@pytest.mark.parametrize(
    "odd",
    [
        '{"adult": false, "id": 1, "popularity": 1.5}',  # spaces
        '{"id":1,"popularity":1.5}',  # other order
        '{"popularity":1.5,"id":1}',  # the id last
        '{"popularity":1.5,\t"id"  :  1 }',
        '{"belongs_to":{"id":7,"name":"x"},"id":1,"popularity":1.5}',  # an object with an id of its own first
        '{"\\u0069d":1,"popularity":1.5}',  # an escaped key
        '{"original_title":"{ \\"id\\":7, }","id":1,"popularity":1.5}',
        '{"original_title":"\\"id\\":","id":1,"popularity":1.5}',
    ],
)
def test_however_a_line_is_written_its_film_is_found(odd: str) -> None:
    export = read(File(packed(line(9), odd, line(2))), known={1, 2})
    assert export.popularity == {1: 1.5, 2: 1.5}
    assert read(File(packed(odd)), known={1}).popularity == {1: 1.5}
    assert 7 not in read(File(packed(line(9), odd)), known={7}).popularity


films = st.fixed_dictionaries(
    {
        "adult": st.booleans(),
        "id": st.integers(1, 12) | st.integers(1, 10**12),
        "original_title": st.text(st.characters(exclude_categories=["Cs"])) | st.sampled_from(['"id":1,', "{", "\n"]),
        "popularity": st.floats(0, 1e6) | st.integers(0, 10**6) | st.none(),
    },
    optional={"video": st.booleans(), "other": st.dictionaries(st.sampled_from(["id", "popularity"]), st.integers())},
)


@given(
    records=st.lists(films, max_size=20),
    separators=st.sampled_from([(",", ":"), (",", ":"), (", ", ": ")]),
    is_ascii=st.booleans(),
    is_shuffled=st.booleans(),
    known=st.sets(st.integers(1, 12)),
)
def test_the_short_way_finds_what_reading_every_line_finds(
    records: list[dict[str, Any]], separators: tuple[str, str], is_ascii: bool, is_shuffled: bool, known: set[int]
) -> None:
    if is_shuffled:
        records = [dict(sorted(record.items(), reverse=True)) for record in records]
    lines = [json.dumps(record, separators=separators, ensure_ascii=is_ascii) for record in records]
    block = "".join(f"{text}\n" for text in lines).encode()
    expected = {record["id"]: record["popularity"] for record in records if record["popularity"] is not None}
    export = parse_lines([block] if block else [], known)
    assert export.popularity == {key: value for key, value in expected.items() if key in known}
    assert (export.lines, export.malformed) == (len(records), 0)


@pytest.mark.parametrize("deep", ["[" * 100_000 + "]" * 100_000, '{"a":' * 980 + "1" + "}" * 980])
def test_a_line_nested_without_end_costs_itself_only(deep: str) -> None:
    export = read(File(packed(line(1), '{"id":2,"x":' + deep + "}", line(3))))
    assert export.popularity.keys() >= {1, 3}
    assert export.lines == 3


def test_a_file_that_decompresses_without_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("horror_pipeline.tmdb.exports.LARGEST_FILE_BYTES", 5_000_000)
    with pytest.raises(ExportUnavailableError, match="more than 5,000,000 bytes"):
        read(File(gzip.compress(b"\n" * 10_000_000)))


def test_a_file_of_several_gzip_members_is_read_to_its_end() -> None:
    assert sorted(read(File(packed(line(1)) + gzip.compress(b"\n") + packed(line(2)))).popularity) == [1, 2]


# -- what is not trusted -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("file", "reason"),
    [
        (File(b"<Error><Code>InternalError</Code></Error>"), "not gzip but something else, such as an error page"),
        (File(b""), "it is empty"),
        (File(packed(line(1))[:-4]), "truncated after"),
        (File(packed(line(1)), breaks_after=14), "broke off: the connection was cut"),
        (File(packed(line(1))[:10] + b"\x07" * 9), "it is damaged"),
        (File(packed(line(1))[:-5] + bytes(5)), "it is damaged"),
        (File(packed("<html>", *["no film"] * 20)), "21 of 21 lines are not films"),
        (File(gzip.compress(b"x" * 3_000_000)), "it has a line that is too long"),
    ],
)
def test_what_cannot_be_trusted_is_refused_in_one_sentence(file: File, reason: str) -> None:
    with pytest.raises(ExportUnavailableError, match=reason) as refused:
        read(file)
    message = str(refused.value)
    assert str(DAY) in message
    assert "nothing of that day was stored" in message
    assert "\n" not in message


def test_a_file_without_most_of_the_expected_films_is_not_trusted() -> None:
    export = read(File(packed(line(1), line(2, None), *[line(number) for number in range(100, 200)])))
    require_films(export, DAY, 5)
    with pytest.raises(
        ExportUnavailableError, match="cannot be trusted: it lists 2 of the films known, where at least 3"
    ):
        require_films(export, DAY, 6)


def test_a_file_without_any_known_film_is_not_trusted() -> None:
    with pytest.raises(ExportUnavailableError, match="it lists 0 of the films known"):
        require_films(read(File(packed(line(100)))), DAY, 0)


def test_a_transfer_that_broke_off_is_tried_again() -> None:
    assert sorted(read(File(packed(line(1)), breaks_after=14), File(packed(line(1), line(2)))).popularity) == [1, 2]


def test_an_error_page_is_not_asked_for_again() -> None:
    source = Exports(File(b"<Error/>"))
    with pytest.raises(ExportUnavailableError):
        read_export(source, DAY, {1}, now=NOW)
    assert len(source.asked) == 1


# -- what is not there -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("day", "expected"),
    [
        (
            dt.date(2026, 11, 22),
            "the id export of 2026-11-22 is not out yet; TMDB publishes it by 2026-11-22 08:00 UTC and is late",
        ),
        (
            dt.date(2026, 8, 23),
            "the id export of 2026-08-23 has expired; TMDB kept it for about 90 days, until 2026-11-21",
        ),
        (dt.date(2026, 8, 23), "history can now start at 2026-08-24"),
        (dt.date(2026, 11, 10), "missing at TMDB, though files are kept for about 90 days"),
    ],
)
def test_a_missing_file_is_explained_with_its_day_and_until_when(day: dt.date, expected: str) -> None:
    with pytest.raises(ExportUnavailableError) as refused:
        read_export(Exports(None), day, {1}, now=NOW)
    assert expected in str(refused.value)
    assert str(why_missing(day, NOW)) == str(refused.value)


def test_only_before_its_hour_is_a_file_awaited() -> None:
    today = NOW.date()
    assert is_awaited(today, dt.datetime(2026, 11, 22, 7, 59, tzinfo=dt.UTC))
    assert not is_awaited(today, dt.datetime(2026, 11, 22, 8, tzinfo=dt.UTC))
    assert not is_awaited(DAY, NOW)
