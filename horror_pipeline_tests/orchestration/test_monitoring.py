"""What monitoring learns of runs: each is noted once, with its outcome."""

import dagster as dg
from sqlalchemy import Engine, select

from horror_pipeline.orchestration.monitoring import note_finished_runs
from horror_pipeline.warehouse.tables import finished_runs


@dg.op
def step(context: dg.OpExecutionContext) -> None:
    if "broken" in context.run.tags:
        raise ValueError("as asked")


@dg.job
def work() -> None:
    step()


def run(instance: dg.DagsterInstance, *, fails: bool) -> None:
    work.execute_in_process(instance=instance, tags={"broken": ""} if fails else {}, raise_on_error=False)


def test_each_run_that_ended_is_noted_once_with_its_outcome(engine: Engine) -> None:
    noted = select(finished_runs.c.job_name, finished_runs.c.outcome)
    with dg.DagsterInstance.ephemeral() as instance:
        assert note_finished_runs(instance, engine, None) is None
        run(instance, fails=False)
        instance.create_run_for_job(work, status=dg.DagsterRunStatus.STARTED)
        since = note_finished_runs(instance, engine, None)
        with engine.connect() as connection:
            assert connection.execute(noted).all() == [("work", "success")]

        run(instance, fails=True)
        since = note_finished_runs(instance, engine, since)
        assert note_finished_runs(instance, engine, since) == since
        with engine.connect() as connection:
            assert sorted(connection.execute(noted).all()) == [("work", "failure"), ("work", "success")]
