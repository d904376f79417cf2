"""The scheduler: what it enqueues, what it publishes, what it takes back."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import redis

from asynq_py import (
    Client,
    ConfigError,
    NotFoundError,
    RunOutcome,
    Scheduler,
    SchedulerRunningError,
    SchedulerStoppedError,
    ScheduleSyntaxError,
    Task,
)
from asynq_py.testing.redis_server import RedisServer
from asynq_py.wire.message import TaskMessage, decode
from asynq_py.wire.presence import SchedulerEnqueueEvent, SchedulerEntry, timestamp_ns
from tests.support.database import dump, task_hash
from tests.support.keyevents import KeyEvents

MakeScheduler = Callable[..., Scheduler]
PENDING = "asynq:{default}:pending"
DAYS_30 = 30 * 24 * 3600


def take(database: redis.Redis, queue: str = "default") -> str:
    """Waits for the next pending task and takes it; gives its ID."""
    task_id = database.blmove(f"asynq:{{{queue}}}:pending", "taken", 4, "RIGHT", "LEFT")
    assert task_id is not None
    return str(task_id.decode())


def message_of(database: redis.Redis, task_id: str, queue: str = "default") -> TaskMessage:
    return decode(task_hash(database, queue, task_id)["msg"])


def published(database: redis.Redis) -> list[SchedulerEntry]:
    """The entries of the one scheduler there is, in the list's order."""
    (key,) = database.zrange("asynq:schedulers", 0, -1)
    return [SchedulerEntry.FromString(data) for data in database.lrange(key, 0, -1)]


# -- registering --


def test_an_entry_shows_what_was_registered(make_scheduler: MakeScheduler) -> None:
    scheduler = make_scheduler(location="Europe/Berlin")
    task = Task("report")

    plain = scheduler.register("@daily", task)
    named = scheduler.register("0 9 * * *", task, name="daily", location="Asia/Tokyo", timeout=1.5)

    first, second = scheduler.entries()
    assert (first.id, first.name, first.spec, first.location) == (
        plain,
        None,
        "@daily",
        "Europe/Berlin",
    )
    assert (second.id, second.name, second.task) == (named, "daily", task)
    assert (named, second.location, second.options) == ("daily", "Asia/Tokyo", {"timeout": 2})
    assert (second.next_run, second.previous_run, second.last_outcome) == (None, None, None)
    assert (second.failures, second.runs, second.last_error) == (0, (), None)
    assert scheduler.entry(plain) == first


def test_a_location_may_be_a_zone_or_stand_in_the_spec(make_scheduler: MakeScheduler) -> None:
    scheduler = make_scheduler()

    by_zone = scheduler.register("@daily", Task("t"), location=ZoneInfo("Asia/Tokyo"))
    by_spec = scheduler.register("CRON_TZ=Asia/Tokyo @daily", Task("t"), location="Europe/Berlin")

    assert scheduler.entry(by_zone).location == "Asia/Tokyo"
    assert scheduler.entry(by_spec).location == "Asia/Tokyo"


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"spec": "* * * *"}, ScheduleSyntaxError),
        ({"spec": "@sometimes"}, ScheduleSyntaxError),
        ({"location": "Mars/Olympus"}, ConfigError),
        ({"task": "report"}, ConfigError),
        ({"task": Task}, ConfigError),
        ({"name": ""}, ConfigError),
        ({"name": 7}, ConfigError),
        ({"name": "\ud800"}, ConfigError),
        ({"name": "taken"}, ConfigError),
        ({"max_retry": -1}, ConfigError),
        ({"queu": "x"}, ConfigError),
    ],
)
def test_an_entry_that_can_never_work_is_refused(
    make_scheduler: MakeScheduler, arguments: dict[str, Any], error: type[Exception]
) -> None:
    scheduler = make_scheduler()
    scheduler.register("@daily", Task("t"), name="taken")

    with pytest.raises(error):
        scheduler.register(**{"spec": "@daily", "task": Task("t"), **arguments})

    assert [entry.id for entry in scheduler.entries()] == ["taken"]


