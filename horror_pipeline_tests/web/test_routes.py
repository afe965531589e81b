from __future__ import annotations

import csv
import io
from datetime import date, timedelta

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine, text

from horror_pipeline_tests.web import rows
from horror_pipeline_tests.web.rows import NOW, TODAY

# -- predictions -------------------------------------------------------------------------------------------------------


def test_an_empty_database_gives_empty_answers(client: TestClient) -> None:
    assert client.get("/api/summary").json()["movies"] == []
    assert client.get("/api/predictions").json() == {
        "predicted_at": None,
        "total": 0,
        "limit": 20,
        "offset": 0,
        "predictions": [],
    }
    assert client.get("/api/models").json() == {"champions": [], "versions": []}
    assert client.get("/api/accuracy").json()["scores"] == []
    assert client.get("/api/accuracy").json()["forecasts"] == []
    assert client.get("/api/forecasts").json()["forecasts"] == []
    assert client.get("/api/comparison").json()["points"] == []
    assert client.get("/api/movies", params={"query": "x"}).json()["movies"] == []


def test_predictions_are_twenty_of_the_newest_batch_most_popular_first(client: TestClient, engine: Engine) -> None:
    for tmdb_id in range(1, 26):
        rows.add_film(engine, tmdb_id)
        rows.add_prediction(engine, tmdb_id, NOW - timedelta(hours=1), predicted_popularity=99.0)
        rows.add_prediction(engine, tmdb_id, predicted_popularity=float(tmdb_id))

    page = client.get("/api/predictions").json()

    assert page["total"] == 25
    assert page["predicted_at"] == "2026-11-22T12:00:00Z"
    assert [row["tmdb_id"] for row in page["predictions"]] == list(range(25, 5, -1))


def test_pages_follow_each_other_without_gap_or_overlap(client: TestClient, engine: Engine) -> None:
    for tmdb_id in range(1, 8):
        rows.add_film(engine, tmdb_id)
        rows.add_prediction(engine, tmdb_id, predicted_popularity=1.0)  # all equal: the order must still be one order

    seen = [
        row["tmdb_id"]
        for offset in (0, 3, 6)
        for row in client.get("/api/predictions", params={"limit": 3, "offset": offset}).json()["predictions"]
    ]

    assert sorted(seen) == list(range(1, 8))
    assert client.get("/api/predictions", params={"offset": 999_999}).json()["predictions"] == []


def test_a_newer_batch_replaces_the_one_before(client: TestClient, engine: Engine) -> None:
    rows.add_film(engine, 1)
    rows.add_prediction(engine, 1, predicted_popularity=3.0)
    assert client.get("/api/predictions").json()["predictions"][0]["predicted_popularity"] == 3.0

    rows.add_prediction(engine, 1, NOW + timedelta(hours=1), predicted_popularity=4.0)

    assert client.get("/api/predictions").json()["predictions"][0]["predicted_popularity"] == 4.0


def test_gaps_order_films_and_leave_out_those_with_few_votes(client: TestClient, engine: Engine) -> None:
    rows.add_source(engine)
    for tmdb_id, rating, votes in ((1, 4.5, 900), (2, 8.5, 900), (3, 1.0, 3)):
        rows.add_film(engine, tmdb_id)
        rows.add_prediction(engine, tmdb_id, actual_vote_average=rating, actual_vote_count=votes)

    lowest = client.get("/api/predictions", params={"order": "rating_gap", "direction": "asc"}).json()
    highest = client.get("/api/predictions", params={"order": "rating_gap"}).json()

    assert [(row["tmdb_id"], row["rating_gap"]) for row in lowest["predictions"]] == [(1, -1.0), (2, 1.0)]
    assert [row["tmdb_id"] for row in highest["predictions"]] == [2, 1]


