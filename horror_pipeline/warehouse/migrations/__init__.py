"""The schema's history: one module per version under `versions/`, applied by `horror db upgrade`."""
