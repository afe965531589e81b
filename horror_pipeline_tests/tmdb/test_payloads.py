from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from horror_pipeline.tmdb.payloads import (
    MalformedError,
    absent_parts,
    as_text,
    count_of,
    ids_of,
    movie_id,
    parse,
    payload_hash,
)
from horror_pipeline_tests.tmdb.fake import document

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec=None)),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(st.characters(codec=None)), inner, max_size=4),
    max_leaves=12,
)


def test_harmless_text_is_passed_through_as_received() -> None:
    raw = '{"id": 1,  "title": "Größe \\u00e9"}'
    assert parse(raw.encode()).text == raw


BLOATED = b'{"x": [' + b"[]," * 300_000 + b"1]}"


@pytest.mark.parametrize("raw", [b"", b"<html></html>", b'{"id": 1', b"[]", b'"text"', b"7", b"[" * 100_000, BLOATED])
def test_what_is_not_one_object_is_malformed(raw: bytes) -> None:
    with pytest.raises(MalformedError):
        parse(raw)


@pytest.mark.parametrize(
    ("raw", "body"),
    [
        (b'{"t": "Nul\\u0000Byte"}', {"t": "Nul\ufffdByte"}),
        (b'{"t": "lone \\ud800 one"}', {"t": "lone \ufffd one"}),
        (b'{"t": "pair \\ud83d\\udc7b"}', {"t": "pair \U0001f47b"}),
        (b'{"n": NaN, "i": [Infinity, -Infinity]}', {"n": None, "i": [None, None]}),
        (b'{"n": 1e999}', {"n": None}),
        (b'{"\\u0000": 1}', {"\ufffd": 1}),
        (b'{"t": "\xff\xfe"}', {"t": "\ufffd\ufffd"}),
    ],
)
def test_what_postgres_cannot_hold_is_replaced(raw: bytes, body: dict[str, Any]) -> None:
    found = parse(raw)
    assert found.body == body
    assert json.loads(found.text) == body


def test_a_backslash_before_u0000_is_no_nul() -> None:
    raw = b'{"t": "a \\\\u0000 b"}'
    assert parse(raw).body == {"t": "a \\u0000 b"}


def nested(depth: int, inner: str = "1") -> str:
    return "[" * depth + inner + "]" * depth


@pytest.mark.parametrize("depth", [65, 500, 950, 980, 5_000, 100_000])
@pytest.mark.parametrize("inner", ["1", '"Nul\\u0000Byte"', '"]]]{\\"["', "NaN"])
def test_what_is_nested_too_deeply_costs_itself_only(depth: int, inner: str) -> None:
    found = parse(f'{{"results": [{{"id": 1, "x": {nested(depth, inner)}}}, {{"id": 2, "t": "a"}}]}}'.encode())
    assert [row["id"] for row in found.body["results"]] == [1, 2]
    assert found.body["results"][1] == {"id": 2, "t": "a"}
    assert nested(10).replace("1", "null") in found.text
    assert json.loads(found.text) == found.body


def test_what_is_nested_as_deeply_as_allowed_is_kept() -> None:
    raw = f'{{"x": {nested(63)}}}'
    assert parse(raw.encode()).text == raw


@pytest.mark.parametrize("raw", ['{"x": ' + "[" * 100_000, "]" * 100_000, '{"a":' * 2_000 + '"' * 99_999])
def test_deep_nesting_without_an_end_is_malformed(raw: str) -> None:
    with pytest.raises(MalformedError):
        parse(raw.encode())


@pytest.mark.parametrize(
    ("number", "kept"),
    [
        ("1" * 5_000, None),
        ("-" + "9" * 301, None),
        ("0." + "1" * 20_000, 0.1111111111111111),
        ("12345678901", 12345678901),
    ],
)
def test_a_number_of_too_many_digits_costs_itself_only(number: str, kept: float | None) -> None:
    found = parse(f'{{"results": [{{"id": 1, "popularity": {number}}}, {{"id": 2}}]}}'.encode())
    assert found.body == json.loads(found.text) == {"results": [{"id": 1, "popularity": kept}, {"id": 2}]}


@given(st.dictionaries(st.text(st.characters(codec=None)), JSON, max_size=5))
def test_whatever_arrives_becomes_text_that_is_json_and_utf_8(body: dict[str, Any]) -> None:
    raw = json.dumps(body).encode()
    for text in (parse(raw).text, as_text(body)):
        text.encode()
        parsed = json.loads(text, parse_constant=lambda name: pytest.fail(name))
        assert "\0" not in json.dumps(parsed, ensure_ascii=False)


def test_the_digest_ignores_what_moves_every_day_and_the_order_of_keys() -> None:
    one, two = document(1), dict(reversed(document(1, popularity=99.0, vote_count=7, vote_average=1.5).items()))
    one["credits"] = {"cast": [{"name": "Actor", "popularity": 2.5, "order": 0}], "crew": []}
    two["credits"] = {"crew": [], "cast": [{"order": 0, "popularity": None, "name": "Actor"}]}
    assert payload_hash(one) == payload_hash(two)
    assert payload_hash(one) != payload_hash(document(1, title="Another"))
    assert payload_hash(one | {"vote_average": None, "popularity": 1e-7}) == payload_hash(one)


@pytest.mark.parametrize("text", ['"popularity":5,', '\\"popularity":5', 'a "vote_count":7'])
def test_the_digest_sees_a_text_that_looks_like_what_it_ignores(text: str) -> None:
    digests = {payload_hash(document(1, overview=one)) for one in (text, text + "x", text.replace("5", "6"), "")}
    assert len(digests) >= 3


def test_a_left_out_part_is_absent_and_an_empty_one_is_not() -> None:
    whole = document(1, keywords={"keywords": []}, release_dates={}) | {"watch/providers": {}}
    assert absent_parts(whole) == ()
    del whole["keywords"]
    assert absent_parts(whole) == ("keywords",)
    assert absent_parts(whole | {"credits": None}) == ("credits", "keywords")


@pytest.mark.parametrize(
    "row", [None, 3, {}, {"id": None}, {"id": "5"}, {"id": True}, {"id": 0}, {"id": -1}, {"id": 1.5}]
)
def test_a_row_without_a_whole_positive_id_has_none(row: object) -> None:
    assert movie_id(row) is None


def test_ids_and_counts_of_a_page() -> None:
    page = {"results": [{"id": 5}, {"id": "x"}, None, {"id": 5}], "total_pages": 2}
    assert list(ids_of(page)) == [5, 5]
    assert count_of(page, "total_pages") == 2
    for bad in ({}, {"total_pages": "2"}, {"total_pages": -1}, {"total_pages": True}):
        with pytest.raises(MalformedError):
            count_of(bad, "total_pages")
    with pytest.raises(MalformedError):
        list(ids_of({"results": {"id": 5}}))
