from __future__ import annotations

import datetime as dt
import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from horror_pipeline.transform.movies import CleanMovie, Rejection, clean_movie, clean_other

DOCUMENT: dict[str, Any] = {
    "id": 1091,
    "imdb_id": "tt0084787",
    "title": "The Thing Below",
    "original_title": "Das Ding",
    "original_language": "de",
    "overview": "Ice.",
    "tagline": "",
    "release_date": "2022-06-25",
    "status": "Released",
    "runtime": 109,
    "budget": 15_000_000,
    "revenue": 19_629_760_000,
    "belongs_to_collection": {"id": 7, "name": "The Things"},
    "genres": [{"id": 27, "name": "Horror"}, {"id": 878, "name": "Science Fiction"}],
    "keywords": {"keywords": [{"id": 1, "name": "ice"}, {"id": 2, "name": "ice"}, {"id": 3, "name": "dog"}]},
    "credits": {
        "cast": [{"name": "Second", "order": 1}, {"name": "First", "order": 0}, {"name": "Nobody", "order": None}],
        "crew": [{"name": "A. Director", "job": "Director"}, {"name": "A. Writer", "job": "Writer"}],
    },
    "release_dates": {
        "results": [
            {
                "iso_3166_1": "US",
                "release_dates": [
                    {"type": 3, "release_date": "2022-06-25T00:00:00.000Z"},
                    {"type": 3, "release_date": "2022-06-20T00:00:00.000Z"},
                    {"type": 4, "release_date": "2022-08-01T00:00:00.000Z"},
                    {"type": 9, "release_date": "2022-08-01T00:00:00.000Z"},
                    {"type": 1, "release_date": "2022-02-30T00:00:00.000Z"},
                ],
            },
            {"iso_3166_1": "XYZ", "release_dates": [{"type": 3, "release_date": "2022-06-25"}]},
        ]
    },
    "watch/providers": {
        "results": {
            "DE": {"link": "x", "rent": [{"provider_name": "Crypt"}, {"provider_name": "Crypt"}], "buy": []},
            "FR": {"link": "x"},
        }
    },
    "adult": False,
    "softcore": False,
    "video": False,
    "popularity": 31.25,
    "vote_average": 8.06,
    "vote_count": 6500,
    "poster_path": "/abc-DEF_1.jpg",
    "backdrop_path": None,
}


def clean(**changes: Any) -> CleanMovie | Rejection:
    return clean_movie(DOCUMENT | changes, first_year=2010, collected=("Horror",))


def row(**changes: Any) -> dict[str, Any]:
    found = clean(**changes)
    assert isinstance(found, CleanMovie), found
    return found.row


def test_a_document_becomes_a_typed_row() -> None:
    found = clean()
    assert found == CleanMovie(
        {
            "tmdb_id": 1091,
            "imdb_id": "tt0084787",
            "title": "The Thing Below",
            "original_title": "Das Ding",
            "original_language": "de",
            "overview": "Ice.",
            "tagline": None,
            "release_date": dt.date(2022, 6, 25),
            "release_year": 2022,
            "status": "Released",
            "runtime_minutes": 109,
            "budget_usd": 15_000_000,
            "revenue_usd": 19_629_760_000,
            "collection_id": 7,
            "collection_name": "The Things",
            "genres": ["Horror", "Science Fiction"],
            "keywords": ["ice", "dog"],
            "directors": ["A. Director"],
            "cast_names": ["First", "Second", "Nobody"],
            "releases": {"US": {"theatrical": "2022-06-20", "digital": "2022-08-01"}},
            "watch_options": {"DE": {"rent": ["Crypt"]}},
            "is_adult": False,
            "popularity": 31.25,
            "vote_average": 8.06,
            "vote_count": 6500,
            "poster_path": "/abc-DEF_1.jpg",
            "backdrop_path": None,
        }
    )


@pytest.mark.parametrize(
    ("changes", "column"),
    [
        ({"overview": ""}, "overview"),
        ({"imdb_id": None}, "imdb_id"),
        ({"imdb_id": ""}, "imdb_id"),
        ({"runtime": 0}, "runtime_minutes"),
        ({"runtime": None}, "runtime_minutes"),
        ({"budget": 0}, "budget_usd"),
        ({"revenue": 0}, "revenue_usd"),
        ({"release_date": ""}, "release_date"),
        ({"release_date": ""}, "release_year"),
        ({"belongs_to_collection": None}, "collection_id"),
        ({"vote_count": 0, "vote_average": 0.0}, "vote_average"),
    ],
)
def test_tmdb_s_spellings_of_unknown_are_null_without_a_word(changes: dict[str, Any], column: str) -> None:
    found = clean(**changes)
    assert isinstance(found, CleanMovie)
    assert found.row[column] is None
    assert found.warnings == ()