def test_an_entry_can_be_unregistered(make_scheduler: MakeScheduler) -> None:
    scheduler = make_scheduler()
    scheduler.register("@daily", Task("t"), name="a")

    scheduler.unregister("a")

    assert scheduler.entries() == []
    for ask in (scheduler.unregister, scheduler.entry):
        with pytest.raises(NotFoundError, match="'a'"):
            ask("a")


def test_a_running_scheduler_is_sealed(make_scheduler: MakeScheduler) -> None:
    scheduler = make_scheduler()
    scheduler.register("@daily", Task("t"), name="a")
    scheduler.start()

    with pytest.raises(SchedulerRunningError):
        scheduler.register("@daily", Task("t"))
    with pytest.raises(SchedulerRunningError):
        scheduler.unregister("a")

    assert [entry.id for entry in scheduler.entries()] == ["a"]


# -- starting and stopping --


def test_it_starts_once(make_scheduler: MakeScheduler) -> None:
    scheduler = make_scheduler()
    assert not scheduler.is_running

    scheduler.start()

    assert scheduler.is_running
    with pytest.raises(SchedulerRunningError):
        scheduler.start()
    scheduler.stop()
    assert not scheduler.is_running
    with pytest.raises(SchedulerStoppedError):
        scheduler.start()


def test_stopping_what_does_not_run_does_nothing(make_scheduler: MakeScheduler) -> None:
    scheduler = make_scheduler()

    scheduler.stop()
    scheduler.start()
    scheduler.stop()
    scheduler.stop()

    assert not scheduler.is_running


def test_a_with_block_starts_and_stops(make_scheduler: MakeScheduler) -> None:
    scheduler = make_scheduler()

    with scheduler as same:
        assert same is scheduler
        assert scheduler.is_running

    assert not scheduler.is_running


def test_run_returns_when_another_thread_stops_it(
    make_scheduler: MakeScheduler, key_events: KeyEvents
) -> None:
    scheduler = make_scheduler()
    scheduler.register("@daily", Task("t"))
    thread = threading.Thread(target=scheduler.run)
    thread.start()
    key_events.wait("expire", "asynq:schedulers:")

    scheduler.stop()
    thread.join(20)

    assert not thread.is_alive()


def test_starting_sets_when_each_entry_runs_next(make_scheduler: MakeScheduler) -> None:
    scheduler = make_scheduler(location="Asia/Tokyo")
    scheduler.register("@every 1h", Task("t"), name="soon")
    scheduler.register("0 0 30 2 *", Task("t"), name="never")
    before = datetime.now(UTC)

    scheduler.start()

    soon = scheduler.entry("soon").next_run
    assert soon is not None
    assert soon.utcoffset() == timedelta(hours=9)
    assert before + timedelta(minutes=59, seconds=59) <= soon
    assert scheduler.entry("never").next_run is None


# -- publishing --


def test_entries_are_published_at_once_in_asynqs_form(
    make_scheduler: MakeScheduler, key_events: KeyEvents, database: redis.Redis
) -> None:
    scheduler = make_scheduler(heartbeat_interval=100, location="Europe/Berlin")
    scheduler.register("0 0 30 2 *", Task("never", None))
    late = scheduler.register(
        "@every 2h", Task("late", {"a": 1}, queue="own"), queue="q", max_retry=3, timeout=90
    )
    scheduler.register("@every 1h", Task("soon"), name="soon", location="Asia/Tokyo")

    scheduler.start()
    key = key_events.wait("expire", "asynq:schedulers:{")

    never_entry, late_entry, soon_entry = published(database)
    assert [entry.task_type for entry in published(database)] == ["never", "late", "soon"]
    assert (late_entry.id, late_entry.spec) == (late, "@every 2h")
    assert late_entry.task_payload == b'{"a":1}'
    assert list(late_entry.enqueue_options) == ['Queue("q")', "MaxRetry(3)", "Timeout(1m30s)"]
    next_run = scheduler.entry(late).next_run
    assert next_run is not None
    assert timestamp_ns(late_entry.next_enqueue_time) == int(next_run.timestamp()) * 10**9
    assert timestamp_ns(late_entry.prev_enqueue_time) is None
    assert timestamp_ns(never_entry.next_enqueue_time) is None
    assert (soon_entry.id, soon_entry.spec) == ("soon", "CRON_TZ=Asia/Tokyo @every 1h")
    listed = dump(database)
    assert listed[key]["ttl"] == 200
    ((member, expires),) = listed["asynq:schedulers"]["value"]
    assert member.decode() == key
    now, _ = database.time()
    assert 190 <= expires - now <= 201


