import datetime as dt
import http.server
import json
import threading
import time
from collections.abc import Iterator

import dagster as dg
import pytest
from pydantic import SecretStr
from sqlalchemy import Engine, insert

from horror_pipeline.defs.sensors import breakout_alerts, failure_alerts, weekly_digest
from horror_pipeline.orchestration import alerts
from horror_pipeline.orchestration.alerts import Alerts, Cursor
from horror_pipeline.orchestration.messages import Message, poster, redacted
from horror_pipeline.settings import Settings, get_settings
from horror_pipeline.warehouse import tables
from horror_pipeline_tests.web import rows

SECRET = "0123456789abcdef0123456789abcdef"  # the form of a v3 key


class Webhook:
    """A real HTTP server that keeps what it is sent and answers as it is told."""

    def __init__(self) -> None:
        self.received: list[dict[str, object]] = []
        self.status = 200
        webhook = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if webhook.status < 300:
                    webhook.received.append(json.loads(body))
                self.send_response(webhook.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook/T0KEN"
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01})
        self.thread.start()

    def stop(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture
def webhook(monkeypatch: pytest.MonkeyPatch) -> Iterator[Webhook]:
    server = Webhook()
    monkeypatch.setenv("HORROR_ALERT_WEBHOOK", server.url)
    monkeypatch.setenv("TMDB_API_KEY", SECRET)
    monkeypatch.setattr(alerts, "SETTLE_SECONDS", 0.0)
    yield server
    server.stop()


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


@dg.asset(key=["raw", "films"])
def films(context: dg.AssetExecutionContext) -> None:
    if context.run.tags.get("broken"):
        raise ValueError(f"TMDB said no to /movie/1?api_key={SECRET}\nand more on a second line")


@dg.asset_check(asset=films)
def has_rows(context: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(passed=not context.run.tags.get("empty"), description="no rows at all")


JOB = dg.Definitions(assets=[films], asset_checks=[has_rows], jobs=[dg.define_asset_job("take_films")]).resolve_job_def(
    "take_films"
)


def take_films(instance: dg.DagsterInstance, **tags: str) -> str:
    return JOB.execute_in_process(instance=instance, raise_on_error=False, tags=tags).run_id


class Sensor:
    """The sensor as the daemon uses it: each evaluation gets the cursor the one before left."""

    def __init__(self, instance: dg.DagsterInstance) -> None:
        self.instance = instance
        self.cursor: str | None = None

    def look(self) -> str:
        with dg.build_sensor_context(self.instance, cursor=self.cursor) as context:
            result = failure_alerts(context)
        assert isinstance(result, dg.SensorResult) and result.skip_reason is not None
        self.cursor = result.cursor
        return str(result.skip_reason.skip_message)


def test_a_failed_run_is_told_once(instance: dg.DagsterInstance, webhook: Webhook) -> None:
    sensor = Sensor(instance)
    run_id = take_films(instance, broken="yes")
    assert sensor.look() == "1 posted"
    assert sensor.look() == "nothing new has failed"
    (told,) = webhook.received
    assert told["kind"] == "run_failed"
    assert (told["asset"], told["run"], told["job"]) == ("raw/films", run_id, "take_films")
    assert told["link"] == f"http://127.0.0.1:3000/runs/{run_id}"
    assert (told["reason"], told["error"]) == ("a step failed", "TMDB said no to /movie/1?api_key=***")


def test_a_run_that_succeeds_is_not_told(instance: dg.DagsterInstance, webhook: Webhook) -> None:
    sensor = Sensor(instance)
    take_films(instance, broken="yes")
    take_films(instance)  # as its retry would
    sensor.look()
    sensor.look()
    assert len(webhook.received) == 1


def test_no_message_holds_a_secret(instance: dg.DagsterInstance, webhook: Webhook) -> None:
    take_films(instance, broken="yes", empty="yes")
    Sensor(instance).look()
    assert webhook.received
    assert SECRET not in json.dumps(webhook.received)
    assert "T0KEN" not in json.dumps(webhook.received)


def test_a_check_that_goes_on_failing_is_told_once_until_it_has_passed(
    instance: dg.DagsterInstance, webhook: Webhook
) -> None:
    sensor = Sensor(instance)
    for empty in ("yes", "yes", "", "yes"):
        take_films(instance, **({"empty": empty} if empty else {}))
        sensor.look()
    assert [(told["kind"], told["asset"], told["error"]) for told in webhook.received] == [
        ("check_failed", "raw/films", "no rows at all"),
        ("check_failed", "raw/films", "no rows at all"),
    ]
    assert webhook.received[0]["reason"] == "check has_rows failed (error)"
    assert webhook.received[0]["link"] == "http://127.0.0.1:3000/assets/raw/films?view=checks"


def test_a_webhook_that_is_down_loses_nothing_and_is_told_in_order(
    instance: dg.DagsterInstance, webhook: Webhook
) -> None:
    sensor = Sensor(instance)
    webhook.status = 503
    runs = [take_films(instance, broken="yes") for _ in range(3)]
    said = sensor.look()
    assert said == "0 posted; the webhook at 127.0.0.1 answered 503"
    webhook.status = 200
    assert sensor.look() == "3 posted"
    assert [told["run"] for told in webhook.received] == runs


def test_a_webhook_that_does_not_exist_is_said_without_its_url(
    instance: dg.DagsterInstance, webhook: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HORROR_ALERT_WEBHOOK", "http://127.0.0.1:9/hook/T0KEN")
    get_settings.cache_clear()
    take_films(instance, broken="yes")
    said = Sensor(instance).look()
    assert "the webhook at 127.0.0.1 could not be reached (ConnectionError)" in said
    assert "T0KEN" not in said


def test_a_burst_is_told_over_several_looks(
    instance: dg.DagsterInstance, webhook: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alerts, "MESSAGES_AT_ONCE", 2)
    monkeypatch.setattr(alerts, "EVENTS_A_QUERY", 2)  # and more events than one query returns
    sensor = Sensor(instance)
    runs = [take_films(instance, broken="yes") for _ in range(3)]
    while "posted" in sensor.look():
        pass
    assert [told["run"] for told in webhook.received] == runs


def test_what_has_just_happened_waits_for_the_next_look(
    instance: dg.DagsterInstance, webhook: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    # An event with a lower number may be committed after one with a higher: it would be passed by.
    monkeypatch.setattr(alerts, "SETTLE_SECONDS", 3600.0)
    sensor = Sensor(instance)
    take_films(instance, broken="yes")
    assert sensor.look() == "nothing new has failed"
    monkeypatch.setattr(alerts, "SETTLE_SECONDS", 0.0)
    assert sensor.look() == "1 posted"


def test_the_first_look_leaves_out_what_failed_long_before(instance: dg.DagsterInstance, webhook: Webhook) -> None:
    take_films(instance, broken="yes")
    told: list[Message] = []
    look = Alerts(instance, "http://ui", told.append, now=time.time() + 7200)
    cursor, stuck = look.post_since(Cursor())
    assert (told, stuck) == ([], "")
    assert cursor.after is not None and cursor.after > 0


def test_without_a_webhook_nothing_is_kept_for_later(
    instance: dg.DagsterInstance, webhook: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    sensor = Sensor(instance)
    take_films(instance, broken="yes")
    sensor.look()
    monkeypatch.delenv("HORROR_ALERT_WEBHOOK")
    get_settings.cache_clear()
    assert sensor.look() == "HORROR_ALERT_WEBHOOK is not set"
    assert not sensor.cursor


def test_a_run_deleted_meanwhile_is_passed_by(instance: dg.DagsterInstance, webhook: Webhook) -> None:
    sensor = Sensor(instance)
    sensor.look()
    run_id = take_films(instance, broken="yes")
    records = instance.event_log_storage.get_event_records(
        dg.EventRecordsFilter(dg.DagsterEventType.RUN_FAILURE), limit=1
    )
    instance.delete_run(run_id)
    look = Alerts(instance, "http://ui", lambda _: None, time.time())
    assert look._message(records[0], ()) == (None, ())


@pytest.mark.parametrize("text", [None, "", "not json", "[]", '{"after": 1}', '{"old": true}'])
def test_a_cursor_nobody_can_read_is_a_first_look(text: str | None) -> None:
    assert Cursor.parse(text) == Cursor()


def test_a_cursor_comes_back_as_it_was() -> None:
    cursor = Cursor(17, ("movies:keys_unique",))
    assert Cursor.parse(str(cursor)) == cursor


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("GET /3/movie/1?api_key=abc&page=2 failed", "GET /3/movie/1?api_key=***&page=2 failed"),
        (
            "connection to postgresql://horror:hunter2@db:5432/x lost",
            "connection to postgresql://horror:***@db:5432/x lost",
        ),
        ("Authorization: Bearer eyJhbGciOi.x.y", "Authorization: Bearer ***"),
        ("the key is swordfish", "the key is ***"),
        ("first line\nsecond line", "first line"),
        ("", ""),
        ("x" * 1000, "x" * 500),
    ],
)
def test_errors_are_told_in_one_line_without_credentials(text: str, said: str) -> None:
    assert redacted(text, ["swordfish"]) == said


def test_a_webhook_that_cannot_be_reached_is_an_error_like_any_other() -> None:
    post = poster(Settings(horror_alert_webhook=SecretStr("http://127.0.0.1:9/hook")))  # nobody listens there
    assert post is not None
    message = Message("run_failed:1", "run_failed", "", "link", "reason", "2026-11-22T00:00:00+00:00", "1", "job")
    with pytest.raises(OSError, match="could not be reached"):
        post(message)


def test_a_stale_asset_is_told_and_one_that_is_late_only_is_not() -> None:
    from types import SimpleNamespace

    def record(state: str) -> object:
        change = SimpleNamespace(new_state=SimpleNamespace(value=state), key=dg.AssetKey(["movies"]))
        event = SimpleNamespace(
            event_type=dg.DagsterEventType.FRESHNESS_STATE_CHANGE, asset_freshness_state_change_data=change
        )
        return SimpleNamespace(storage_id=5, event_log_entry=SimpleNamespace(timestamp=0.0, dagster_event=event))

    with dg.DagsterInstance.ephemeral() as instance:
        look = Alerts(instance, "http://ui", lambda _: None, 0.0)
        assert look._message(record("WARN"), ())[0] is None  # type: ignore[arg-type]
        message = look._message(record("FAIL"), ())[0]  # type: ignore[arg-type]
    assert message is not None
    assert (message.kind, message.asset, message.link) == ("asset_stale", "movies", "http://ui/assets/movies")


def test_a_days_breakouts_are_told_once_and_not_lost(
    instance: dg.DagsterInstance, webhook: Webhook, engine: Engine
) -> None:
    cursor: str | None = None

    def look() -> str:
        nonlocal cursor
        with dg.build_sensor_context(instance, cursor=cursor, resources={"warehouse": engine}) as context:
            result = breakout_alerts(context)
        assert isinstance(result, dg.SensorResult) and result.skip_reason is not None
        cursor = result.cursor or cursor
        return str(result.skip_reason.skip_message)

    assert look() == "no new day has movers"
    rows.add_film(engine, 1, "Saw")
    rows.add_film(engine, 2, "Not a breakout")
    rows.add_mover(engine, 1)
    rows.add_mover(engine, 1, 1, breakout_score=0.991)
    rows.add_mover(engine, 2, is_breakout=False)
    webhook.status = 503
    assert look().endswith("answered 503")
    webhook.status = 200
    assert (look(), look()) == ("1 films broke out on 2026-11-22", "no new day has movers")
    (told,) = webhook.received
    assert told["reason"] == (
        "on 2026-11-22 1 film rose as such films rarely do: "
        "Saw (3.0 to 9.0 in 7 days, larger than 99.72 % of the changes of such films)"
    )
    rows.add_mover(engine, 1, snapshot_date=rows.TODAY + dt.timedelta(days=1))  # the same rise, a day later
    assert look() == "0 films broke out on 2026-11-23"
    assert len(webhook.received) == 1


def test_a_week_is_told_once_when_it_is_over_and_not_lost(
    instance: dg.DagsterInstance, webhook: Webhook, engine: Engine
) -> None:
    cursor: str | None = None

    def look(now: dt.datetime) -> str:
        nonlocal cursor
        resources = {"warehouse": engine, "clock": lambda: now}
        with dg.build_sensor_context(instance, cursor=cursor, resources=resources) as context:
            result = weekly_digest(context)
        assert isinstance(result, dg.SensorResult) and result.skip_reason is not None
        cursor = result.cursor or cursor
        return str(result.skip_reason.skip_message)

    sunday, monday = rows.NOW, rows.NOW + dt.timedelta(days=1)  # 12:00 UTC
    for run, outcome, ended_at in (
        *(("1", "success", sunday), ("2", "failure", sunday), ("3", "success", sunday - dt.timedelta(days=7))),
        ("4", "failure", monday),
    ):
        row = {"run_id": run, "job_name": "train_and_predict", "outcome": outcome, "ended_at": ended_at}
        with engine.begin() as connection:
            connection.execute(insert(tables.finished_runs), row)
    rows.add_forecast_score(engine, 7, rows.TODAY)
    rows.add_forecast_score(engine, 1, rows.TODAY - dt.timedelta(days=7), mae=0.1)
    rows.add_film(engine, 1, "Saw")
    rows.add_mover(engine, 1)
    assert look(sunday) == "the first week to be posted is the present one"
    assert look(monday - dt.timedelta(minutes=1)) == "the week from 2026-11-09 is posted"
    webhook.status = 503
    assert look(monday).endswith("answered 503")
    webhook.status = 200
    assert look(monday) == "the week from 2026-11-16 was posted"
    assert look(monday + dt.timedelta(days=6)) == "the week from 2026-11-16 is posted"
    (told,) = webhook.received
    assert (told["id"], told["kind"]) == ("weekly_digest:2026-11-16", "weekly_digest")
    assert told["reason"] == (
        "the week from 2026-11-16 to 2026-11-22: runs: train_and_predict 2 (1 failed); "
        "skill of forecasts over no change: +30% over 7 days; "
        "broke out: Saw (3.0 to 9.0 in 7 days, larger than 99.72 % of the changes of such films)"
    )
    assert look(monday + dt.timedelta(days=7)) == "the week from 2026-11-23 was posted"
    assert "no forecast was scored; no film broke out" in str(webhook.received[1]["text"])
