from __future__ import annotations

import datetime as dt
import gzip
import io
import json
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import dagster as dg
import pytest
from sqlalchemy import Connection, Engine, insert, text

from horror_pipeline.defs.snapshots import movie_snapshots
from horror_pipeline.errors import ExportUnavailableError, UnavailableError
from horror_pipeline.orchestration.missing import range_tags
from horror_pipeline.tmdb.client import ClientStats
from horror_pipeline.tmdb.transport import Response
from horror_pipeline.warehouse import bulk, snapshots
from horror_pipeline.warehouse.tables import discover_pages, movies
from horror_pipeline_tests.defs.runs import checks, figures

TODAY = dt.date(2026, 11, 22)
KEY = dg.AssetKey("movie_snapshots")
FILMS = range(1, 31)


def day_before(days: int) -> dt.date:
    return TODAY - dt.timedelta(days=days)


class Exports:
    """An exports server: a body by day; no body, no file."""

    exports_url = "http://exports.test"
    stats = ClientStats()

    def __init__(self) -> None:
        self.bodies: dict[dt.date, bytes] = {}
        self.is_down_from = dt.date.max
        self.open_files = self.most_open_files = 0
        self._lock = threading.Lock()

    def put(self, day: dt.date, popularity: Mapping[int, float | None]) -> None:
        lines = [json.dumps({"adult": False, "id": key, "popularity": value}) for key, value in popularity.items()]
        self.bodies[day] = gzip.compress("\n".join(lines).encode())

    @contextmanager
    def open_export(self, url: str) -> Iterator[Response]:
        day = dt.datetime.strptime(url.rsplit("/", 1)[-1], "movie_ids_%m_%d_%Y.json.gz").replace(tzinfo=dt.UTC).date()
        if day >= self.is_down_from:
            raise UnavailableError("no route")
        if day not in self.bodies:
            raise ExportUnavailableError("403")
        with self._lock:
            self.open_files += 1
            self.most_open_files = max(self.most_open_files, self.open_files)
        time.sleep(0.01)
        body = self.bodies[day]
        yield Response(200, {"Content-Length": str(len(body))}, stream=io.BytesIO(body))
        with self._lock:
            self.open_files -= 1


class Runs:
    """Materialises the asset; `now` is the clock, `exports` what it reads."""

    def __init__(self, engine: Engine) -> None:
        self.engine, self.exports = engine, Exports()
        self.now = dt.datetime.combine(TODAY, dt.time(12), dt.UTC)
        self.instance = dg.DagsterInstance.ephemeral()

    def run(self, first: dt.date, last: dt.date | None = None, *, succeeds: bool = True) -> dg.ExecuteInProcessResult:
        result = dg.materialize(
            [movie_snapshots],
            instance=self.instance,
            tags=range_tags(str(first), str(last or first)),
            resources={"warehouse": self.engine, "tmdb": self.exports, "clock": lambda: self.now},
            raise_on_error=False,
        )
        assert result.success is succeeds, [event.message for event in result.all_events if event.is_failure]
        return result

    def rows(self, what: str = "*") -> list[tuple[Any, ...]]:
        with self.engine.connect() as connection:
            query = f"SELECT {what} FROM movie_snapshots ORDER BY snapshot_date, tmdb_id"
            return [tuple(row) for row in connection.execute(text(query))]

    @property
    def materialised(self) -> set[str]:
        return self.instance.get_materialized_partitions(KEY)


def failure(result: dg.ExecuteInProcessResult) -> str:
    (event,) = [event for event in result.all_events if event.is_step_failure]
    error = event.step_failure_data.error
    assert error is not None
    return (error.cause or error).message