def test_stage_votes_and_release_date_choose_films(client: TestClient, engine: Engine) -> None:
    rows.add_film(engine, 1)
    rows.add_prediction(engine, 1, actual_vote_count=1_000)
    for tmdb_id, release in ((2, date(2027, 3, 1)), (3, date(2027, 1, 1)), (4, None)):
        rows.add_film(engine, tmdb_id, release_date=release, vote_average=None, vote_count=0)
        rows.add_prediction(engine, tmdb_id, stage="before_release", actual_vote_count=None, actual_vote_average=None)

    def ids(**parameters: str | int) -> list[int]:
        page = client.get("/api/predictions", params=parameters).json()
        return [row["tmdb_id"] for row in page["predictions"]]

    assert ids(stage="before_release", order="release_date", direction="asc") == [3, 2]
    assert ids(release_month="2027-01") == [3]
    assert ids(min_votes=500) == [1]
    assert ids(stage="after_release", min_votes=2_000) == []


def test_a_film_surprises_that_is_expected_to_reach_many_times_its_popularity(
    client: TestClient, engine: Engine
) -> None:
    for tmdb_id, now in ((1, 0.2), (2, 0.5), (3, 4.0), (4, None)):
        rows.add_film(engine, tmdb_id, release_date=TODAY + timedelta(days=9))
        rows.add_prediction(
            engine, tmdb_id, stage="before_release", predicted_popularity=4.0 + tmdb_id, actual_popularity=now
        )
    rows.add_film(engine, 5)
    rows.add_prediction(engine, 5, predicted_popularity=90.0)  # it is out
    rows.add_film(engine, 6, release_date=TODAY + timedelta(days=9))
    rows.add_prediction(engine, 6, stage="before_release", actual_popularity=8.0)  # it is expected to fall
    rows.add_explanation(engine, 2)
    for horizon in (7, 14, 30):
        rows.add_forecast(engine, 1, horizon, forecast_popularity=float(horizon))
    rows.add_forecast(engine, 3, 7)  # it is not out by then
    rows.add_forecast(engine, 5, 7)  # it is out
    found = client.get("/api/predictions?order=surprise_factor").json()["predictions"]
    assert [(row["tmdb_id"], row["surprise_factor"]) for row in found] == [(4, 8.0), (2, 6.0), (1, 5.0), (3, 1.75)]
    assert [row["popularity_reasons"] for row in found] == [
        None,
        "2.72 is usual, out in October +18 %, in French −9 %",
        None,
        None,
    ]
    assert [(row["forecast_date"], row["forecast_popularity"]) for row in found] == [
        (None, None),
        (None, None),
        ((TODAY + timedelta(days=14)).isoformat(), 14.0),
        (None, None),
    ]


def test_films_no_longer_on_tmdb_are_not_predicted(client: TestClient, engine: Engine) -> None:
    rows.add_film(engine, 1, gone_at=NOW)
    rows.add_prediction(engine, 1)

    assert client.get("/api/predictions").json()["total"] == 0


def test_comparison_samples_evenly_and_only_released_films(client: TestClient, engine: Engine) -> None:
    for tmdb_id in range(1, 11):
        rows.add_film(engine, tmdb_id)
        rows.add_prediction(engine, tmdb_id, stage="before_release" if tmdb_id > 8 else "after_release")

    found = client.get("/api/comparison", params={"target": "vote_average", "limit": 4}).json()

    assert found["total"] == 8
    assert [point["tmdb_id"] for point in found["points"]] == [1, 3, 5, 7]
    assert found["points"][0] == {
        "tmdb_id": 1,
        "title": "Film 1",
        "predicted": 6.5,
        "lower": 5.5,
        "upper": 7.5,
        "actual": 6.0,
        "vote_count": 100,
    }


# -- films -------------------------------------------------------------------------------------------------------------


