"""Failures tell: one JSON message for each failed run, failed check and stale asset, to `HORROR_ALERT_WEBHOOK`.

What belongs here: noticing what went wrong since the last look, and telling it once. What does not: judging (Dagster
decides what failed, checks and freshness policies what is wrong), retrying runs.

The sensor's cursor is the last event told of. It moves only past what the webhook took, so a webhook that is down
loses nothing: the next look starts where this one got stuck. A message's `id` is the same however often it is sent, for
a receiver that answered too late to be believed.
"""

from __future__ import annotations

import datetime as dt
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import dagster as dg

from horror_pipeline.orchestration.failures import root_message
from horror_pipeline.orchestration.liveness import reap_dead_runs
from horror_pipeline.orchestration.messages import Message, posted_to, secrets_of, ui_url
from horror_pipeline.settings import get_settings

SETTLE_SECONDS = 3.0
"""Events this young wait for the next look: one with a lower number may still be on its way into the database."""

FIRST_LOOK_HOURS = 1.0
"""How far back the very first look goes: no message tells of what failed before anybody wanted messages."""

EVENTS_A_LOOK = 100
MESSAGES_A_LOOK = 20
"""Even if each takes as long as it may, well under the minute Dagster gives a sensor."""

TOLD = (
    dg.DagsterEventType.RUN_FAILURE,
    dg.DagsterEventType.ASSET_CHECK_EVALUATION,
    dg.DagsterEventType.FRESHNESS_STATE_CHANGE,
)

REASONS = {
    "STEP_FAILURE": "a step failed",
    "UNEXPECTED_TERMINATION": "its process died",
    "RUN_EXCEPTION": "the run itself failed",
    "JOB_INITIALIZATION_FAILURE": "it could not begin",
    "START_TIMEOUT": "its process did not start in time",
    "RUN_WORKER_RESTART": "its process was restarted",
}


@dataclass(frozen=True)
class Cursor:
    """How far has been told.

    Attributes:
        after: number of the last event dealt with; None before the first look.
        failing: checks told to fail that have not passed since: each is told once.
    """

    after: int | None = None
    failing: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text: str | None) -> Cursor:
        """Read what `str` wrote; nothing, or what another version wrote, is a first look."""
        try:
            values = json.loads(text or "{}")
            return cls(after=values["after"], failing=tuple(values["failing"]))
        except (ValueError, KeyError, TypeError):
            return cls()

    def __str__(self) -> str:
        """As JSON."""
        return json.dumps({"after": self.after, "failing": list(self.failing)})