@pytest.fixture
def runs(engine: Engine) -> Iterator[Runs]:
    """Thirty known films, and an export of them for each of the last five days."""
    found = Runs(engine)
    instants = {name: found.now for name in ("first_seen_at", "observed_at", "details_fetched_at")}
    film = {"title": "Film", "genres": ["Horror"], "is_adult": False} | instants
    with engine.begin() as connection:
        bulk.copy_rows(connection, movies, [film | {"tmdb_id": tmdb_id} for tmdb_id in FILMS])
    for days in range(5):
        found.exports.put(day_before(days), {tmdb_id: 1.0 + tmdb_id / 10 + days / 100 for tmdb_id in range(1, 101)})
    with found.instance:
        yield found


def test_a_range_of_days_is_one_run_with_every_day_materialised(runs: Runs) -> None:
    result = runs.run(day_before(4), TODAY)
    assert {day for (day,) in runs.rows("snapshot_date")} == {day_before(days) for days in range(5)}
    assert len(runs.rows()) == 5 * 30
    assert runs.materialised == {str(day_before(days)) for days in range(5)}
    assert figures(result, "movie_snapshots", str(TODAY)) == {
        "dagster/partition_row_count": 30,
        "new": 30,
        "changed": 0,
        "removed": 0,
        "from_listing": 0,
        "with_votes": 0,
        "without_popularity": 0,
        "films_without_row": 0,
        "export_lines": 100,
        "export_bytes": len(runs.exports.bodies[TODAY]),
        "export_malformed": 0,
    }
    assert all(check.passed for check in checks(result).values())
    assert runs.exports.most_open_files <= 2


def test_a_second_time_changes_nothing(runs: Runs) -> None:
    runs.run(day_before(4), TODAY)
    before = runs.rows("*, xmin::text")
    result = runs.run(day_before(4), TODAY)
    assert runs.rows("*, xmin::text") == before
    assert figures(result, "movie_snapshots", str(TODAY))["new"] == 0


def test_days_that_cannot_be_had_fail_the_run_and_the_others_land(runs: Runs) -> None:
    del runs.exports.bodies[day_before(3)]
    runs.exports.bodies[day_before(1)] = b"<Error><Code>InternalError</Code></Error>"
    told = failure(runs.run(day_before(4), TODAY, succeeds=False))
    assert "2 of 5 days could not be taken, the others are stored" in told
    assert f"the id export of {day_before(3)} is missing at TMDB" in told
    assert f"the id export of {day_before(1)} cannot be trusted: it is not gzip" in told
    assert {day for (day,) in runs.rows("snapshot_date")} == {day_before(4), day_before(2), TODAY}
    assert runs.materialised == {str(day_before(4)), str(day_before(2)), str(TODAY)}


def test_days_that_land_are_checked_though_others_of_the_run_fail(runs: Runs) -> None:
    del runs.exports.bodies[day_before(2)]
    runs.exports.put(TODAY, {tmdb_id: (1.0 + tmdb_id / 10) / 20 for tmdb_id in range(1, 101)})
    found = checks(runs.run(day_before(4), TODAY, succeeds=False))
    assert not found["scale_holds"].passed
    assert found["no_future_dates"].passed


def test_of_days_that_all_fail_nothing_is_said_to_be_stored(runs: Runs) -> None:
    runs.exports.bodies.clear()
    result = runs.run(day_before(2), day_before(1), succeeds=False)
    assert f"none of the 2 days could be taken: the id export of {day_before(2)}" in failure(result)
    assert not checks(result)