def test_a_scheduler_without_entries_publishes_itself(
    make_scheduler: MakeScheduler, key_events: KeyEvents, database: redis.Redis
) -> None:
    make_scheduler().start()
    key_events.wait("zadd", "asynq:schedulers")

    assert published(database) == []


def test_the_published_entries_follow_the_ticks(
    make_scheduler: MakeScheduler, key_events: KeyEvents, database: redis.Redis
) -> None:
    scheduler = make_scheduler(heartbeat_interval=0.2)
    scheduler.register("@every 1s", Task("t"), name="a")

    scheduler.start()
    key_events.wait("lpush", PENDING)
    key_events.wait("expire", "asynq:schedulers:{")

    (entry,) = published(database)
    previous = timestamp_ns(entry.prev_enqueue_time)
    upcoming = timestamp_ns(entry.next_enqueue_time)
    assert previous is not None
    assert upcoming is not None
    assert previous < upcoming
    assert (previous % 10**9, upcoming % 10**9) == (0, 0)


def test_stop_takes_back_what_was_published(
    make_scheduler: MakeScheduler, key_events: KeyEvents, database: redis.Redis
) -> None:
    scheduler = make_scheduler()
    plain = scheduler.register("@every 1s", Task("t", queue="plain"))
    scheduler.register("@every 1s", Task("t", queue="named"), name="named")
    scheduler.start()
    for _ in range(2):
        key_events.wait("expire", "asynq:scheduler_history:")

    scheduler.stop()

    left = dump(database)
    assert [key for key in left if key.startswith("asynq:schedulers")] == []
    # Entries come back with the next scheduler; their history waits for them.
    for entry_id in ("named", plain):
        assert abs(left[f"asynq:scheduler_history:{entry_id}"]["ttl"] - DAYS_30) <= 10
    assert len(scheduler.entry("named").runs) >= 1


# -- ticking --


def test_it_enqueues_at_every_tick(make_scheduler: MakeScheduler, database: redis.Redis) -> None:
    scheduler = make_scheduler()
    entry_id = scheduler.register("@every 1s", Task("report", b"p"))

    with scheduler:
        taken = [take(database), take(database)]
        (first, *_) = scheduler.entry(entry_id).runs

    assert len(set(taken)) == 2
    message = message_of(database, taken[0])
    assert (message.type, message.payload, dict(message.headers)) == ("report", b"p", {})
    assert (first.task_id, first.outcome, first.error) == (taken[0], RunOutcome.ENQUEUED, None)
    assert first.scheduled_at.microsecond == 0
    assert first.enqueued_at is not None
    assert first.enqueued_at >= first.scheduled_at
    assert first.lateness == first.enqueued_at - first.scheduled_at
    assert database.smembers("asynq:queues") == {b"default"}


def test_a_named_entrys_tasks_carry_evidence_of_their_tick(
    make_scheduler: MakeScheduler, database: redis.Redis
) -> None:
    scheduler = make_scheduler()
    scheduler.register("@every 1s", Task("t", headers={"own": "1", "asynq-entry": "x"}), name="n")

    with scheduler:
        task_id = take(database)
    run = scheduler.entry("n").runs[0]

    headers = dict(message_of(database, task_id).headers)
    scheduled_for = headers.pop("asynq-scheduled-for")
    assert headers == {"own": "1", "asynq-entry": "n"}
    assert scheduled_for == run.scheduled_at.strftime("%Y-%m-%dT%H:%M:%S.000Z")
    assert datetime.fromisoformat(scheduled_for) == run.scheduled_at