@pytest.mark.parametrize(
    ("changes", "column"),
    [
        ({"runtime": -90}, "runtime_minutes"),
        ({"runtime": 10_000}, "runtime_minutes"),
        ({"runtime": 90.5}, "runtime_minutes"),
        ({"vote_average": 11.0}, "vote_average"),
        ({"vote_average": -0.1}, "vote_average"),
        ({"vote_average": math.nan}, "vote_average"),
        ({"vote_count": "many"}, "vote_count"),
        ({"vote_count": -1}, "vote_count"),
        ({"vote_count": "١٢"}, "vote_count"),  # digits outside ASCII, which Python reads as 12
        ({"popularity": "１.５"}, "popularity"),
        ({"imdb_id": "tt٠٠٨٤٧٨٧"}, "imdb_id"),
        ({"vote_count": 2**31}, "vote_count"),
        ({"vote_count": True}, "vote_count"),
        ({"popularity": -1}, "popularity"),
        ({"popularity": math.inf}, "popularity"),
        ({"popularity": [1]}, "popularity"),
        ({"revenue": 2**63}, "revenue_usd"),
        ({"release_date": "2015-13-45"}, "release_date"),
        ({"release_date": "2015-02-30"}, "release_date"),
        ({"release_date": "0001-01-01"}, "release_date"),
        ({"release_date": "20150230"}, "release_date"),
        ({"release_date": "2020-W01-1"}, "release_date"),  # a week date of ISO 8601, which Python reads
        ({"release_date": "２０２０-01-01"}, "release_date"),
        ({"release_date": 2015}, "release_date"),
        ({"imdb_id": "nm0000001"}, "imdb_id"),
        ({"original_language": "<b>"}, "original_language"),
        ({"poster_path": "//evil.example/x.jpg"}, "poster_path"),
        ({"poster_path": "/../x.jpg"}, "poster_path"),
        ({"overview": 7}, "overview"),
        ({"overview": "\0\0"}, "overview"),
        ({"overview": "x" * 20_001}, "overview"),
        ({"belongs_to_collection": "The Things"}, "collection_id"),
        ({"keywords": []}, "keywords"),
        ({"credits": "none"}, "directors"),
    ],
)
def test_an_impossible_value_is_null_and_told(changes: dict[str, Any], column: str) -> None:
    found = clean(**changes)
    assert isinstance(found, CleanMovie)
    assert found.row[column] is None
    assert len(found.warnings) == 1
    assert found.warnings[0].startswith(next(iter(changes)) + ": ")


def test_a_number_written_as_text_is_taken_and_told() -> None:
    found = clean(vote_count="6500", popularity=" 31.25 ")
    assert isinstance(found, CleanMovie)
    assert (found.row["vote_count"], found.row["popularity"]) == (6500, 31.25)
    assert len(found.warnings) == 2


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"id": None}, "no usable id"),
        ({"id": -3}, "no usable id"),
        ({"id": 2**63}, "no usable id"),
        ({"title": "", "original_title": ""}, "no title"),
        ({"title": None, "original_title": " \u0000 "}, "no title"),
        ({"title": "x" * 2_000_000, "original_title": "x" * 20_001}, "no title"),
        ({"genres": [{"id": 18, "name": "Drama"}]}, "of no genre that is collected: Drama"),
        ({"genres": []}, "of no genre that is collected: no genres"),
        ({"release_date": "2009-12-31"}, "released 2009-12-31, before 2010"),
    ],
)
def test_what_nobody_can_recognise_or_is_out_of_scope_is_rejected(changes: dict[str, Any], reason: str) -> None:
    assert clean(**changes) == Rejection(reason)


@pytest.mark.parametrize("document", [None, [], "text", 7, 1.5, True])
def test_what_is_no_object_is_rejected(document: object) -> None:
    assert isinstance(clean_movie(document, first_year=2010, collected=("Horror",)), Rejection)


def test_a_film_without_a_date_is_in_scope() -> None:
    assert row(release_date="")["release_year"] is None


def test_a_far_future_is_a_date() -> None:
    assert row(release_date="2999-01-01")["release_year"] == 2999


def test_an_empty_title_falls_back_to_the_original_one() -> None:
    assert row(title="")["title"] == "Das Ding"


@pytest.mark.parametrize(
    ("title", "kept"),
    [
        ("Nul\0Byte", "NulByte"),
        ("Nul\ufffdByte", "NulByte"),
        ("Lone \ud800", "Lone"),
        ("  Padded\t", "Padded"),
        ("x" * 5000, "x" * 5000),
        ("<script>alert('xss')</script>", "<script>alert('xss')</script>"),
        ("Robert'); DROP TABLE movies;--", "Robert'); DROP TABLE movies;--"),
        ("\U0001f47b" * 40, "\U0001f47b" * 40),
        ("Right\u202eToLeft", "Right\u202eToLeft"),
    ],
)
def test_texts_keep_all_that_can_be_printed(title: str, kept: str) -> None:
    assert row(title=title)["title"] == kept


def test_a_part_that_never_came_is_unknown_and_an_empty_one_is_empty() -> None:
    without = {name: value for name, value in DOCUMENT.items() if name not in ("credits", "keywords")}
    found = clean_movie(without, first_year=2010, collected=("Horror",))
    assert isinstance(found, CleanMovie)
    assert (found.row["keywords"], found.row["directors"], found.row["cast_names"]) == (None, None, None)
    assert row(keywords={"keywords": []})["keywords"] == []
    assert row(credits={"cast": [], "crew": []})["directors"] == []