@dataclass
class Look:
    """One look at what happened since the cursor.

    Attributes:
        instance: Dagster's records.
        link_base: address of the Dagster UI.
        post: sends one message; raises `OSError` when it was not taken.
        now: seconds since the epoch.
        told: how many messages were taken.
    """

    instance: dg.DagsterInstance
    link_base: str
    post: Callable[[Message], None]
    now: float
    told: int = field(default=0, init=False)

    def tell_since(self, cursor: Cursor) -> tuple[Cursor, str]:
        """Tell what failed, in its order.

        Returns:
            The cursor after what is told, and why it went no further: '' when nothing is left.
        """
        if cursor.after is None:
            cursor = replace(cursor, after=self._first_look())
        for record in self._events_after(cursor.after or 0):
            if record.event_log_entry.timestamp > self.now - SETTLE_SECONDS:
                break
            message, failing = self._message(record, cursor.failing)
            if message is not None:
                if self.told == MESSAGES_A_LOOK:
                    return cursor, "the rest follows at the next look"
                try:
                    self.post(message)
                except OSError as error:
                    return cursor, str(error)
                self.told += 1
            cursor = Cursor(record.storage_id, failing)
        return cursor, ""

    def _first_look(self) -> int:
        before = self.now - FIRST_LOOK_HOURS * 3600
        filters = [dg.EventRecordsFilter(kind, before_timestamp=before) for kind in TOLD]
        last = [self.instance.event_log_storage.get_event_records(one, limit=1, ascending=False) for one in filters]
        return max((records[0].storage_id for records in last if records), default=0)

    def _events_after(self, number: int) -> list[dg.EventLogRecord]:
        """Events in order; complete up to the last one returned."""
        found: list[dg.EventLogRecord] = []
        complete_to = float("inf")
        for kind in TOLD:
            after = dg.EventRecordsFilter(kind, after_cursor=number)
            records = self.instance.event_log_storage.get_event_records(after, limit=EVENTS_A_LOOK, ascending=True)
            if len(records) == EVENTS_A_LOOK:
                complete_to = min(complete_to, records[-1].storage_id)
            found += records
        return sorted(
            (record for record in found if record.storage_id <= complete_to), key=lambda record: record.storage_id
        )

    def _message(self, record: dg.EventLogRecord, failing: tuple[str, ...]) -> tuple[Message | None, tuple[str, ...]]:
        """What is to be told of an event, and the checks failing after it."""
        event = record.event_log_entry.dagster_event
        if event is None:
            return None, failing
        if event.event_type is dg.DagsterEventType.RUN_FAILURE:
            return self._failed_run(record), failing
        if event.event_type is dg.DagsterEventType.ASSET_CHECK_EVALUATION:
            evaluation = event.asset_check_evaluation_data
            name = f"{evaluation.asset_key.to_user_string()}:{evaluation.check_name}"
            others = tuple(one for one in failing if one != name)
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
            return None  # deleted since, by a person or by retention
        failure, asset, error = event.job_failure_data, "", event.message or ""
        if (step := failure.first_step_failure_event) is not None:
            asset = self._assets_of(entry.run_id, step.step_key)
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

    def _assets_of(self, run_id: str, step_key: str | None) -> str:
        planned = self.instance.get_records_for_run(run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED)
        keys = {
            event.asset_key.to_user_string()
            for record in planned.records
            if (event := record.event_log_entry.dagster_event) and event.step_key == step_key and event.asset_key
        }
        return ", ".join(sorted(keys))

    def _failed_check(self, record: dg.EventLogRecord, evaluation: dg.AssetCheckEvaluation) -> Message:
        run = self.instance.get_run_by_id(record.event_log_entry.run_id)
        key = evaluation.asset_key.to_user_string()
        return Message(
            id=f"check_failed:{record.storage_id}",
            kind="check_failed",
            asset=key,
            run=record.event_log_entry.run_id,
            job=run.job_name if run else "",
            link=f"{self.link_base}/assets/{key}?view=checks",
            reason=f"check {evaluation.check_name} failed ({evaluation.severity.value.lower()})",
            error=evaluation.description or "",
            at=_instant(record.event_log_entry.timestamp),
        )

    def _stale_asset(self, record: dg.EventLogRecord, key: dg.AssetKey) -> Message:
        return Message(
            id=f"asset_stale:{record.storage_id}",
            kind="asset_stale",
            asset=key.to_user_string(),
            run="",
            job="",
            link=f"{self.link_base}/assets/{key.to_user_string()}",
            reason="it was not brought up to date in the time its freshness policy gives",
            error="",
            at=_instant(record.event_log_entry.timestamp),
        )


def _instant(timestamp: float) -> str:
    return dt.datetime.fromtimestamp(timestamp, dt.UTC).isoformat(timespec="seconds")


@dg.sensor(
    minimum_interval_seconds=30,
    default_status=(
        dg.DefaultSensorStatus.RUNNING if get_settings().horror_alert_webhook else dg.DefaultSensorStatus.STOPPED
    ),
)
def failure_alerts(context: dg.SensorEvaluationContext) -> dg.SensorResult:
    """Post one JSON message for each failed run, failed check and stale asset to `HORROR_ALERT_WEBHOOK`."""
    settings = get_settings()
    if settings.horror_alert_webhook is None:
        return dg.SensorResult(skip_reason="HORROR_ALERT_WEBHOOK is not set", cursor="")
    post = posted_to(settings.horror_alert_webhook, secrets_of(settings))
    look = Look(context.instance, ui_url(settings), post, time.time())
    cursor, stuck = look.tell_since(Cursor.parse(context.cursor))
    if stuck:
        context.log.warning(f"messages wait: {stuck}")
    said = f"{look.told} told" if look.told or stuck else "nothing new has failed"
    return dg.SensorResult(skip_reason=f"{said}; {stuck}" if stuck else said, cursor=str(cursor))


@dg.sensor(minimum_interval_seconds=60, default_status=dg.DefaultSensorStatus.RUNNING)
def dead_runs(context: dg.SensorEvaluationContext) -> dg.SkipReason:
    """Mark runs failed whose process on this machine has died; "started" for ever, they would hold up the queue."""
    reaped = reap_dead_runs(context.instance)
    return dg.SkipReason(f"marked failed: {', '.join(reaped)}" if reaped else "every run under way has a live process")
