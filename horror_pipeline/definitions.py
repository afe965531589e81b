"""The code location: everything Dagster finds under `defs/`, and what holds for every asset of it.

What belongs here: loading, and policies stamped on all assets in one place. What does not: any asset, job or schedule.
"""

import datetime as dt
from pathlib import Path

import dagster as dg

LATE = dg.FreshnessPolicy.time_window(warn_window=dt.timedelta(hours=26), fail_window=dt.timedelta(hours=30))
"""Of assets with a partition a day: a day's run is missing as soon as the next one is due, with some hours for it."""

LATER = dg.FreshnessPolicy.time_window(warn_window=dt.timedelta(hours=27), fail_window=dt.timedelta(hours=36))
"""Of all others. Films change daily, so what is learnt from them does; a sweep of every year may take its hours."""


@dg.definitions
def defs() -> dg.Definitions:
    """Load every asset, job, schedule and resource of `defs/`."""
    return dg.load_from_defs_folder(path_within_project=Path(__file__).parent).map_asset_specs(func=with_freshness)


def with_freshness(spec: dg.AssetSpec) -> dg.AssetSpec:
    """The asset with the freshness policy of its kind of partitions, unless it has one of its own."""
    is_daily = isinstance(spec.partitions_def, dg.DailyPartitionsDefinition)
    described: dg.AssetSpec = dg.apply_freshness_policy(spec, LATE if is_daily else LATER, overwrite_existing=False)
    return described