def test_summary_tells_what_is_popular_and_since_when(client: TestClient, engine: Engine) -> None:
    rows.add_source(engine)
    for tmdb_id in range(1, 13):
        rows.add_film(engine, tmdb_id, popularity=float(tmdb_id))
    rows.add_film(engine, 99, popularity=500.0, gone_at=NOW)
    days = [TODAY - timedelta(days=back) for back in range(10)]
    rows.add_snapshots(engine, 12, {day: 5.0 for day in days[5:]}, percentile=0.9)
    rows.add_snapshots(engine, 12, {day: 9.0 for day in (days[0], days[1], days[3], days[4])}, percentile=0.995)

    summary = client.get("/api/summary").json()

    assert [film["tmdb_id"] for film in summary["movies"]] == list(range(12, 2, -1))
    top = summary["movies"][0]
    assert top["popular_since"] == str(days[4])  # days[2] was never collected: that ends no run
    assert not top["is_popular_since_earlier"]
    assert top["popularity_week_ago"] == 5.0
    assert top["popularity_by_day"][-5:] == [9.0, 9.0, None, 9.0, 9.0]
    assert summary["is_demo"] is True
    assert summary["snapshot_date"] == str(TODAY)
    assert summary["movie_count"] == 13


def test_a_run_that_reaches_the_first_snapshot_may_be_longer(client: TestClient, engine: Engine) -> None:
    rows.add_film(engine, 1)
    rows.add_snapshots(engine, 1, {TODAY - timedelta(days=back): 9.0 for back in range(3)}, percentile=1.0)

    assert client.get("/api/summary").json()["movies"][0]["is_popular_since_earlier"]


def test_a_film_has_its_history_and_the_last_prediction_of_each_day(client: TestClient, engine: Engine) -> None:
    rows.add_film(engine, 7, "The Thing", directors=["John Carpenter"])
    rows.add_snapshots(engine, 7, {TODAY - timedelta(days=back): 10.0 - back for back in (0, 1, 40)})
    for hours in (0, 1, 2, 13, 14, 24 * 60):
        rows.add_prediction(engine, 7, NOW - timedelta(hours=hours), predicted_popularity=float(hours))

    found = client.get("/api/movies/7", params={"days": 30}).json()

    assert found["movie"]["title"] == "The Thing"
    assert found["movie"]["directors"] == ["John Carpenter"]
    assert [(row["snapshot_date"], row["popularity"]) for row in found["history"]] == [
        ("2026-11-21", 9.0),
        ("2026-11-22", 10.0),
    ]
    assert [row["predicted_popularity"] for row in found["predictions"]] == [13.0, 0.0]


def test_a_film_has_its_class_and_group_where_there_are_any(client: TestClient, engine: Engine) -> None:
    rows.add_film(engine, 7)
    rows.add_film(engine, 8)
    rows.add_groups(engine, 7)

    films = [client.get(f"/api/movies/{tmdb_id}").json()["movie"] for tmdb_id in (7, 8)]

    fields = ("high_rated_probability", "is_high_rated", "cluster_name")
    assert [[film[field] for field in fields] for film in films] == [[0.81, True, "october"], [None, None, None]]


def test_an_unknown_film_is_404_with_a_reason(client: TestClient) -> None:
    answer = client.get("/api/movies/12345")

    assert answer.status_code == 404
    assert answer.json() == {"reason": "no film with id 12345 is known here", "parameter": None}


SEARCHES: tuple[tuple[str, list[int]], ...] = (
    ("the thing", [2, 1]),  # most popular first
    ("thi", [2, 1]),  # the beginning of a word
    ("THING another", [2]),  # any order, any case
    ("hing", []),  # not the middle of one
    ("cosa", [1]),  # the original title
    ("l'ann", [3]),  # an apostrophe is no operator
    ("rec", [4]),  # brackets are no part of a word
    ("thing | rec", []),  # nor is this an "or"
    ("!thing", [2, 1]),  # nor this a "not"
    ("' OR 1=1 --", []),
    ("\\", []),
    ("&", []),
    ("thing:*", [2, 1]),
    ("   ", []),
)


