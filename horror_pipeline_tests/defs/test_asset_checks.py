import datetime as dt
from typing import Any

import dagster as dg
import pytest
from sqlalchemy import Engine, insert

from horror_pipeline.defs.asset_checks import CHECKED, Checked, table_check
from horror_pipeline.warehouse import tables
from horror_pipeline.warehouse.constraint_checks import find_violations

SEEN = dt.datetime(2026, 11, 22, 8, tzinfo=dt.UTC)


def film(tmdb_id: int, **values: Any) -> dict[str, Any]:
    known = {"title": "Nosferatu", "genres": ["Horror"], "is_adult": False}
    return {
        "tmdb_id": tmdb_id,
        **known,
        "first_seen_at": SEEN,
        "observed_at": SEEN,
        "details_fetched_at": SEEN,
    } | values


def store_films(engine: Engine, *films: dict[str, Any]) -> None:
    with engine.begin() as connection:
        for one in films:
            connection.execute(insert(tables.movies), one)


def forget_constraints(engine: Engine) -> None:
    """As after a migration that lost them: what the checks are for."""
    with engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE movies DROP CONSTRAINT pk_movies")
        connection.exec_driver_sql("ALTER TABLE movies ALTER title DROP NOT NULL, ALTER tmdb_id DROP NOT NULL")


def test_rows_as_declared_break_nothing(engine: Engine) -> None:
    store_films(engine, film(1), film(2, popularity=0.0, vote_average=10.0, vote_count=0, runtime_minutes=1))
    with engine.connect() as connection:
        assert find_violations(connection, tables.movies) == (2, {})


def test_an_empty_table_breaks_nothing(engine: Engine) -> None:
    with engine.connect() as connection:
        assert find_violations(connection, tables.movie_snapshots) == (0, {})


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("popularity", -0.1),
        ("popularity", float("nan")),  # greater than every number to Postgres
        ("popularity", float("inf")),
        ("vote_average", 10.1),
        ("vote_count", -1),
        ("runtime_minutes", 0),
        ("budget_usd", 0),
        ("overview", ""),  # unknown is NULL
    ],
)
def test_a_value_its_column_rules_out_is_counted(engine: Engine, column: str, value: object) -> None:
    store_films(engine, film(1), film(2, **{column: value}))
    with engine.connect() as connection:
        assert find_violations(connection, tables.movies) == (2, {f"{column} out of range": 1})


def test_lost_constraints_are_noticed(engine: Engine) -> None:
    forget_constraints(engine)
    store_films(engine, film(1), film(1), film(2, title=None), film(3, title=""))
    with engine.connect() as connection:
        assert find_violations(connection, tables.movies) == (4, {"repeated keys": 1, "title missing": 2})


def test_a_key_of_two_columns_may_repeat_one_of_them(engine: Engine) -> None:
    from horror_pipeline.warehouse import snapshots

    days = [dt.date(2026, 11, 21), dt.date(2026, 11, 22)]
    with engine.begin() as connection:
        snapshots.ensure_months(connection, days)
        for day in days:
            row = {"tmdb_id": 1, "snapshot_date": day, "popularity": 1.0, "popularity_percentile": 1.0}
            connection.execute(insert(tables.movie_snapshots), row | {"source": "listing"})
        assert find_violations(connection, tables.movie_snapshots) == (2, {})


def run(engine: Engine, checked: Checked, tags: dict[str, str] | None = None) -> dg.ExecuteInProcessResult:
    @dg.asset(key=dg.AssetKey.from_user_string(checked.key))
    def source() -> None: ...

    @dg.asset(deps=[source])
    def reader() -> None: ...

    defs = dg.Definitions(
        assets=[source, reader],
        asset_checks=[table_check(checked)],
        resources={"warehouse": dg.ResourceDefinition.hardcoded_resource(engine)},
    )
    with dg.DagsterInstance.ephemeral() as instance:
        job = defs.resolve_implicit_global_asset_job_def()
        return job.execute_in_process(instance=instance, raise_on_error=False, tags=tags)


def evaluation(result: dg.ExecuteInProcessResult) -> dg.AssetCheckEvaluation:
    (one,) = result.get_asset_check_evaluations()
    return one


def test_a_table_s_checks_are_one_step_and_tell_how_many_rows(engine: Engine) -> None:
    store_films(engine, film(1), film(2))
    result = run(engine, Checked("movies", tables.movies))
    told = evaluation(result)
    assert told.passed and told.description == "2 rows checked"
    assert told.metadata["rows"].value == 2
    steps = [event.step_key for event in result.all_events if event.is_step_success]
    assert steps == ["movies", "movies_as_declared", "reader"]


def test_wrong_rows_stop_what_would_read_them(engine: Engine) -> None:
    store_films(engine, film(1, popularity=-1.0, overview=""))
    result = run(engine, Checked("movies", tables.movies))
    told = evaluation(result)
    assert not result.success and not told.passed
    assert told.description == "overview out of range in 1 of 1 rows, popularity out of range in 1 of 1 rows"
    assert "reader" not in {event.step_key for event in result.all_events if event.is_step_success}


def test_wrong_rows_that_nobody_reads_stop_nothing(engine: Engine) -> None:
    forget_constraints(engine)
    store_films(engine, film(1), film(1, title=None))
    result = run(engine, Checked("movies", tables.movies, is_blocking=False))
    assert result.success
    assert evaluation(result).description == "repeated keys in 1 of 2 rows, title missing in 1 of 2 rows"


@pytest.mark.parametrize(
    ("tags", "rows"),
    [
        ({}, 3),
        ({"dagster/partition": "2026-11-21"}, 1),
        (
            {
                "dagster/asset_partition_range_start": "2026-11-21",
                "dagster/asset_partition_range_end": "2026-11-22",
            },
            2,
        ),
    ],
)
def test_history_is_looked_at_only_where_the_run_wrote(engine: Engine, tags: dict[str, str], rows: int) -> None:
    from horror_pipeline.warehouse import snapshots

    days = [dt.date(2026, 11, 20) + dt.timedelta(days=n) for n in range(3)]
    with engine.begin() as connection:
        snapshots.ensure_months(connection, days)
        for day in days:
            row = {"tmdb_id": 1, "snapshot_date": day, "popularity": 1.0, "popularity_percentile": 1.0}
            connection.execute(insert(tables.movie_snapshots), row | {"source": "listing"})
    (checked,) = [one for one in CHECKED if one.key == "movie_snapshots"]
    where = checked.rows(tags)
    with engine.connect() as connection:
        assert find_violations(connection, checked.table, where)[0] == rows


def test_every_table_an_asset_writes_is_checked() -> None:
    # Rejected records and notes are written with other tables; no asset is theirs.
    others = {
        "raw.rejected_records",
        "data_source",
        "finished_runs",
        "request_counts",
        "training_state",
        "release_date_changes",
        "snapshot_days",
        "prediction_explanations",
    }
    # A run without a partition makes forecasts and has no output: a check of its own would never run.
    others |= {"popularity_forecasts", "forecast_scores", "forecast_group_scores", "forecast_calls"}
    assert {one.table.fullname for one in CHECKED} == set(tables.TABLES) - others


def test_training_looks_at_the_films_first_as_another_run_wrote_them() -> None:
    from horror_pipeline.definitions import defs

    job = defs().resolve_job_def("train_and_predict")
    needs = job.graph.dependency_structure.all_upstream_outputs_from_node("movie_features")
    assert {output.node_name for output in needs} == {"movies_as_declared"}
