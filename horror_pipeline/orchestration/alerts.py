"""Alerts: find what failed since the last evaluation, and post one message for each failure.

Failures are Dagster's events: failed runs, failed asset checks, and assets that violate their freshness policy. The
cursor is the last event that was processed. It moves past an event only when the webhook has accepted its message, so
nothing is lost while the webhook is down. If the webhook accepts a message but answers after the timeout, the message
is sent again, with the same `id`.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import dagster as dg

from horror_pipeline.orchestration.failures import root_message
from horror_pipeline.orchestration.messages import Message

SETTLE_SECONDS = 3.0
"""Events younger than this wait for the next evaluation, because one with a lower number may not be committed yet."""

FIRST_REACH_HOURS = 1.0
"""How far back the very first evaluation goes, so that it does not report what failed long ago."""

EVENTS_A_QUERY = 100
MESSAGES_AT_ONCE = 20
"""Most messages of one evaluation, so that it ends within Dagster's limit of a minute even if posting is slow."""

ALERTING = (
    dg.DagsterEventType.RUN_FAILURE,
    dg.DagsterEventType.ASSET_CHECK_EVALUATION,
    dg.DagsterEventType.FRESHNESS_STATE_CHANGE,
)

REASONS = {
    "STEP_FAILURE": "a step failed",
    "UNEXPECTED_TERMINATION": "its process died",
    "RUN_EXCEPTION": "the run itself failed",
    "JOB_INITIALIZATION_FAILURE": "it could not be started",
    "START_TIMEOUT": "its process did not start in time",
    "RUN_WORKER_RESTART": "its process was restarted",
}


@dataclass(frozen=True)
class Cursor:
    """Which events have been processed.

    Attributes:
        after: number of the last event that was processed; None before the first evaluation.
        failing: checks that were reported and have not passed since; they are not reported again.
    """

    after: int | None = None
    failing: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text: str | None) -> Cursor:
        """Parse the JSON that `__str__` returns; return an initial cursor for None and for any other format."""
        try:
            values = json.loads(text or "{}")
            return cls(after=values["after"], failing=tuple(values["failing"]))
        except (ValueError, KeyError, TypeError):
            return cls()

    def __str__(self) -> str:
        """Return the cursor as JSON."""
        return json.dumps({"after": self.after, "failing": list(self.failing)})