def test_search_is_by_words_and_nothing_in_it_is_syntax(client: TestClient, engine: Engine) -> None:
    rows.add_film(engine, 1, "The Thing", popularity=1.0, original_title="La cosa")
    rows.add_film(engine, 2, "Another Thing: The Return", popularity=2.0)
    rows.add_film(engine, 3, "L'année du loup", popularity=3.0)
    rows.add_film(engine, 4, "[REC]", popularity=4.0)

    found = {}
    for query, _ in SEARCHES:
        answer = client.get("/api/movies", params={"query": query})
        assert answer.status_code == 200
        found[query] = [film["tmdb_id"] for film in answer.json()["movies"]]

    assert found == dict(SEARCHES)


# -- forecasts ---------------------------------------------------------------------------------------------------------


def test_forecasts_are_the_newest_rises_within_seven_days_largest_share_first(
    client: TestClient, engine: Engine
) -> None:
    for tmdb_id, origin, forecast in ((1, 10.0, 12.0), (2, 2.0, 6.0), (3, 5.0, 4.0), (4, 0.5, 5.0), (5, 5.0, 5.0)):
        rows.add_film(engine, tmdb_id)
        rows.add_forecast(engine, tmdb_id, origin_popularity=origin, forecast_popularity=forecast)
    rows.add_forecast(engine, 3, 1, forecast_popularity=99.0)
    rows.add_forecast(engine, 3, made_on=TODAY - timedelta(days=1), forecast_popularity=99.0)

    def ids(**parameters: str | int) -> list[int]:
        page = client.get("/api/forecasts", params=parameters).json()
        return [row["tmdb_id"] for row in page["forecasts"]]

    page = client.get("/api/forecasts").json()
    assert (page["made_on"], page["horizon_days"], page["total"]) == (str(TODAY), 7, 2)
    assert page["forecasts"][0] == {
        "tmdb_id": 2,
        "title": "Film 2",
        "release_date": "2024-10-31",
        "days_to_release": (date(2024, 10, 31) - TODAY).days,
        "made_on": str(TODAY),
        "horizon_days": 7,
        "target_date": str(TODAY + timedelta(days=7)),
        "origin_popularity": 2.0,
        "forecast_popularity": 6.0,
        "popularity_lower": 1.5,
        "popularity_upper": 4.5,
        "rise_probability": None,
        "is_backtest": False,
        "model_version": "f1",
    }
    assert ids() == [2, 1]  # at popularity below 1, as film 4 is, a rise means little
    assert ids(order="fall") == [3]
    assert ids(order="popularity") == [1, 2, 4, 5, 3]
    assert ids(order="popularity", limit=2, offset=2) == [4, 5]
    assert ids(horizon=1) == [3]


def test_forecasts_can_be_those_of_films_before_or_after_release(client: TestClient, engine: Engine) -> None:
    for tmdb_id, release in ((1, TODAY), (2, TODAY + timedelta(days=1)), (3, None)):
        rows.add_film(engine, tmdb_id, release_date=release)
        rows.add_forecast(engine, tmdb_id)

    found = [
        [row["tmdb_id"] for row in client.get("/api/forecasts", params={"stage": stage}).json()["forecasts"]]
        for stage in ("before_release", "after_release")
    ]

    assert found == [[2, 3], [1]]


def test_a_film_has_its_newest_forecasts_by_horizon(client: TestClient, engine: Engine) -> None:
    rows.add_film(engine, 7)
    rows.add_film(engine, 8)
    for horizon in (30, 1, 7):
        rows.add_forecast(engine, 7, horizon)
    rows.add_forecast(engine, 7, 3, made_on=TODAY - timedelta(days=1))

    found = [client.get(f"/api/movies/{tmdb_id}").json()["forecasts"] for tmdb_id in (7, 8)]

    assert [row["horizon_days"] for row in found[0]] == [1, 7, 30]
    assert found[1] == []


