import dagster as dg

from horror_pipeline.orchestration.launch import _figures

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
