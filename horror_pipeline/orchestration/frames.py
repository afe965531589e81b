"""Reading queries into data frames by columns, because rows of Python objects would take several times the memory."""

from __future__ import annotations

import json
from collections.abc import Collection
from functools import lru_cache
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, Any

from sqlalchemy import ARRAY, Connection, Date, DateTime, Select, Text

from horror_pipeline.warehouse.bulk import copy_out

if TYPE_CHECKING:
    import pandas as pd


def read_frame(connection: Connection, query: Select[Any], small: Collection[str] = ()) -> pd.DataFrame:
    """Read the result of a query as a data frame.

    Numbers and flags become float64, keys int64, instants datetime64, arrays tuples, and dates text.

    Args:
        connection: to read with.
        query: selects columns of declared tables.
        small: columns to read in single precision.
    """
    import pandas as pd

    columns = {str(column.key): column for column in query.selected_columns}
    dtypes: dict[str, str] = {}
    for name, column in columns.items():
        if isinstance(column.type, Text | Date | ARRAY):
            dtypes[name] = "str"
        elif not isinstance(column.type, DateTime):
            dtypes[name] = "int64" if column.primary_key else "float32" if name in small else "float64"
    with TemporaryFile() as file:
        copy_out(connection, query, file)
        file.seek(0)
        frame = pd.read_csv(
            file,
            dtype=dtypes,
            parse_dates=[name for name in columns if name not in dtypes],
            keep_default_na=False,  # by default, pandas reads the language code 'nan' as missing
            na_values=[""],
        )
    for name, column in columns.items():
        if isinstance(column.type, ARRAY):
            frame[name] = pd.Series([_items(text) for text in frame[name]], index=frame.index, dtype="object")
    return frame


@lru_cache(maxsize=10_000)
def _items(text: str | float) -> tuple[str, ...] | None:
    return tuple(json.loads(text)) if isinstance(text, str) else None
