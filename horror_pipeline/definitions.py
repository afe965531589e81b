"""The code location: everything Dagster finds under `defs/`."""

from pathlib import Path

import dagster as dg


@dg.definitions
def defs() -> dg.Definitions:
    """Load every asset, job, schedule and resource of `defs/`."""
    return dg.load_from_defs_folder(path_within_project=Path(__file__).parent)
