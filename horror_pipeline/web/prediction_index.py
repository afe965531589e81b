"""The newest batch of predictions, as the few columns that pages of it are chosen by.

What belongs here: sorting, filtering and sampling a batch's keys in memory. What does not: SQL, HTTP.

A batch never changes once written, so its keys are read once (tens of bytes a film), and every page, in any order and
at any offset, then reads from Postgres exactly the rows it returns.
"""

from __future__ import annotations

import asyncio
import math
import time
from array import array
from collections.abc import Sequence
from datetime import date, datetime
from typing import Any, NamedTuple

from horror_pipeline.web import queries
from horror_pipeline.web.database import Database
from horror_pipeline.web.schemas import Direction, Order, Stage, Target

NUMBERS = (
    "release_date",
    "predicted_popularity",
    "predicted_vote_average",
    "popularity_gap",
    "rating_gap",
    "actual_popularity",
    "actual_vote_average",
    "actual_vote_count",
)
PREDICTED = {"popularity": "predicted_popularity", "vote_average": "predicted_vote_average"}
ACTUAL = {"popularity": "actual_popularity", "vote_average": "actual_vote_average"}


class Key(NamedTuple):
    """A film of the batch with its gaps, which only the view knows."""

    tmdb_id: int
    popularity_gap: float | None
    rating_gap: float | None


class Batch:
    """The keys of one batch.

    Args:
        rows: as `queries.batch_keys` returns them.
    """

    def __init__(self, rows: Sequence[tuple[Any, ...]]) -> None:
        self.predicted_at: datetime | None = rows[0][0] if rows else None
        self._ids = array("q", (row[1] for row in rows))
        self._stages = [row[2] for row in rows]
        self._columns = {
            name: array("d", (_number(row[position]) for row in rows)) for position, name in enumerate(NUMBERS, start=3)
        }
        self._sorted: dict[tuple[Order, Stage | None], array[int]] = {}

    def page(
        self, *, stage: Stage | None, order: Order, direction: Direction, min_votes: int, limit: int, offset: int
    ) -> tuple[int, list[Key]]:
        """How many films match, and the keys of one page of them."""
        matching = self._in_order(order, stage)
        if min_votes:
            votes = self._columns["actual_vote_count"]
            matching = array("q", (position for position in matching if votes[position] >= min_votes))
        if direction == "desc":
            end = len(matching) - offset
            chosen = matching[max(0, end - limit) : max(0, end)][::-1]
        else:
            chosen = matching[offset : offset + limit]
        return len(matching), [self._key(position) for position in chosen]

    def sample(self, target: Target, *, limit: int) -> tuple[int, list[int]]:
        """How many released films have both a prediction and a real value, and the ids of an even sample of them."""
        predicted, actual = self._columns[PREDICTED[target]], self._columns[ACTUAL[target]]
        known = [
            position
            for position, stage in enumerate(self._stages)
            if stage == "after_release" and not math.isnan(predicted[position]) and not math.isnan(actual[position])
        ]
        step = max(1, math.ceil(len(known) / limit))
        return len(known), [self._ids[position] for position in known[::step]]

    def _in_order(self, order: Order, stage: Stage | None) -> array[int]:
        """Positions of the films that have a value, smallest first; sorted once."""
        if (order, stage) not in self._sorted:
            column = self._columns[order]
            known = (
                position
                for position, value in enumerate(column)
                if not math.isnan(value) and stage in (None, self._stages[position])
            )
            self._sorted[order, stage] = array("q", sorted(known, key=column.__getitem__))
        return self._sorted[order, stage]

    def _key(self, position: int) -> Key:
        return Key(
            self._ids[position],
            _optional(self._columns["popularity_gap"][position]),
            _optional(self._columns["rating_gap"][position]),
        )


class NewestBatch:
    """Keeps the newest batch's keys, and reads them again when there is a newer one.

    Args:
        database: where the batches are.
        look_every_seconds: how often to look for a newer one.
    """

    def __init__(self, database: Database, *, look_every_seconds: float) -> None:
        self._database = database
        self._look_every = look_every_seconds
        self._looked_at = -math.inf
        self._batch = Batch([])
        self._reading = asyncio.Lock()

    async def get(self) -> Batch:
        """The newest batch, empty when nothing was predicted yet.

        Raises:
            DatabaseUnavailableError: the database cannot answer.
        """
        if time.monotonic() - self._looked_at < self._look_every:
            return self._batch
        newest = await self._database.run(queries.newest_batch, single_statement=True)
        async with self._reading:
            if newest != self._batch.predicted_at:
                self._batch = await self._database.run(lambda connection: Batch(queries.batch_keys(connection)))
        self._looked_at = time.monotonic()
        return self._batch


def _number(value: Any) -> float:
    if value is None:
        return math.nan
    return float(value.toordinal()) if isinstance(value, date) else float(value)


def _optional(value: float) -> float | None:
    return None if math.isnan(value) else value
