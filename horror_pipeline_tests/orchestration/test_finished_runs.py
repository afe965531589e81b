"""What monitoring learns of runs: each is noted once, with its outcome and its requests."""

import dagster as dg
from sqlalchemy import Engine, select

from horror_pipeline.orchestration.finished_runs import note_finished_runs, tag_requests
from horror_pipeline.tmdb.client import ClientStats
from horror_pipeline.warehouse.tables import finished_runs


@dg.op
def step(context: dg.OpExecutionContext) -> None:
    tag_requests(context.instance, context.run_id, ClientStats(requests=9, retries=3, rate_limited=1))
    if "broken" in context.run.tags:
        raise ValueError("as asked")


@dg.job
def work() -> None:
    step()


def run(instance: dg.DagsterInstance, *, fails: bool) -> None:
    work.execute_in_process(instance=instance, tags={"broken": ""} if fails else {}, raise_on_error=False)


def test_each_run_that_ended_is_noted_once_with_its_outcome_and_requests(engine: Engine) -> None:
    noted = select(finished_runs.c.outcome, finished_runs.c.requests, finished_runs.c.retries, finished_runs.c.refusals)
    with dg.DagsterInstance.ephemeral() as instance:
        assert note_finished_runs(instance, engine, None) is None
        run(instance, fails=False)
        instance.create_run_for_job(work, status=dg.DagsterRunStatus.STARTED)
        since = note_finished_runs(instance, engine, None)
        with engine.connect() as connection:
            assert connection.execute(noted).all() == [("success", 9, 3, 1)]

        run(instance, fails=True)
        since = note_finished_runs(instance, engine, since)
        assert note_finished_runs(instance, engine, since) == since
        with engine.connect() as connection:
            assert sorted(connection.execute(noted).all()) == [("failure", 9, 3, 1), ("success", 9, 3, 1)]