def test_days_stored_before_an_error_of_ours_are_marked(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    def replace_day(connection: Connection, day: dt.date, values: Mapping[str, Any]) -> bulk.WriteCounts:
        if day == day_before(2):
            raise RuntimeError("the disk is full")
        return replaced(connection, day, values)

    replaced = snapshots.replace_day
    monkeypatch.setattr(snapshots, "replace_day", replace_day)
    assert "the disk is full" in failure(runs.run(day_before(4), TODAY, succeeds=False))
    assert runs.materialised == {str(day_before(4)), str(day_before(3))}


def test_a_month_dropped_while_its_days_are_taken_is_made_again(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    def known_ids(connection: Connection) -> set[int]:
        with runs.engine.begin() as other:  # as retention does, after the run looked and before it stores
            other.execute(text("DROP TABLE IF EXISTS movie_snapshots_2026_11"))
        return known(connection)

    known, made = snapshots.known_ids, snapshots.ensure_months
    runs.run(TODAY)
    monkeypatch.setattr(snapshots, "known_ids", known_ids)
    monkeypatch.setattr(snapshots, "ensure_months", lambda connection, days: len(days) > 1 or made(connection, days))
    runs.run(day_before(1), TODAY)
    assert {day for (day,) in runs.rows("snapshot_date")} == {day_before(1), TODAY}


def test_a_file_that_cannot_be_trusted_leaves_the_days_rows_as_they_were(runs: Runs) -> None:
    runs.run(TODAY)
    before = runs.rows()
    for body in (
        b"<Error/>",
        b"",
        gzip.compress(b"")[:-1],
        gzip.compress(b'{"id":1}\n' * 3),
        gzip.compress(b'{"id":99}\n' * 99),
    ):
        runs.exports.bodies[TODAY] = body
        runs.run(TODAY, succeeds=False)
        assert runs.rows() == before


def test_a_past_day_with_few_of_the_films_found_since_is_whole(runs: Runs) -> None:
    runs.exports.put(day_before(4), {1: 1.0, 2: 2.0})
    runs.run(day_before(4), TODAY)
    assert runs.rows("snapshot_date")[:3] == [(day_before(4),), (day_before(4),), (day_before(3),)]


def test_a_past_day_with_few_of_the_films_of_the_day_before_it_is_not_whole(runs: Runs) -> None:
    runs.exports.put(day_before(2), {1: 1.0, 2: 2.0})
    told = failure(runs.run(day_before(4), TODAY, succeeds=False))
    assert f"{day_before(2)} cannot be trusted: it lists 2 of the films known, where at least 15 are expected" in told
    assert {day for (day,) in runs.rows("snapshot_date")} == {day_before(days) for days in (4, 3, 1, 0)}


def test_a_server_that_cannot_be_reached_ends_the_run_at_once(runs: Runs) -> None:
    runs.exports.is_down_from = day_before(2)
    told = failure(runs.run(day_before(4), TODAY, succeeds=False))
    assert "3 of 5 days could not be taken" in told
    assert f"{day_before(2)} and the days after it were not taken: no route" in told
    assert runs.materialised == {str(day_before(4)), str(day_before(3))}


def test_today_before_its_hour_is_skipped_with_the_reason_and_the_others_land(runs: Runs) -> None:
    del runs.exports.bodies[TODAY]
    runs.now = dt.datetime.combine(TODAY, dt.time(7, 30), dt.UTC)
    runs.run(day_before(1), TODAY)
    assert runs.materialised == {str(day_before(1))}
    logs = [record.message for record in runs.instance.all_logs(runs.instance.get_runs()[0].run_id)]
    reason = f"the id export of {TODAY} is not out yet; TMDB publishes it by {TODAY} 08:00 UTC"
    assert any(reason in message and "skipped" in message for message in logs)
    (skipped,) = runs.instance.fetch_observations(KEY, limit=5).records
    assert skipped.partition_key == str(TODAY)
    assert skipped.asset_observation is not None
    assert skipped.asset_observation.metadata["skipped"].value == reason


def test_a_skipped_day_is_neither_done_nor_failed(runs: Runs) -> None:
    runs.exports.bodies.clear()
    runs.now = dt.datetime.combine(TODAY, dt.time(7, 30), dt.UTC)
    result = runs.run(TODAY)
    assert runs.materialised == set()
    assert {check.description for check in checks(result).values()} == {"no day was taken"}


def test_today_after_its_hour_without_a_file_fails(runs: Runs) -> None:
    del runs.exports.bodies[TODAY]
    assert "is not out yet" in failure(runs.run(TODAY, succeeds=False))


def test_without_films_there_is_nothing_to_take(runs: Runs) -> None:
    with runs.engine.begin() as connection:
        connection.execute(text("DELETE FROM movies"))
    assert "no film is known yet" in failure(runs.run(TODAY, succeeds=False))
    assert runs.materialised == set()


def test_films_found_since_gain_their_past(runs: Runs) -> None:
    runs.run(day_before(4), TODAY)
    with runs.engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO movies (tmdb_id, title, genres, is_adult, first_seen_at, observed_at, details_fetched_at) "
                "SELECT 50, title, genres, is_adult, first_seen_at, observed_at, details_fetched_at FROM movies LIMIT 1"
            )
        )
    result = runs.run(day_before(4), TODAY)
    assert figures(result, "movie_snapshots", str(day_before(4)))["new"] == 1
    assert len(runs.rows()) == 5 * 31


