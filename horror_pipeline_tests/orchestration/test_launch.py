import os
import signal

import dagster as dg
import pytest

from horror_pipeline.orchestration.launch import _figures, run_job
from horror_pipeline.runtime import signals
from horror_pipeline.runtime.signals import ENDING, end_in_order

REASON = "the id export of 2026-11-22 is not out yet"


@dg.asset(output_required=False)
def skipping(context: dg.AssetExecutionContext) -> None:
    """An asset that has nothing to store, and says why."""
    context.log_event(dg.AssetObservation(context.asset_key, metadata={"skipped": REASON}))


@dg.asset
def storing() -> dg.MaterializeResult:
    """An asset that stores something."""
    return dg.MaterializeResult(metadata={"new": 3})


def test_what_a_run_left_out_is_told_beside_what_it_stored() -> None:
    result = dg.materialize([skipping, storing])
    assert _figures(result) == {"skipping": {"skipped": REASON}, "storing": {"new": 3}}


@dg.op(config_schema={"number": int})
def ending(context: dg.OpExecutionContext) -> None:
    os.kill(os.getpid(), context.op_config["number"])
    signal.sigtimedwait([], 30)  # the signal ends the waiting


@pytest.mark.parametrize("number", ENDING)
def test_a_signal_ends_the_command_and_not_only_the_step_it_hit(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signals, "_arrived", [])
    previous = {ending: signal.getsignal(ending) for ending in ENDING}
    job = dg.GraphDefinition("work", node_defs=[ending]).to_job(
        config={"ops": {"ending": {"config": {"number": int(number)}}}}
    )
    try:
        end_in_order()
        with dg.DagsterInstance.ephemeral() as instance, pytest.raises(KeyboardInterrupt):
            run_job(dg.Definitions(jobs=[job]), "work", instance)
    finally:
        for ending_number, handler in previous.items():
            signal.signal(ending_number, handler)
