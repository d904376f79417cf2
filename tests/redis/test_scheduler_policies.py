"""What becomes of ticks under each policy, on a real server and a clock that is moved by hand."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import redis

from asynq_py import (
    JSON_SORTED,
    ConfigError,
    DuplicateTaskError,
    LeaderElection,
    Misfire,
    Overlap,
    RejectedError,
    RunOutcome,
    Scheduler,
    ShutdownTimeoutError,
    Task,
)
from asynq_py.broker.enqueue_all import FIRST_CHUNK_TASKS
from asynq_py.clock import from_unix_s
from asynq_py.scheduler import hooks as hooks_module
from asynq_py.testing.redis_server import RedisServer
from asynq_py.wire.message import decode
from tests.support.database import pending, task_hash
from tests.support.proxy import Proxy
from tests.support.stepped import Stepped

#: Noon, 6 January 2026, UTC; a Tuesday.
NOON_S = 1_767_700_800
MakeStepped = Callable[..., Stepped]
PATIENCE_S = 15


@pytest.fixture
def stepped(server: RedisServer) -> Iterator[MakeStepped]:
    """Makes schedulers without threads: ``stepped(start_s, misfire=...)``."""
    made: list[Stepped] = []

    def make(start_s: int = NOON_S, url: str = server.url, **config: Any) -> Stepped:  # noqa: ANN401
        one = Stepped(url, start_s, **config)
        made.append(one)
        return one

    yield make
    for one in made:
        one.close()


def payloads(database: redis.Redis) -> list[bytes]:
    return [
        decode(task_hash(database, "default", task_id)["msg"]).payload
        for task_id in pending(database)
    ]


def enqueued(database: redis.Redis, name: str) -> list[int]:
    """For which moments an entry's tasks were enqueued, seconds after NOON_S."""
    moments = []
    for task_id in pending(database):
        headers = dict(decode(task_hash(database, "default", task_id)["msg"]).headers)
        if headers["asynq-entry"] == name:
            moments.append(datetime.fromisoformat(headers["asynq-scheduled-for"]))
    return [int(moment.timestamp()) - NOON_S for moment in moments]


# -- payloads made of the tick --


def test_a_payload_is_made_of_the_moment_in_the_entrys_own_zone(
    stepped: MakeStepped, database: redis.Redis
) -> None:
    asked: list[datetime] = []

    def payload(moment: datetime) -> object:
        asked.append(moment)
        return {"b": moment.isoformat(), "a": 1}

    one = stepped()
    one.register(
        "30 * * * *", location="Asia/Kathmandu", name="n", payload=payload, codec=JSON_SORTED
    )
    one.begin()
    one.step(3600)

    # Kathmandu is 5:45 ahead: its half past comes at a quarter to.
    assert asked == [datetime(2026, 1, 6, 18, 30, tzinfo=ZoneInfo("Asia/Kathmandu"))]
    assert str(asked[0].tzinfo) == "Asia/Kathmandu"
    assert payloads(database) == [b'{"a":1,"b":"2026-01-06T18:30:00+05:45"}']


def test_a_payload_is_made_once_however_often_it_is_sent(
    stepped: MakeStepped, database: redis.Redis, proxy: Proxy
) -> None:
    made: list[datetime] = []
    one = stepped(url=proxy.url)
    one.register("@every 10s", name="n", payload=lambda moment: made.append(moment))
    one.begin()
    proxy.is_down = True
    one.step(10)
    proxy.is_down = False
    one.step()

    assert len(made) == 1
    assert enqueued(database, "n") == [10]


@pytest.mark.parametrize("fault", ["raises", "has no bytes"])
def test_a_payload_that_cannot_be_made_fails_its_own_tick_alone(
    stepped: MakeStepped, database: redis.Redis, fault: str
) -> None:
    told: queue.SimpleQueue[Exception] = queue.SimpleQueue()

    def payload(moment: datetime) -> object:
        if moment.second == 10:
            if fault == "raises":
                raise LookupError("no data")
            return object()
        return moment.second

    one = stepped(error_handler=lambda task, options, error: told.put(error))
    one.register("@every 10s", name="faulty", payload=payload)
    one.register("@every 10s", name="other", payload=lambda moment: moment.second)
    one.begin()
    one.step(10)
    one.step(10)

    error = told.get(timeout=PATIENCE_S)
    assert isinstance(error, ConfigError)
    assert ("no data" in str(error)) == (fault == "raises")
    assert one.ticks("faulty") == [(NOON_S + 10, "failed"), (NOON_S + 20, "enqueued")]
    assert enqueued(database, "faulty") == [20]
    assert enqueued(database, "other") == [10, 20]