def test_a_plain_entrys_task_is_byte_for_byte_what_a_client_stores(
    make_scheduler: MakeScheduler,
    server: RedisServer,
    database: redis.Redis,
    connect_raw: Callable[..., redis.Redis],
) -> None:
    task = Task("t", {"a": 1}, headers={"h": "v"}, max_retry=7)
    scheduler = make_scheduler()
    scheduler.register("@every 1s", task, queue="q", retention=60)

    with scheduler:
        task_id = take(database, "q")
    with Client(server.url_for(1)) as client:
        client.enqueue(task, queue="q", retention=60, task_id=task_id)

    ours = task_hash(database, "q", task_id)
    theirs = task_hash(connect_raw(server, 1), "q", task_id)
    assert ours["msg"] == theirs["msg"]
    assert ours.keys() == theirs.keys()


def test_options_of_the_entry_win_over_the_tasks(
    make_scheduler: MakeScheduler, database: redis.Redis
) -> None:
    scheduler = make_scheduler()
    scheduler.register("@every 1s", Task("t", queue="tasks", max_retry=1), queue="entrys")

    with scheduler:
        task_id = take(database, "entrys")

    assert message_of(database, task_id, "entrys").retry == 1


def test_a_run_is_recorded_in_the_history(
    make_scheduler: MakeScheduler, key_events: KeyEvents, database: redis.Redis
) -> None:
    scheduler = make_scheduler()
    scheduler.register("@every 1s", Task("t"), name="n")

    scheduler.start()
    key = key_events.wait("expire", "asynq:scheduler_history:")
    (data, score) = database.zrange(key, 0, 0, withscores=True)[0]

    event = SchedulerEnqueueEvent.FromString(data)
    assert key == "asynq:scheduler_history:n"
    run = scheduler.entry("n").runs[0]
    assert event.task_id == run.task_id
    at_ns = timestamp_ns(event.enqueue_time)
    assert at_ns is not None
    assert at_ns // 10**9 == score
    assert run.enqueued_at is not None
    assert int(run.enqueued_at.timestamp()) == score
    assert DAYS_30 - 60 <= database.ttl(key) <= DAYS_30


def test_a_history_keeps_the_newest_thousand_runs(
    make_scheduler: MakeScheduler, key_events: KeyEvents, database: redis.Redis
) -> None:
    key = "asynq:scheduler_history:n"
    database.zadd(key, {f"old-{number}": number for number in range(1005)})
    scheduler = make_scheduler()
    scheduler.register("@every 1s", Task("t"), name="n")

    scheduler.start()
    key_events.wait("expire", key)
    scheduler.stop()

    added = len(scheduler.entry("n").runs)
    assert database.zcard(key) == 1000
    assert database.zrange(key, 0, 0) == [f"old-{1005 - 1000 + added}".encode()]


def test_entries_may_be_asked_for_by_many_threads_while_it_runs(
    make_scheduler: MakeScheduler, database: redis.Redis
) -> None:
    scheduler = make_scheduler(heartbeat_interval=0.05)
    for number in range(200):
        scheduler.register("@every 1s", Task("t"), name=f"n{number}")
    done = threading.Event()
    failures: list[BaseException] = []

    def ask() -> None:
        try:
            while not done.is_set():
                assert len(scheduler.entries()) == 200
                assert scheduler.entry("n7").id == "n7"
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    with scheduler:
        for thread in threads:
            thread.start()
        for _ in range(400):
            take(database)
        done.set()
        for thread in threads:
            thread.join()

    assert failures == []
    assert all(len(entry.runs) >= 2 for entry in scheduler.entries())