def test_lists_have_an_end() -> None:
    many = [{"id": number, "name": f"{number}", "job": "Director"} for number in range(27, 3_000)]
    found = row(genres=many, keywords={"keywords": many}, credits={"crew": many})
    assert [len(found[name]) for name in ("genres", "keywords", "directors")] == [1_000] * 3


def test_only_the_leading_cast_is_kept_in_billing_order() -> None:
    cast = [{"name": f"Actor {number}", "order": 30 - number} for number in range(30)]
    assert row(credits={"cast": cast, "crew": []})["cast_names"] == [f"Actor {number}" for number in range(29, 19, -1)]


def test_a_newer_listing_gives_popularity_and_votes_and_nothing_else() -> None:
    listed = {"id": 1091, "title": "Other", "popularity": 40.0, "vote_average": 8.1, "vote_count": 6501}
    found = clean_movie(DOCUMENT, listed=listed, first_year=2010, collected=("Horror",))
    assert isinstance(found, CleanMovie)
    assert (found.row["popularity"], found.row["vote_average"], found.row["vote_count"]) == (40.0, 8.1, 6501)
    assert found.row["title"] == "The Thing Below"


def test_a_document_without_genres_takes_the_listing_s() -> None:
    without = {name: value for name, value in DOCUMENT.items() if name != "genres"}
    found = clean_movie(without, listed={"genre_ids": [27, 53, 12345]}, first_year=2010, collected=("Horror",))
    assert isinstance(found, CleanMovie)
    assert found.row["genres"] == ["Horror", "Thriller"]
    assert len(found.warnings) == 1


def test_horror_is_known_by_its_number_in_any_language() -> None:
    assert row(genres=[{"id": 27, "name": "Terror"}])["genres"] == ["Horror"]


ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([2**31, 2**63, -(2**63), 10**400, 1e308, -0.0])
    | st.floats()
    | st.text(st.characters(codec=None), max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)

MANGLED = st.fixed_dictionaries({}, optional=dict.fromkeys(DOCUMENT, ANYTHING))


def check_row(found: CleanMovie) -> None:
    one = found.row
    assert set(one) == set(row())
    assert isinstance(one["tmdb_id"], int)
    assert one["title"]
    assert "Horror" in one["genres"]
    assert one["runtime_minutes"] is None or 1 <= one["runtime_minutes"] <= 1000
    assert one["vote_average"] is None or 0 <= one["vote_average"] <= 10
    assert one["vote_count"] is None or 0 <= one["vote_count"] < 2**31
    assert one["popularity"] is None or 0 <= one["popularity"] < math.inf
    for name in ("budget_usd", "revenue_usd", "collection_id"):
        assert one[name] is None or 1 <= one[name] < 2**63
    for value in one.values():
        for text in value if isinstance(value, list) else [value]:
            if isinstance(text, str):
                text.encode()  # no lone surrogate
                assert "\0" not in text


@given(MANGLED, ANYTHING)
def test_every_document_becomes_a_row_or_a_rejection(changes: dict[str, Any], listed: object) -> None:
    found = clean_movie(DOCUMENT | changes, listed=listed, first_year=2010, collected=("Horror",))
    if isinstance(found, CleanMovie):
        check_row(found)
    else:
        assert found.reason


@given(ANYTHING)
def test_any_json_at_all_becomes_a_row_or_a_rejection(document: object) -> None:
    assert isinstance(
        clean_movie(document, listed=document, first_year=2010, collected=("Horror",)), CleanMovie | Rejection
    )


def test_a_deeply_nested_value_is_no_trouble() -> None:
    nested = json.loads("[" * 500 + "]" * 500)
    assert row(overview=nested)["overview"] is None


def test_a_listing_row_of_another_genre_becomes_a_row_of_other_movies() -> None:
    listed = {"id": 7, "title": "", "original_title": "Nuit", "original_language": "fr", "release_date": "2020-01-02"}
    scores = {"genre_ids": [18, "x", 1], "popularity": 2.5, "vote_count": 0, "vote_average": 0}
    assert clean_other(listed | scores, ("Horror",)) == {
        "tmdb_id": 7,
        "title": "Nuit",
        "original_title": "Nuit",
        "original_language": "fr",
        "release_date": dt.date(2020, 1, 2),
        "genres": ["Drama"],
        "popularity": 2.5,
        "vote_count": 0,
        "vote_average": None,
    }


@pytest.mark.parametrize(
    "changed", [{"id": 0}, {"title": None}, {"release_date": ""}, {"release_date": "2020-13-01"}, {"genre_ids": [27]}]
)
def test_a_listing_row_that_teaches_nothing_is_passed_over(changed: dict[str, object]) -> None:
    listed = {"id": 7, "title": "Night", "release_date": "2020-01-02", "genre_ids": [18]}
    assert clean_other(listed, ("Horror",)) is not None
    assert clean_other(listed | changed, ("Horror",)) is None
    assert clean_other([listed], ("Horror",)) is None
