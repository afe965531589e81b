"""What every answer has in common: caching, compression, headers, errors."""

from __future__ import annotations

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import URL, Engine

from horror_pipeline.web.app import create_app
from horror_pipeline_tests.web import rows
from horror_pipeline_tests.web.rows import NOW


def test_an_answer_has_an_etag_and_304_spares_sending_it_again(client: TestClient, engine: Engine) -> None:
    rows.add_film(engine, 1)
    first = client.get("/api/summary")

    second = client.get("/api/summary", headers={"if-none-match": first.headers["etag"]})
    rows.add_film(engine, 2)
    third = client.get("/api/summary", headers={"if-none-match": first.headers["etag"]})

    assert first.headers["cache-control"] == "max-age=0"
    assert (second.status_code, second.content) == (304, b"")
    assert third.status_code == 200


def test_an_answer_is_kept_for_its_seconds_and_errors_are_not(database_url: URL, engine: Engine) -> None:
    with TestClient(create_app(database_url, cache_seconds=60, clock=lambda: NOW)) as client:
        assert client.get("/api/movies/1").status_code == 404
        rows.add_film(engine, 1)
        assert client.get("/api/movies/1").status_code == 200
        assert client.get("/api/movies", params={"query": "film"}).headers["cache-control"] == "max-age=60"

        rows.add_film(engine, 2)

        assert len(client.get("/api/movies", params={"query": "film"}).json()["movies"]) == 1
        assert len(client.get("/api/movies", params={"query": "film", "limit": 9}).json()["movies"]) == 2


def test_large_answers_are_gzipped_for_those_who_take_it(database_url: URL, engine: Engine) -> None:
    for tmdb_id in range(1, 15):
        rows.add_film(engine, tmdb_id)

    with TestClient(create_app(database_url, cache_seconds=60, clock=lambda: NOW)) as client:
        zipped = client.get("/api/summary", headers={"accept-encoding": "gzip"})
        plain = client.get("/api/summary", headers={"accept-encoding": "identity"})

    assert zipped.headers["content-encoding"] == "gzip"
    assert "content-encoding" not in plain.headers
    assert int(plain.headers["content-length"]) == len(plain.content) > int(zipped.headers["content-length"])
    assert zipped.json() == plain.json()
    assert plain.headers["vary"] == "Accept-Encoding"


@pytest.mark.parametrize(
    "path", ["/", "/docs", "/docs/", "/api/nothing", "/health", "/api/summary", "/static/1/app.js"]
)
def test_head_answers_like_get_without_the_body(offline_client: TestClient, path: str) -> None:
    head, get = offline_client.head(path), offline_client.get(path)

    assert (head.status_code, head.content) == (get.status_code, b"")
    assert head.headers == get.headers


def test_a_trailing_slash_changes_nothing_and_no_redirect_reflects_the_host(offline_client: TestClient) -> None:
    for path in ("/docs/", "/health/", "/api/summary/"):
        answer = offline_client.get(path, headers={"host": "evil.example"}, follow_redirects=False)

        assert answer.status_code == offline_client.get(path.rstrip("/")).status_code
        assert "evil.example" not in answer.text + str(answer.headers)


@pytest.mark.parametrize("path", ["/", "/docs", "/api/summary", "/api/nothing", "/health", "/api/predictions?limit=x"])
def test_every_answer_is_locked_down(offline_client: TestClient, path: str) -> None:
    headers = offline_client.get(path).headers

    policy = headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self' ")
    assert "unsafe" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["referrer-policy"] == "no-referrer"
    assert len(headers.get_list("content-security-policy")) == 1


def test_pictures_come_from_tmdb_only_with_tmdbs_own_data(database_url: URL, engine: Engine) -> None:
    rows.add_source(engine, is_demo=False, api_url="https://api.themoviedb.org/3")
    with TestClient(create_app(database_url)) as client:
        page = client.get("/")

    assert "img-src 'self' data: https://image.tmdb.org;" in page.headers["content-security-policy"]
    assert 'data-posters="yes"' in page.text


def test_made_up_films_show_no_pictures_of_tmdb(client: TestClient, engine: Engine) -> None:
    rows.add_source(engine, is_demo=True, api_url="https://api.themoviedb.org/3")

    assert 'data-posters="no"' in client.get("/").text


def test_an_error_of_ours_shows_nothing_of_the_inside(database_url: URL) -> None:
    def broken() -> None:
        raise RuntimeError("a secret of the inside")

    app = create_app(database_url, clock=broken)  # type: ignore[arg-type]
    with TestClient(app, raise_server_exceptions=False) as client:
        for path in ("/health", "/api/movies/1"):
            answer = client.get(path)
            assert answer.status_code == 500
            assert answer.json() == {"reason": "internal server error; see the server log", "parameter": None}


def test_static_files_are_kept_for_ever_under_an_address_of_their_content(offline_client: TestClient) -> None:
    page = offline_client.get("/").text
    address = page.split('src="')[1].split('"')[0]

    found = offline_client.get(address)

    assert found.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert found.headers["content-type"] == "text/javascript; charset=utf-8"
    assert offline_client.get("/static/000000000000/app.js").status_code == 404
    assert offline_client.get(address.replace("app.js", "..%2Fapp.py")).status_code == 404


def test_the_pages_name_no_other_host_and_credit_tmdb(offline_client: TestClient) -> None:
    for path in ("/", "/docs"):
        page = offline_client.get(path).text
        assert "http://" not in page
        assert "https://" not in page
        assert "<style" not in page
        assert " style=" not in page
        assert "not endorsed, certified, or otherwise approved by TMDB" in page


def test_the_schema_gives_every_endpoint_a_typed_answer_and_a_description(offline_client: TestClient) -> None:
    schema = offline_client.get("/openapi.json").json()

    for path, methods in schema["paths"].items():
        operation = methods["get"]
        assert operation["description"], path
        content = operation["responses"]["200"]["content"]
        if path.endswith(".csv"):
            assert list(content) == ["text/csv; charset=utf-8"], path
        else:
            assert "$ref" in content["application/json"]["schema"], path
        assert operation["responses"]["422"]["content"]["application/json"]["schema"]["$ref"].endswith("/Problem")
        for parameter in operation.get("parameters", []):
            assert parameter.get("description"), (path, parameter["name"])
