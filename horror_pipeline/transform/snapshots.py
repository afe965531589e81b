"""A day of history as rows of `movie_snapshots`, from the day's export and the day's listing of each film."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping

import numpy as np
import pandas as pd

COLUMNS = [
    "tmdb_id",
    "snapshot_date",
    "popularity",
    "popularity_percentile",
    "vote_count",
    "vote_average",
    "source",
    "export_date",
]

EXPORT, LISTING = "export", "listing"

HIGHEST_VOTE = 10


def snapshot_of_day(
    day: dt.date, exported: Mapping[int, float], listed: pd.DataFrame, stored: pd.DataFrame
) -> pd.DataFrame:
    """Build the rows of one day.

    Popularity comes from the export. For a film that is not in the export, it comes from the listing of the same day,
    which may have been stored by an earlier run. Votes come from that listing as well, because a later listing does not
    describe the day.

    Args:
        day: the day.
        exported: popularity by tmdb_id, from the day's export.
        listed: `tmdb_id`, `popularity`, `vote_count`, `vote_average` of known films as listed on that day; any of the
            values may be missing or impossible.
        stored: the rows already stored for the day, with the columns of `listed` and `source`; empty if there are none.

    Returns:
        One row per film, ordered by `tmdb_id`, with `COLUMNS`; unknown values are NaN or None.
    """
    listing = _plausible(listed.drop_duplicates("tmdb_id", keep="last").set_index("tmdb_id"))
    before = stored.set_index("tmdb_id")
    export = pd.Series(exported, dtype="float64").rename_axis("tmdb_id")
    kept = before.loc[before["source"] == LISTING, "popularity"].astype("float64")
    popularity = export.combine_first(listing["popularity"]).combine_first(kept).dropna().sort_index()
    ids = popularity.index
    is_listed, is_exported = ids.isin(listing.index), ids.isin(export.index)
    votes = {
        name: np.where(is_listed, _values(listing[name], ids), _values(before[name], ids))
        for name in ("vote_count", "vote_average")
    }
    rows = pd.DataFrame(
        {
            "tmdb_id": ids.to_numpy(dtype="int64"),
            "snapshot_date": day,
            "popularity": popularity.to_numpy(),
            "popularity_percentile": popularity.rank(method="max", pct=True).to_numpy(),
            **votes,
            "source": np.where(is_exported, EXPORT, LISTING),
            "export_date": [day if exported_too else None for exported_too in is_exported],
        }
    )
    return rows[COLUMNS]


def _plausible(listing: pd.DataFrame) -> pd.DataFrame:
    """Return the numbers of a listing; impossible values, and the mean vote of a film without votes, are NaN."""
    numbers = listing[["popularity", "vote_count", "vote_average"]].apply(pd.to_numeric, errors="coerce")
    numbers = numbers.astype("float64").replace([np.inf, -np.inf], np.nan)
    popularity, count, average = numbers["popularity"], numbers["vote_count"], numbers["vote_average"]
    count = count.where((count >= 0) & (count % 1 == 0))
    return pd.DataFrame(
        {
            "popularity": popularity.where(popularity >= 0),
            "vote_count": count,
            "vote_average": average.where((count > 0) & average.between(0, HIGHEST_VOTE)),
        }
    )


def _values(column: pd.Series, ids: pd.Index) -> np.ndarray:
    return column.astype("float64").reindex(ids).to_numpy()