def test_a_payload_that_hangs_fails_its_tick_and_others_go_on(
    stepped: MakeStepped, database: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hooks_module, "PATIENCE_S", 0.01)
    end = threading.Event()
    one = stepped()
    one.register("@every 10s", name="hangs", payload=lambda moment: end.wait(PATIENCE_S))
    one.register("@every 10s", name="plain")
    one.begin()
    one.step(10)
    one.step(10)

    assert one.ticks("hangs") == [(NOON_S + 10, "failed"), (NOON_S + 20, "failed")]
    assert "not made in time" in str(one.scheduler.entry("hangs").last_error)
    assert enqueued(database, "plain") == [10, 20]

    end.set()
    monkeypatch.setattr(hooks_module, "PATIENCE_S", PATIENCE_S)
    returned = threading.Event()
    one.hooks.call([("test", returned.set)])
    assert returned.wait(PATIENCE_S)
    one.step(10)
    assert enqueued(database, "hangs") == [30]


# -- overlap --


@pytest.mark.parametrize("state", ["pending", "active", "scheduled", "retry"])
def test_a_tick_is_left_out_while_the_last_task_is_not_done(
    stepped: MakeStepped, database: redis.Redis, state: str
) -> None:
    one = stepped()
    one.register("@every 10s", name="n", overlap=Overlap.SKIP)
    one.register("@every 10s", name="allowed")
    one.begin()
    one.step(10)
    key = f"asynq:{{default}}:t:n:{NOON_S + 10}"
    database.hset(key, "state", state)

    one.step(10)
    database.hset(key, "state", "completed")
    one.step(10)

    assert [outcome for _, outcome in one.ticks("n")] == ["enqueued", "overlapped", "enqueued"]
    assert enqueued(database, "n") == [10, 30]
    assert enqueued(database, "allowed") == [10, 20, 30]
    assert one.scheduler.counts()["overlapped"] == 1
    assert one.scheduler.entry("n").failures == 0


def test_overlap_is_seen_across_a_restart(stepped: MakeStepped, database: redis.Redis) -> None:
    for start_s in (NOON_S, NOON_S + 15):
        one = stepped(start_s)
        one.register("@every 10s", name="n", overlap=Overlap.SKIP)
        one.begin()
        one.step(10)

    assert enqueued(database, "n") == [10]
    assert one.ticks("n") == [(NOON_S + 20, "overlapped")]


# -- bounds --


def test_an_entry_runs_as_often_as_it_may_across_restarts(
    stepped: MakeStepped, database: redis.Redis
) -> None:
    for start_s in (NOON_S, NOON_S + 20, NOON_S + 40):
        one = stepped(start_s)
        one.register("@every 10s", name="n", max_runs=3)
        one.begin()
        one.step(10)
        one.step(10)

    assert enqueued(database, "n") == [10, 20, 30]
    entry = one.scheduler.entry("n")
    assert entry.next_run is None
    assert entry.runs == ()


