from __future__ import annotations

import numpy as np

from horror_pipeline.warehouse.copy_format import json_text


def test_numpy_values_are_written_in_documents() -> None:
    assert json_text({"f": np.float64(1.5), "i": np.int64(2), "a": np.array([1.0, np.nan])}) == (
        '{"f": 1.5, "i": 2, "a": [1.0, null]}'
    )