def test_movers_are_the_newest_and_most_unusual_rises_within_seven_days(client: TestClient, engine: Engine) -> None:
    assert client.get("/api/movers").json()["movers"] == []
    rows.add_film(engine, 3, gone_at=rows.NOW)
    for tmdb_id, score, popularity in ((1, 0.97, 9.0), (2, 0.992, 4.0), (3, 0.999, 9.0), (4, None, 1.5)):
        if tmdb_id != 3:
            rows.add_film(engine, tmdb_id)
        rows.add_mover(engine, tmdb_id, breakout_score=score, popularity=popularity)
        rows.add_mover(engine, tmdb_id, snapshot_date=rows.TODAY - timedelta(days=1))
    rows.add_mover(engine, 1, 30, popularity_before=0.0)

    def ids(**parameters: str | int) -> list[int]:
        return [row["tmdb_id"] for row in client.get("/api/movers", params=parameters).json()["movers"]]

    assert (ids(), ids(order="rise"), ids(order="fall"), ids(span=30)) == ([2, 1], [1, 2], [4], [1])
    page = client.get("/api/movers", params={"limit": 1, "offset": 1}).json()
    assert (page["total"], page["snapshot_date"], page["movers"][0]["change_percentile"]) == (2, "2026-11-22", 0.9972)
    found = client.get("/api/movies/1").json()["movers"]
    assert [row["span_days"] for row in found] == [7, 30]


def test_every_list_is_a_csv_as_well(client: TestClient, engine: Engine) -> None:
    rows.add_film(engine, 1, '=2+2, "quoted"')
    rows.add_mover(engine, 1, is_own_record=None)
    rows.add_forecast(engine, 1)
    rows.add_prediction(engine, 1)
    answer = client.get("/api/movers.csv", params={"order": "rise"})
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert list(csv.DictReader(io.StringIO(answer.text))) == [
        {
            "snapshot_date": "2026-11-22",
            "span_days": "7",
            "popularity": "9.0",
            "popularity_before": "3.0",
            "popularity_usual": "3.2",
            "popularity_rank": "4",
            "popularity_rank_before": "20",
            "change_percentile": "0.9972",
            "is_own_record": "",
            "breakout_score": "0.995",
            "is_breakout": "True",
            "tmdb_id": "1",
            "title": '\'=2+2, "quoted"',
            "release_date": "2024-10-31",
        }
    ]
    for path in ("predictions", "forecasts", "summary", "movies"):
        parameters = {"query": "quoted"} if path == "movies" else {}
        (row,) = csv.DictReader(io.StringIO(client.get(f"/api/{path}.csv", params=parameters).text))
        assert row["tmdb_id"] == "1"
    assert client.get("/api/movers.csv?span=3").status_code == 422
    assert client.get("/api/movers.csv?span=1").text.count("\n") == 1  # the header alone


def test_accuracy_has_forecasts_beside_no_change_by_month_and_horizon(client: TestClient, engine: Engine) -> None:
    rows.add_forecast_score(engine, 30, date(2026, 11, 1))
    rows.add_forecast_score(engine, 7, date(2026, 11, 1), mae=1.2)
    rows.add_forecast_score(engine, 7, date(2026, 10, 1), is_backtest=True)

    found = client.get("/api/accuracy").json()["forecasts"]

    assert [(row["month"], row["horizon_days"], row["is_backtest"]) for row in found] == [
        ("2026-10-01", 7, True),
        ("2026-11-01", 7, False),
        ("2026-11-01", 30, False),
    ]
    assert found[1] == {
        "horizon_days": 7,
        "month": "2026-11-01",
        "is_backtest": False,
        "films": 1000,
        "mae": 1.2,
        "mae_no_change": 1.0,
        "skill": pytest.approx(-0.2),
        "coverage": 0.79,
    }


# -- models and outcomes -----------------------------------------------------------------------------------------------


def test_models_are_the_champions_and_their_predecessors_without_artefacts(client: TestClient, engine: Engine) -> None:
    rows.add_model(engine)
    rows.add_model(engine, model_version="old", is_champion=False, trained_at=NOW - timedelta(days=3))

    found = client.get("/api/models").json()

    assert [model["model_version"] for model in found["champions"]] == ["rating_after_release-1"]
    assert found["champions"][0]["metrics"] == rows.METRICS
    assert [model["model_version"] for model in found["versions"]] == ["rating_after_release-1", "old"]
    assert "artifact" not in found["champions"][0]