def test_votes_are_those_of_the_listing_read_on_that_very_day(runs: Runs) -> None:
    listed = [{"id": 1, "popularity": 9.0, "vote_count": 40, "vote_average": 6.5}]
    row = {"release_year": 2026, "listing": "released", "sweep": 1, "slice_start_date": TODAY, "page": 1}
    with runs.engine.begin() as connection:
        connection.execute(insert(discover_pages).values(**row, payload={"results": listed}, fetched_at=runs.now))
    runs.run(day_before(1), TODAY)
    votes = "tmdb_id, snapshot_date, vote_count, vote_average"
    assert [row for row in runs.rows(votes) if row[2] is not None] == [(1, TODAY, 40, 6.5)]
    with runs.engine.begin() as connection:  # the next day's sweep replaces the pages
        connection.execute(text("DELETE FROM raw.discover_pages"))
    runs.run(day_before(1), TODAY)
    assert [row for row in runs.rows(votes) if row[2] is not None] == [(1, TODAY, 40, 6.5)]


def test_a_break_of_the_popularity_scale_fails_the_check_and_stops_what_follows(runs: Runs) -> None:
    runs.exports.put(TODAY, {tmdb_id: (1.0 + tmdb_id / 10) / 20 for tmdb_id in range(1, 101)})
    result = runs.run(day_before(2), TODAY, succeeds=False)
    scale = checks(result)["scale_holds"]
    assert not scale.passed
    assert f"popularity of {TODAY} is on another scale than that of {day_before(1)}" in (scale.description or "")
    assert runs.materialised == {str(day_before(days)) for days in range(3)}


def test_a_bad_day_stays_red_after_good_ones_until_it_is_repaired(runs: Runs) -> None:
    whole = {tmdb_id: 1.0 + tmdb_id / 10 for tmdb_id in range(1, 101)}
    runs.exports.put(day_before(2), {tmdb_id: whole[tmdb_id] for tmdb_id in range(10, 101)})

    def red() -> set[str | None]:
        key = dg.AssetCheckKey(KEY, "row_count_holds")
        found = [
            one for one in runs.instance.event_log_storage.get_asset_check_partition_info([key]) if one.partition_key
        ]
        # The UI takes a result that came before the newest materialization of its partition for none.
        assert all(one.is_current for one in found)
        return {one.partition_key for one in found if one.latest_execution_status.value == "FAILED"}

    runs.run(day_before(4), day_before(1))
    assert red() == {str(day_before(2))}
    runs.run(TODAY)
    assert red() == {str(day_before(2))}
    runs.exports.put(day_before(2), whole)
    runs.run(day_before(2))
    assert red() == set()


def test_a_day_with_far_fewer_rows_is_told(runs: Runs) -> None:
    runs.exports.put(TODAY, {tmdb_id: 1.0 + tmdb_id / 10 for tmdb_id in range(10, 101)})
    found = checks(runs.run(day_before(1), TODAY))
    assert not found["row_count_holds"].passed
    assert found["row_count_holds"].description == f"{TODAY} has 21 rows, {day_before(1)} had 30"
    assert not found["catalogue_is_covered"].passed