def test_ticks_come_between_a_beginning_and_an_end_but_for_days_that_are_left_out(
    stepped: MakeStepped, database: redis.Redis
) -> None:
    one = stepped()
    one.register(
        "0 */12 * * *",
        name="n",
        start_at=from_unix_s(NOON_S) + timedelta(hours=1),
        end_at=from_unix_s(NOON_S) + timedelta(hours=60),
        exclude=[date(2026, 1, 8)],
    )
    one.begin()
    first = one.scheduler.entry("n").next_run
    for _ in range(100):
        one.step(3600)

    assert first == datetime(2026, 1, 7, tzinfo=UTC)
    # The 7th at 0 and at 12; the 8th is left out; the end is the 9th at 0.
    assert [seconds // 3600 for seconds in enqueued(database, "n")] == [12, 24, 60]
    assert one.scheduler.entry("n").next_run is None


def test_jitter_delays_a_tick_but_not_the_moment_it_is_for(
    stepped: MakeStepped, database: redis.Redis
) -> None:
    one = stepped()
    one.register("* * * * *", name="n", jitter=50)
    one.begin()
    jitter_ms = one.scheduler._book.slot("n").jitter_ms
    assert 1000 < jitter_ms < 50_000

    one.step(60)
    one.step(jitter_ms / 1000 - 0.001)
    assert enqueued(database, "n") == []
    one.step(0.001)

    assert enqueued(database, "n") == [60]
    (run,) = one.scheduler.entry("n").runs
    assert run.lateness == timedelta(milliseconds=jitter_ms)


# -- ticks that fell into downtime --


@pytest.mark.parametrize(
    ("misfire", "made_up", "missed"),
    [
        (Misfire.SKIP, [], 0),
        (Misfire.SKIP(grace=15), [40], 2),
        (Misfire.LATEST, [40], 2),
        (Misfire.LATEST(grace=4), [], 3),
        (Misfire.ALL, [20, 30, 40], 0),
        (Misfire.ALL(grace=15), [30, 40], 1),
        (Misfire.ALL(cap=2), [30, 40], 1),
    ],
    ids=str,
)
def test_a_named_entry_makes_up_for_downtime_as_it_is_told(
    stepped: MakeStepped,
    database: redis.Redis,
    misfire: Misfire,
    made_up: list[int],
    missed: int,
) -> None:
    before = stepped()
    before.register("@every 10s", name="n", misfire=misfire)
    before.begin()
    before.step(10)

    after = stepped(NOON_S + 45)
    after.register("@every 10s", name="n", misfire=misfire)
    after.begin()
    after.step()

    assert enqueued(database, "n") == [10, *made_up]
    assert after.scheduler.entry("n").missed == missed
    assert after.scheduler.counts().get("missed", 0) == missed
    after.step(5)
    after.step(5)
    # With a ledger the phase is kept; without, it counts from the start, as in Go.
    following = 50 if after.scheduler._book.slot("n").field else 55
    assert enqueued(database, "n")[-1] == following


def test_what_is_left_out_is_not_made_up_for_by_a_later_restart_either(
    stepped: MakeStepped, database: redis.Redis
) -> None:
    first = stepped()
    first.register("@every 10s", name="n", misfire=Misfire.SKIP(grace=4))
    first.begin()
    second = stepped(NOON_S + 45)
    second.register("@every 10s", name="n", misfire=Misfire.SKIP(grace=4))
    second.begin()
    second.step()
    third = stepped(NOON_S + 46)
    third.register("@every 10s", name="n", misfire=Misfire.ALL)
    third.begin()
    third.step()

    assert enqueued(database, "n") == []


def test_the_first_tick_ever_is_made_up_for(stepped: MakeStepped, database: redis.Redis) -> None:
    stepped_first = stepped()
    stepped_first.register("@every 10s", name="n", misfire=Misfire.ALL)
    stepped_first.begin()

    later = stepped(NOON_S + 25)
    later.register("@every 10s", name="n", misfire=Misfire.ALL)
    later.begin()
    later.step()

    assert enqueued(database, "n") == [10, 20]


def test_an_outage_of_redis_is_made_up_for_as_each_entry_wants(
    stepped: MakeStepped, database: redis.Redis, proxy: Proxy
) -> None:
    one = stepped(url=proxy.url)
    one.register("@every 10s", name="all", misfire=Misfire.ALL)
    one.register("@every 10s", name="graced", misfire=Misfire.ALL(grace=15))
    one.register("@every 10s", name="latest", misfire=Misfire.LATEST)
    one.register("@every 10s", name="skip", misfire=Misfire.SKIP)
    one.begin()
    proxy.is_down = True
    for _ in range(4):
        one.step(10)
    assert one.scheduler.counts() == {"waiting": 8, "missed": 8}
    proxy.is_down = False
    one.step(1)

    assert enqueued(database, "all") == [10, 20, 30, 40]
    assert enqueued(database, "graced") == [30, 40]
    assert enqueued(database, "latest") == [40]
    assert enqueued(database, "skip") == [40]


def test_when_too_many_ticks_wait_the_oldest_are_missed(
    stepped: MakeStepped, database: redis.Redis, proxy: Proxy
) -> None:
    one = stepped(url=proxy.url, max_waiting=3)
    one.register("@every 10s", name="n", misfire=Misfire.ALL)
    one.begin()
    proxy.is_down = True
    for _ in range(5):
        one.step(10)
    proxy.is_down = False
    one.step()

    assert enqueued(database, "n") == [30, 40, 50]
    assert one.scheduler.counts() == {"enqueued": 3, "missed": 2, "waiting": 0}
    assert one.scheduler.entry("n").missed == 2


def test_ticks_of_an_entry_go_in_one_call_lest_one_passes_over_another(
    stepped: MakeStepped, database: redis.Redis
) -> None:
    one = stepped()
    one.register("@every 1s", name="n", misfire=Misfire.ALL)
    for number in range(200):
        one.register("@every 200s", name=f"n{number}", misfire=Misfire.ALL)
    one.begin()
    one.step()

    one.pass_time(199)
    one.ticker.step()
    sent = []
    while one.sender.step() == 0.0:
        sent.append(len(pending(database)) - sum(sent))
    one.step(1)

    assert sent == [FIRST_CHUNK_TASKS] * 7 + [24]
    assert enqueued(database, "n") == list(range(1, 201))
    # Of different entries as many go at a time as there are.
    assert len(pending(database)) == 400


# -- what is told --


def test_the_error_handler_is_told_of_what_failed_and_of_what_waits(
    stepped: MakeStepped, database: redis.Redis, proxy: Proxy
) -> None:
    told: queue.SimpleQueue[tuple[Task, Any, Exception]] = queue.SimpleQueue()
    one = stepped(url=proxy.url, error_handler=lambda *heard: told.put(heard))
    task = Task("report")
    one.register("@every 10s", task, name="n", timeout=5)
    one.begin()
    proxy.is_down = True
    one.step(10)
    one.step()
    proxy.is_down = False
    one.step()
    database.delete("asynq:{default}:pending")
    database.set("asynq:{default}:pending", "a string")
    one.step(10)

    waiting, failed = (told.get(timeout=PATIENCE_S) for _ in range(2))
    assert waiting[:2] == failed[:2] == (task, {"timeout": 5})
    # Once for a tick, however often it is tried.
    assert type(waiting[2]).__name__ == "UnavailableError"
    assert isinstance(failed[2], RejectedError)
    assert one.scheduler.entry("n").last_error is failed[2]
    assert told.empty()


def test_without_a_handler_each_failure_is_logged_with_the_severity_that_fits(
    stepped: MakeStepped,
    database: redis.Redis,
    proxy: Proxy,
    caplog: pytest.LogCaptureFixture,
) -> None:
    one = stepped(url=proxy.url)
    one.register("@every 10s", Task("duplicate"), name="duplicate", unique=1000)
    one.begin()
    one.step(10)
    proxy.is_down = True
    with caplog.at_level(logging.DEBUG, "asynq_py.scheduler"):
        one.step(10)
        proxy.is_down = False
        one.step()
        database.delete("asynq:{default}:pending")
        database.flushdb()
        database.set("asynq:{default}:pending", "a string")
        one.step(10)

    levels = [
        (record.levelname, record.getMessage().split(":")[0], record.__dict__.get("entry"))
        for record in caplog.records
        if record.getMessage().startswith("duplicate ")
    ]
    assert levels == [
        ("WARNING", "duplicate waits and is tried again", "duplicate"),
        ("INFO", "duplicate was not enqueued", "duplicate"),
        ("ERROR", "duplicate was not enqueued", "duplicate"),
    ]
    assert [run.outcome for run in one.scheduler.entry("duplicate").runs] == [
        RunOutcome.ENQUEUED,
        RunOutcome.DUPLICATE,
        RunOutcome.FAILED,
    ]
    assert isinstance(one.scheduler.entry("duplicate").runs[1].error, DuplicateTaskError)


def test_very_many_failures_are_not_logged_one_by_one(
    stepped: MakeStepped, database: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    database.set("asynq:{default}:pending", "a string")
    one = stepped()
    for number in range(12):
        one.register("@every 10s", name=f"n{number}")
    one.begin()

    one.step(10)

    texts = [record.getMessage() for record in caplog.records]
    assert len([text for text in texts if text.startswith("t was not enqueued")]) == 5
    assert texts[-1] == "7 more: was not enqueued"


# -- what Redis refuses for now --


@pytest.mark.parametrize("election", [None, LeaderElection("g")])
@pytest.mark.parametrize("named", [False, True])
def test_what_redis_has_no_memory_for_is_tried_again(
    start_server: Callable[..., RedisServer],
    connect_raw: Callable[..., redis.Redis],
    stepped: MakeStepped,
    election: LeaderElection | None,
    named: bool,
) -> None:
    server = start_server()
    database = connect_raw(server)
    one = stepped(url=server.url, leader_election=election, retry_for=60)
    if one.scheduler._engine._elector is not None:
        one.scheduler._engine._elector.step()
    entry_id = one.register("@every 10s", name="n" if named else None, misfire=Misfire.ALL)
    one.begin()
    one.step(10)
    database.config_set("maxmemory", 1)
    one.step(10)
    one.step(10)
    assert one.scheduler.counts() == {
        "enqueued": 1,
        "waiting": 2,
        **({"elected": 1} if election else {}),
    }
    database.config_set("maxmemory", 0)

    one.step()

    assert one.ticks(entry_id) == [
        (NOON_S + 10, "enqueued"),
        (NOON_S + 20, "enqueued"),
        (NOON_S + 30, "enqueued"),
    ]
    assert len(pending(database)) == 3


def test_what_redis_refuses_for_too_long_has_failed(
    start_server: Callable[..., RedisServer],
    connect_raw: Callable[..., redis.Redis],
    stepped: MakeStepped,
) -> None:
    server = start_server()
    database = connect_raw(server)
    one = stepped(url=server.url, retry_for=60)
    one.register("@every 10m", name="n")
    one.begin()
    one.sender.step()
    database.config_set("maxmemory", 1)
    one.step(600)
    one.step(59)
    assert one.ticks("n") == []

    one.step(1)

    assert one.ticks("n") == [(NOON_S + 600, "failed")]
    error = one.scheduler.entry("n").last_error
    assert isinstance(error, RejectedError)
    assert error.code == "OOM"


# -- how fast --


def test_no_more_tasks_a_second_are_enqueued_than_the_limit(
    stepped: MakeStepped, database: redis.Redis
) -> None:
    one = stepped(rate_limit=4)
    for number in range(20):
        one.register("@every 100s", name=f"n{number}")
    one.begin()
    sent = []
    for seconds in (100, 0, 0.5, 0.25, 1, 0, 60):
        before = len(pending(database))
        one.step(seconds)
        sent.append(len(pending(database)) - before)

    # What was not used before is not saved up for more than a second.
    assert sent == [4, 0, 2, 1, 4, 0, 4]


def test_a_limit_below_one_a_second_is_one_now_and_then(
    stepped: MakeStepped, database: redis.Redis
) -> None:
    one = stepped(rate_limit=0.5)
    for number in range(3):
        one.register("@every 100s", name=f"n{number}")
    one.begin()
    sent = []
    for seconds in (100, 1, 1, 1.9, 0.2):
        one.step(seconds)
        sent.append(len(pending(database)))

    assert sent == [1, 1, 2, 2, 3]


# -- stopping --


@pytest.mark.timeout(60)
def test_a_stop_that_loses_ticks_names_them(
    start_server: Callable[..., RedisServer], make_scheduler: Callable[..., Scheduler]
) -> None:
    server = start_server()
    told: queue.SimpleQueue[str] = queue.SimpleQueue()
    scheduler = make_scheduler(
        server.url,
        shutdown_timeout=0.3,
        error_handler=lambda task, options, error: told.put(task.type),
    )
    for name in ("lost-a", "lost-b"):
        scheduler.register("@every 1s", Task(name), name=name)
    server.kill()
    scheduler.start()
    assert {told.get(timeout=PATIENCE_S) for _ in range(2)} == {"lost-a", "lost-b"}

    with pytest.raises(ShutdownTimeoutError) as caught:
        scheduler.stop()

    assert str(caught.value).endswith("shutdown_timeout: lost-a, lost-b")
    assert not scheduler.is_running


@pytest.mark.timeout(60)
def test_a_stop_names_what_was_lost_also_where_the_sender_ends_at_once(
    start_server: Callable[..., RedisServer], make_scheduler: Callable[..., Scheduler]
) -> None:
    server = start_server()
    told: queue.SimpleQueue[str] = queue.SimpleQueue()
    scheduler = make_scheduler(
        server.url,
        shutdown_timeout=0,
        error_handler=lambda task, options, error: told.put(task.type),
    )
    scheduler.register("@every 1s", Task("t"), name="lost")
    server.kill()
    engine = scheduler._engine

    class Obeyed(threading.Event):
        """Set only once the sender has ended."""

        def set(self) -> None:
            super().set()
            engine._threads["sender"].join(PATIENCE_S)

    engine.abandons = Obeyed()
    scheduler.start()
    told.get(timeout=PATIENCE_S)

    with pytest.raises(ShutdownTimeoutError, match="lost"):
        scheduler.stop()
