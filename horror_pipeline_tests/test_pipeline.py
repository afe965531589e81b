"""The whole graph over the demo TMDB, twice: what it stores, and what a second run leaves alone."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg
import pytest
from sqlalchemy import URL, Engine, func, select, text

from horror_pipeline.definitions import defs
from horror_pipeline.demo.server import serve
from horror_pipeline.modeling.forecasting import change_model
from horror_pipeline.orchestration.failures import root_message
from horror_pipeline.orchestration.launch import QUIET
from horror_pipeline.orchestration.missing import range_tags
from horror_pipeline.settings import Settings
from horror_pipeline.tmdb.client import TmdbClient
from horror_pipeline.warehouse import data_source
from horror_pipeline.warehouse.engine import connect
from horror_pipeline.warehouse.tables import TABLES
from horror_pipeline_tests.conftest import database, keep_trees_few

NOW = dt.datetime.now(dt.UTC).replace(hour=12, minute=0, second=0, microsecond=0)
"""Noon of the running day: partitions are cut by the wall clock, and today's export is out by noon."""
FIRST_RUN = NOW - dt.timedelta(days=1)
"""Partitions know no tomorrow, so the story starts a day earlier."""


class Pipeline:
    """Runs the jobs of the graph against one database and one TMDB."""

    def __init__(self, engine: Engine, client: TmdbClient, instance: dg.DagsterInstance) -> None:
        self.engine, self.client, self.instance = engine, client, instance
        self.definitions = dg.Definitions.merge(defs())
        self.settings = Settings(_env_file=None)
        self.now = FIRST_RUN

    def run(self, job: str, first: str | None = None, last: str | None = None) -> dg.ExecuteInProcessResult:
        result = self.definitions.resolve_job_def(job).execute_in_process(
            instance=self.instance,
            tags=range_tags(first, last or first) if first else {},
            resources={
                "warehouse": self.engine,
                "tmdb": self.client,
                "settings": self.settings,
                "clock": lambda: self.now,
            },
            run_config=QUIET,
            raise_on_error=False,
        )
        errors = [event.step_failure_data.error for event in result.all_events if event.is_step_failure]
        assert result.success, [root_message(error) for error in errors]
        return result

    def run_all(self) -> None:
        years = str(self.settings.horror_first_year), str(self.now.year + 2)
        self.run("ingest_catalogue", *years)
        self.run("snapshot_popularity", str(self.now.date()))
        self.run("train_and_predict")

    def details_asked(self) -> int:
        return self.client.stats.requests

    def counts(self) -> dict[str, int]:
        with self.engine.connect() as connection:
            return {
                name: connection.scalar(select(func.count()).select_from(table)) or 0 for name, table in TABLES.items()
            }

    def rows(self, query: str) -> list[tuple[object, ...]]:
        with self.engine.connect() as connection:
            return [tuple(row) for row in connection.execute(text(query))]


@pytest.fixture(scope="module")
def client() -> Iterator[TmdbClient]:
    with (
        serve(scale=0.1, today=lambda: NOW.date()) as demo,
        TmdbClient(
            api_url=demo.api_url,
            exports_url=demo.exports_url,
            api_key="demo",
            requests_per_second=100_000,
            connections=4,
        ) as client,
    ):
        yield client


def keep_models_small(patch: pytest.MonkeyPatch) -> None:
    keep_trees_few(patch)
    patch.setattr(change_model, "TREES", 10)


@contextmanager
def running(url: URL, client: TmdbClient, instance: dg.DagsterInstance) -> Iterator[Pipeline]:
    engine = connect(url)
    yield Pipeline(engine, client, instance)
    engine.dispose()  # a database is copied only while nobody is connected


@pytest.fixture(scope="module")
def first_run(postgres: URL, client: TmdbClient) -> Iterator[tuple[URL, dg.DagsterInstance]]:
    """What a first run of everything left, for each test to go on from a copy of it."""
    with (
        pytest.MonkeyPatch.context() as patch,
        database(postgres) as url,
        dg.DagsterInstance.ephemeral() as instance,
    ):
        keep_models_small(patch)
        with running(url, client, instance) as pipeline:
            with pipeline.engine.begin() as connection:
                data_source.claim_source(connection, True, client.api_url, NOW)
            pipeline.run_all()
        yield url, instance


@pytest.fixture
def pipeline(
    postgres: URL, client: TmdbClient, first_run: tuple[URL, dg.DagsterInstance], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Pipeline]:
    keep_models_small(monkeypatch)
    first, instance = first_run
    with database(postgres, str(first.database)) as url, running(url, client, instance) as pipeline:
        yield pipeline


def test_the_graph_fills_every_table_and_a_second_run_changes_nothing_it_should_not(pipeline: Pipeline) -> None:
    first = pipeline.counts()
    films = first["movies"]
    assert films > 150
    assert first["movie_snapshots"] > 0.95 * films  # the export leaves out what has no popularity
    assert first["movie_features"] == films
    assert pipeline.rows("SELECT count(*) FROM latest_predictions") == [(films,)]
    # Few films are learnt from here, so a model without a champion is honest; a prediction without interval is not.
    broken = """
        SELECT count(*) FROM latest_predictions
         WHERE predicted_popularity NOT BETWEEN popularity_lower AND popularity_upper
            OR predicted_vote_average NOT BETWEEN vote_average_lower AND vote_average_upper
            OR num_nulls(predicted_popularity, popularity_lower, popularity_upper) NOT IN (0, 3)
            OR num_nulls(predicted_vote_average, vote_average_lower, vote_average_upper) NOT IN (0, 3)
        """
    assert pipeline.rows(broken) == [(0,)]
    predicted = "SELECT count(*) > 100 FROM latest_predictions WHERE predicted_popularity IS NOT NULL"
    assert pipeline.rows(predicted) == [(True,)]
    upcoming = pipeline.rows("SELECT count(*) FROM latest_predictions WHERE stage = 'before_release'")
    assert upcoming == pipeline.rows(f"SELECT count(*) FROM movies WHERE release_date > '{FIRST_RUN.date()}'")

    kept = pipeline.rows("SELECT * FROM movies ORDER BY tmdb_id")
    requests = pipeline.client.stats.requests
    pipeline.now += dt.timedelta(hours=1)
    pipeline.run_all()
    assert pipeline.counts() == first
    assert [row for row in pipeline.rows("SELECT * FROM movies ORDER BY tmdb_id") if row not in kept] == []
    assert pipeline.client.stats.requests - requests < 60  # listings and one export: no details


def test_the_next_day_adds_a_day_of_history_and_holds_predictions_against_it(pipeline: Pipeline) -> None:
    films = pipeline.counts()["movie_snapshots"]
    pipeline.now += dt.timedelta(days=1)
    pipeline.run("snapshot_popularity", str(pipeline.now.date()))
    assert pipeline.counts()["movie_snapshots"] >= 2 * films - 5
    held = pipeline.rows("SELECT count(*), count(popularity_error), max(horizon) FROM prediction_outcomes")
    assert held[0][0] and held[0][0] == held[0][1]
    assert held[0][2] == "1d"