def test_accuracy_adds_days_up_by_their_outcomes(client: TestClient, engine: Engine) -> None:
    known = {"predicted_popularity": 7.0, "no_change_popularity": 5.0}
    rows.add_outcome(engine, 1, TODAY, popularity_error=1.0, is_popularity_in_interval=True, **known)
    rows.add_outcome(engine, 2, TODAY, popularity_error=-2.0, is_popularity_in_interval=False)
    rows.add_outcome(engine, 3, TODAY - timedelta(days=2), popularity_error=-2.0, vote_average_error=0.5)
    rows.add_outcome(engine, 4, TODAY - timedelta(days=60), popularity_error=50.0)

    found = client.get("/api/accuracy").json()

    assert (found["from_date"], found["to_date"]) == ("2026-11-20", "2026-11-22")
    [score] = found["scores"]
    assert score["popularity_count"] == 3
    assert score["popularity_mean_absolute_error"] == pytest.approx(5 / 3)
    assert score["popularity_no_change_mean_absolute_error"] == 3.0  # of the one film that had a value before
    assert score["vote_average_no_change_mean_absolute_error"] is None
    assert score["popularity_mean_error"] == pytest.approx(-1.0)
    assert score["popularity_coverage"] == pytest.approx(2 / 3)
    assert (score["vote_average_count"], score["vote_average_mean_absolute_error"]) == (1, 0.5)
    assert score["vote_average_coverage"] is None
    assert [row["outcome_date"] for row in found["by_day"]] == ["2026-11-20", "2026-11-22"]


# -- what is refused ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "parameter"),
    [
        ("/api/predictions?limit=many", "limit"),
        ("/api/predictions?limit=0", "limit"),
        ("/api/predictions?limit=201", "limit"),
        ("/api/predictions?limit=20;DROP TABLE movies", "limit"),
        ("/api/predictions?offset=-1", "offset"),
        ("/api/predictions?offset=99999999999999999999", "offset"),
        ("/api/predictions?stage=before", "stage"),
        ("/api/predictions?order=title", "order"),
        ("/api/predictions?order=popularity_gap;--", "order"),
        ("/api/predictions?page=2", "page"),
        ("/api/summary?limit=5", "limit"),
        ("/api/movies", "query"),
        ("/api/movies?query=", "query"),
        ("/api/movies?query=a%00b", "query"),
        ("/api/movies?query=" + "x" * 101, "query"),
        ("/api/movies/abc", "tmdb_id"),
        ("/api/movies/0", "tmdb_id"),
        ("/api/movies/9223372036854775808", "tmdb_id"),
        ("/api/movies/1?days=999", "days"),
        ("/api/comparison?target=rating", "target"),
        ("/api/accuracy?days=0", "days"),
        ("/api/movers?span=2", "span"),
        ("/api/forecasts?horizon=2", "horizon"),
        ("/api/forecasts?horizon=week", "horizon"),
        ("/api/forecasts?order=title", "order"),
        ("/health?x=1", "x"),
    ],
)
def test_a_wrong_parameter_is_422_and_named(offline_client: TestClient, path: str, parameter: str) -> None:
    answer = offline_client.get(path)

    assert answer.status_code == 422
    assert answer.json()["parameter"] == parameter
    assert parameter in answer.json()["reason"]


def test_only_reading_is_possible(offline_client: TestClient) -> None:
    assert offline_client.post("/api/predictions").status_code == 405
    assert offline_client.delete("/api/movies/1").status_code == 405


def test_a_missing_table_is_503_with_what_to_do(client: TestClient, engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("DROP TABLE prediction_outcomes CASCADE"))

    answer = client.get("/api/accuracy")

    assert answer.status_code == 503
    assert "horror db upgrade" in answer.json()["reason"]
    assert answer.headers["retry-after"] == "5"
