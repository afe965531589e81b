"""The code location: all definitions of `defs/`, and the policies that hold for every asset.

Assets, jobs and schedules are defined in `defs/`. Policies that hold for every asset are added here, in one place.
"""

import datetime as dt
from functools import cache
from pathlib import Path

import dagster as dg

from horror_pipeline.orchestration.metadata import column_schema
from horror_pipeline.warehouse.tables import TABLES, model_versions

OWNERS = ["team:horror-pipeline"]

DAILY_FRESHNESS = dg.FreshnessPolicy.time_window(warn_window=dt.timedelta(hours=26), fail_window=dt.timedelta(hours=30))
"""For assets with daily partitions: the next update is late after one day plus a few hours in which it can run."""

FRESHNESS = dg.FreshnessPolicy.time_window(warn_window=dt.timedelta(hours=27), fail_window=dt.timedelta(hours=36))
"""For all other assets: they change every day as well, but collecting the films of every release year takes hours."""


@dg.definitions
def defs() -> dg.Definitions:
    """Load every asset, job, schedule, sensor and resource of `defs/`."""
    loaded = dg.load_from_defs_folder(path_within_project=Path(__file__).parent)
    # The UI links every asset to the line that defines it.
    linked = dg.with_source_code_references(list(loaded.assets or ()))
    assets = dg.map_asset_specs(with_policies, [asset for asset in linked if isinstance(asset, dg.AssetsDefinition)])
    return dg.Definitions(
        assets=assets,
        asset_checks=loaded.asset_checks,
        jobs=loaded.jobs,
        schedules=loaded.schedules,
        sensors=loaded.sensors,
        resources=loaded.resources,
        executor=loaded.executor,
        component_tree=loaded.component_tree,
    )


@cache
def loaded_defs() -> dg.Definitions:
    """Return the definitions, loaded once for each process."""
    return defs()


def with_policies(spec: dg.AssetSpec) -> dg.AssetSpec:
    """Give the asset its owner, the columns of its table, and the freshness policy of its kind of partitions."""
    # An asset has the name of its table, except the models, which share one table for their versions.
    table = TABLES.get(".".join(spec.key.path), model_versions)
    described = spec.replace_attributes(owners=OWNERS).merge_attributes(metadata=column_schema(table))
    is_daily = isinstance(spec.partitions_def, dg.DailyPartitionsDefinition)
    policy = DAILY_FRESHNESS if is_daily else FRESHNESS
    fresh: dg.AssetSpec = dg.apply_freshness_policy(described, policy, overwrite_existing=False)
    return fresh
