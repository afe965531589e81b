"""Serves metrics for Prometheus at `/metrics`: the results of one SQL query, and the memory of processes.

While the database is down, the results of the query are left out, and `horror_database_up` is 0.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable
from typing import Annotated

import psutil
from fastapi import APIRouter, Query
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy import Connection, text
from starlette.responses import Response

from horror_pipeline.web.database import DatabaseUnavailableError
from horror_pipeline.web.endpoints import Sources
from horror_pipeline.web.parameters import NoParameters

Sample = tuple[str, list[str], float]
"""The name of a metric family, the values of its labels, and the metric's value."""

FAMILIES: dict[str, tuple[type[CounterMetricFamily | GaugeMetricFamily], str, list[str]]] = {
    "database_up": (GaugeMetricFamily, "Whether the database answers.", []),
    "newest_data_timestamp_seconds": (GaugeMetricFamily, "When the newest row is from, by table.", ["table"]),
    "runs": (CounterMetricFamily, "Runs that ended.", ["job", "outcome"]),
    "tmdb_requests": (CounterMetricFamily, "Requests to TMDB.", ["asset"]),
    "tmdb_retries": (CounterMetricFamily, "Requests that repeated one that had failed.", ["asset"]),
    "tmdb_refusals": (CounterMetricFamily, "Requests that TMDB refused as too many.", ["asset"]),
    "rejected_records": (GaugeMetricFamily, "Records that could not be typed, by source.", ["table"]),
    "forecast_skill": (
        GaugeMetricFamily,
        "1 - error / error of no change, of live forecasts of the newest 30 days that came.",
        ["horizon_days"],
    ),
    "process_memory_bytes": (GaugeMetricFamily, "Resident memory on this host, by what the process is.", ["process"]),
}

PROGRAMS = {
    "horror_pipeline.web": "dashboard",
    "dagster-daemon": "daemon",
    "dagster-webserver": "ui",
    "grpc": "code_server",
    "execute_run": "runs",
}
"""The name for a process, by how a word of its command line ends; the first match counts. The line is never shown."""

_FIGURES = text("""
    SELECT 'newest_data_timestamp_seconds' AS family, ARRAY['movies'] AS labels,
           extract(epoch FROM max(observed_at))::float8 AS value FROM movies
    UNION ALL SELECT 'newest_data_timestamp_seconds', ARRAY['movie_snapshots'],
           extract(epoch FROM max(snapshot_date)::timestamp) FROM movie_snapshots
    UNION ALL SELECT 'newest_data_timestamp_seconds', ARRAY['popularity_forecasts'],
           extract(epoch FROM max(made_on)::timestamp) FROM popularity_forecasts
    UNION ALL SELECT 'newest_data_timestamp_seconds', ARRAY['model_predictions'],
           extract(epoch FROM max(predicted_at)) FROM model_predictions
    -- Every outcome of a job is there from its first run on: an increase from nothing would not be seen.
    UNION ALL SELECT 'runs', ARRAY[job_name, known.outcome], count(*) FILTER (WHERE run.outcome = known.outcome)
      FROM finished_runs AS run CROSS JOIN (VALUES ('success'), ('failure'), ('canceled')) AS known (outcome)
     GROUP BY job_name, known.outcome
    UNION ALL SELECT 'tmdb_requests', ARRAY[asset], requests FROM request_counts
    UNION ALL SELECT 'tmdb_retries', ARRAY[asset], retries FROM request_counts
    UNION ALL SELECT 'tmdb_refusals', ARRAY[asset], refusals FROM request_counts
    UNION ALL SELECT 'rejected_records', ARRAY[source_table], records FROM rejected_counts
    UNION ALL SELECT 'forecast_skill', ARRAY[horizon_days::text],
           1 - sum(total_error) / nullif(sum(total_error_no_change), 0)
      FROM forecast_scores
     WHERE NOT is_backtest AND target_date > (SELECT max(target_date) FROM forecast_scores) - 30
     GROUP BY horizon_days
""")


class _Figures(Collector):
    """Gives samples to the Prometheus client library in the form that it expects."""

    def __init__(self, samples: Iterable[Sample]) -> None:
        self._samples = list(samples)

    def collect(self) -> Iterable[Metric]:
        for name, (kind, description, labels) in FAMILIES.items():
            family = kind(f"horror_{name}", description, labels=labels)
            for _, values, figure in (sample for sample in self._samples if sample[0] == name):
                family.add_metric(values, figure)
            yield family


def router(sources: Sources, *, is_supervised: bool) -> APIRouter:
    """Create the route.

    Args:
        sources: what the figures are read from.
        is_supervised: whether `horror up` started this process; if so, the memory of all its processes is included.
    """
    routes = APIRouter(include_in_schema=False)

    @routes.get("/metrics")
    async def metrics(_: Annotated[NoParameters, Query()]) -> Response:
        try:
            samples = [*await sources.database.run(_figures, for_health=True), ("database_up", [], 1.0)]
        except DatabaseUnavailableError:
            samples = [("database_up", [], 0.0)]
        own = psutil.Process()
        samples += await asyncio.to_thread(memory, own, own.parent() if is_supervised else None)
        return Response(generate_latest(_Figures(samples)), media_type=CONTENT_TYPE_LATEST)

    return routes


def _figures(connection: Connection) -> list[Sample]:
    rows = connection.execute(_FIGURES)
    return [(family, labels, float(value)) for family, labels, value in rows if value is not None]


def memory(own: psutil.Process, supervisor: psutil.Process | None) -> list[Sample]:
    """Return the memory of this process and, if there is a supervisor, of the other `PROGRAMS` that it started."""
    used: Counter[str] = Counter()
    for process in supervisor.children(recursive=True) if supervisor else [own]:
        try:
            words, size = process.cmdline(), process.memory_info().rss
        except psutil.Error:  # the process has ended meanwhile
            continue
        names = [name for word in words for mark, name in PROGRAMS.items() if word.endswith(mark)]
        if process == own or names:
            used["dashboard" if process == own else names[0]] += size
    return [("process_memory_bytes", [name], size) for name, size in used.items()]