@dataclass
class Alerts:
    """Posts messages about what failed since a cursor.

    Attributes:
        instance: where runs and events are recorded.
        link_base: address of the Dagster UI.
        post: sends one message; raises `OSError` if it was not accepted.
        now: the present moment, in seconds since the epoch.
        posted: how many messages were accepted.
    """

    instance: dg.DagsterInstance
    link_base: str
    post: Callable[[Message], None]
    now: float
    posted: int = field(default=0, init=False)

    def post_since(self, cursor: Cursor) -> tuple[Cursor, str]:
        """Post a message for each failure, in the order of the events.

        Returns:
            The cursor after the last processed event, and why the next message was not posted: '' if all were posted.
        """
        if cursor.after is None:
            cursor = replace(cursor, after=self._first_position())
        for record in self._events_after(cursor.after or 0):
            if record.event_log_entry.timestamp > self.now - SETTLE_SECONDS:
                break
            message, failing = self._message(record, cursor.failing)
            if message is not None:
                if self.posted == MESSAGES_AT_ONCE:
                    return cursor, "the other messages follow at the next evaluation"
                try:
                    self.post(message)
                except OSError as error:
                    return cursor, str(error)
                self.posted += 1
            cursor = Cursor(record.storage_id, failing)
        return cursor, ""

    def _first_position(self) -> int:
        before = self.now - FIRST_REACH_HOURS * 3600
        filters = [dg.EventRecordsFilter(kind, before_timestamp=before) for kind in ALERTING]
        storage = self.instance.event_log_storage
        last = [storage.get_event_records(filter_, limit=1, ascending=False) for filter_ in filters]
        return max((records[0].storage_id for records in last if records), default=0)

    def _events_after(self, number: int) -> list[dg.EventLogRecord]:
        """Return, in order, the events after a number that may need a message, without leaving out any in between."""
        events: list[dg.EventLogRecord] = []
        complete_to = float("inf")
        for kind in ALERTING:
            after = dg.EventRecordsFilter(kind, after_cursor=number)
            records = self.instance.event_log_storage.get_event_records(after, limit=EVENTS_A_QUERY, ascending=True)
            if len(records) == EVENTS_A_QUERY:
                complete_to = min(complete_to, records[-1].storage_id)
            events += records
        return sorted(
            (record for record in events if record.storage_id <= complete_to), key=lambda record: record.storage_id
        )

    def _message(self, record: dg.EventLogRecord, failing: tuple[str, ...]) -> tuple[Message | None, tuple[str, ...]]:
        """Return an event's message (None if it needs none), and the checks that are failing after the event."""
        event = record.event_log_entry.dagster_event
        if event is None:
            return None, failing
        if event.event_type is dg.DagsterEventType.RUN_FAILURE:
            return self._failed_run(record), failing
        if event.event_type is dg.DagsterEventType.ASSET_CHECK_EVALUATION:
            evaluation = event.asset_check_evaluation_data
            name = ":".join([evaluation.asset_key.to_user_string(), evaluation.check_name, evaluation.partition or ""])
            others = tuple(other for other in failing if other != name)
            if evaluation.passed:
                return None, others
            is_new = name not in failing
            return self._failed_check(record, evaluation) if is_new else None, (*others, name)
        change = event.asset_freshness_state_change_data
        if change.new_state.value != "FAIL":
            return None, failing
        return self._stale_asset(record, change.key), failing

    def _failed_run(self, record: dg.EventLogRecord) -> Message | None:
        entry = record.event_log_entry
        run = self.instance.get_run_by_id(entry.run_id)
        event = entry.dagster_event
        if run is None or event is None:
            return None  # the run has been deleted since
        failure, asset, error = event.job_failure_data, "", event.message or ""
        if (step := failure.first_step_failure_event) is not None:
            asset = self._asset_of(step.step_key)
            error = root_message(step.step_failure_data.error)
        elif failure.error is not None:
            error = root_message(failure.error)
        reason = REASONS.get(failure.failure_reason.value if failure.failure_reason else "", "it failed")
        return Message(
            id=f"run_failed:{run.run_id}",
            kind="run_failed",
            asset=asset,
            run=run.run_id,
            job=run.job_name,
            link=f"{self.link_base}/runs/{run.run_id}",
            reason=reason,
            error=error,
            at=_instant(entry.timestamp),
            will_retry=run.tags.get("dagster/will_retry") == "true",
        )

    def _asset_of(self, step_key: str | None) -> str:
        """Return the key of a step's asset, or ''; Dagster names the step by joining the key's parts with `__`."""
        keys = (key for key in self.instance.get_asset_keys() if "__".join(key.path) == step_key)
        return next((key.to_user_string() for key in keys), "")

    def _failed_check(self, record: dg.EventLogRecord, evaluation: dg.AssetCheckEvaluation) -> Message:
        run = self.instance.get_run_by_id(record.event_log_entry.run_id)
        key = evaluation.asset_key.to_user_string()
        partition = f" for {evaluation.partition}" if evaluation.partition else ""
        return Message(
            id=f"check_failed:{record.storage_id}",
            kind="check_failed",
            asset=key,
            run=record.event_log_entry.run_id,
            job=run.job_name if run else "",
            link=f"{self.link_base}/assets/{key}?view=checks",
            reason=f"check {evaluation.check_name} failed{partition} ({evaluation.severity.value.lower()})",
            error=evaluation.description or "",
            at=_instant(record.event_log_entry.timestamp),
        )

    def _stale_asset(self, record: dg.EventLogRecord, key: dg.AssetKey) -> Message:
        return Message(
            id=f"asset_stale:{record.storage_id}",
            kind="asset_stale",
            asset=key.to_user_string(),
            link=f"{self.link_base}/assets/{key.to_user_string()}",
            reason="it was not updated within the time that its freshness policy allows",
            at=_instant(record.event_log_entry.timestamp),
        )


def _instant(timestamp: float) -> str:
    return dt.datetime.fromtimestamp(timestamp, dt.UTC).isoformat(timespec="seconds")
