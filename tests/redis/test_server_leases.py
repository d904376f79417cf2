"""Leases: renewed while a task is at work, lost, and taken up by others."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
import redis

from asynq_py import Client, Context, LeaseLostError, Server, ServerConfig, Task, fixed_delay
from asynq_py.clock import FixedClock
from asynq_py.connection.sync import Connection
from asynq_py.server.chores import OVERDUE_S, Recoverer
from asynq_py.testing.redis_server import RedisServer
from asynq_py.wire.message import TaskMessage, decode
from tests.support.database import content, task_hash
from tests.support.keyevents import KeyEvents
from tests.support.serving import Messages, Seen, quicker, until
from tests.support.states import put
from tests.support.tasks import NOW_S

Serve = Callable[..., Server]

NOW_NS = NOW_S * 10**9
LEASE = "asynq:{default}:lease"


def test_a_task_is_leased_for_thirty_seconds(
    make: Client, serve: Serve, database: redis.Redis
) -> None:
    seen, go_on = Seen(), threading.Event()

    def handler(context: Context, task: Task) -> None:
        seen(database.zrange(LEASE, 0, -1, withscores=True))
        go_on.wait(20)

    make.enqueue(Task("t"), task_id="a")
    serve(handler, clock=FixedClock(NOW_NS + 999_999_999))

    assert seen.wait() == [[(b"a", NOW_S + 30)]]
    go_on.set()


def test_a_blocked_event_loop_does_not_lose_its_leases(
    make: Client,
    serve: Serve,
    database: redis.Redis,
    key_events: KeyEvents,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    quicker(monkeypatch, lease_s=2, beat_s=0.1)
    told, begun, go_on = Seen(), Seen(), threading.Event()

    async def handler(context: Context, task: Task) -> None:
        begun(time.monotonic())
        go_on.wait(30)  # blocks the loop

    make.enqueue(Task("t", retention=60), task_id="a")
    worker = serve(handler, error_handler=told)
    (start,) = begun.wait()
    first = database.zscore(LEASE, "a")
    assert first is not None
    while time.monotonic() < start + 3:
        key_events.wait("zadd", LEASE)  # it is renewed
    last = database.zscore(LEASE, "a")
    go_on.set()
    until(lambda: worker.counts()["complete"])

    assert last is not None
    assert last > first
    assert told.items == []


def test_a_task_whose_lease_is_lost_is_left_to_others(
    make: Client, serve: Serve, database: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    quicker(monkeypatch, beat_s=0.05)
    told, begun = Seen(), Seen()

    async def handler(context: Context, task: Task) -> None:
        begun()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            told(context.cancelled)
            raise

    make.enqueue(Task("t"), task_id="a")
    worker = serve(handler, error_handler=told)
    begun.wait()
    assert worker._parts is not None
    (job,) = worker._parts.processor.jobs
    before = content(database)

    job.lease_until = 0.0  # as after half a minute without Redis
    stopped, (context, _, error) = told.wait(2)
    worker.shutdown()

    assert stopped is True
    assert isinstance(error, LeaseLostError)
    assert str(error) == "asynq: task lease expired"
    assert context.task_id == "a"
    left = {key: value for key, value in content(database).items() if "{default}" in key}
    # The score of the lease may have been renewed before.
    assert left.keys() == {key for key in before if "{default}" in key}
    assert task_hash(database, "default", "a")["state"] == b"active"
    assert not any(worker.counts().values())


def test_a_task_that_is_done_when_its_lease_has_ended_is_not_handed_in(
    make: Client, serve: Serve, database: redis.Redis
) -> None:
    messages, begun, go_on = Messages(), Seen(), threading.Event()

    def handler(context: Context, task: Task) -> None:
        begun()
        go_on.wait(20)

    make.enqueue(Task("t"), task_id="a")
    worker = serve(handler, logger=messages.logger)
    begun.wait()
    assert worker._parts is not None
    (job,) = worker._parts.processor.jobs
    job.lease_until = 0.0
    go_on.set()
    messages.wait("the lease of 'a' of queue 'default' ended before it could be handed in")
    worker.shutdown()

    assert task_hash(database, "default", "a")["state"] == b"active"
    assert not database.exists("asynq:{default}:processed")


# -- those of others --


@pytest.fixture
def recover(server: RedisServer, database: redis.Redis) -> Callable[..., list[str]]:
    """Lets a recoverer look once, at NOW_S; gives what it has logged."""

    def once(**config: Any) -> list[str]:  # noqa: ANN401
        messages = Messages()
        settings = ServerConfig(**{"retry_delay": fixed_delay(60), **config})
        connection = Connection(server.url)
        try:
            clock = FixedClock(NOW_NS)
            Recoverer(connection, settings, clock, messages.logger, lambda *_: None)()
        finally:
            connection.close()
        return messages.texts

    return once


def left(database: redis.Redis, task_id: str = "a") -> tuple[str, TaskMessage]:
    fields = task_hash(database, "default", task_id)
    return fields["state"].decode(), decode(fields["msg"])


LOST = NOW_S - OVERDUE_S


def test_the_crash_of_a_worker_uses_up_no_retry_at_first(
    recover: Callable[..., list[str]], database: redis.Redis
) -> None:
    put(database, "active", "a", score=LOST, retry=1)

    texts = recover()

    state, message = left(database)
    assert (state, message.retried, message.last_failed_at) == ("retry", 0, NOW_S)
    assert message.error_msg == "asynq: task lease expired"
    assert task_hash(database, "default", "a")["py_crashes"] == b"1"
    assert database.zrange("asynq:{default}:retry", 0, -1, withscores=True) == [(b"a", NOW_S + 60)]
    assert not database.exists(LEASE, "asynq:{default}:active", "asynq:{default}:failed")
    assert texts == ["the worker of 'a' of queue 'default' is gone: crash"]


@pytest.mark.parametrize(
    ("crashes", "free", "retried", "state"),
    [
        (2, 3, 0, "retry"),
        (3, 3, 1, "retry"),
        (0, 0, 1, "retry"),
        (b"nonsense", 3, 0, "retry"),
    ],
)
def test_later_crashes_use_up_retries(
    crashes: int | bytes,
    free: int,
    retried: int,
    state: str,
    recover: Callable[..., list[str]],
    database: redis.Redis,
) -> None:
    put(database, "active", "a", score=LOST, retry=1)
    database.hset("asynq:{default}:t:a", "py_crashes", crashes)

    recover(free_crashes=free)

    found, message = left(database)
    assert (found, message.retried) == (state, retried)
    assert database.get("asynq:{default}:failed") == (b"1" if retried else None)


def test_a_task_that_only_crashes_its_workers_is_archived_in_the_end(
    recover: Callable[..., list[str]], database: redis.Redis
) -> None:
    put(database, "active", "a", score=LOST, retry=1, retried=1)
    database.hset("asynq:{default}:t:a", "py_crashes", 3)

    recover()

    state, message = left(database)
    assert (state, message.error_msg) == ("archived", "asynq: task lease expired")
    assert database.zscore("asynq:{default}:archived", "a") == NOW_S


def test_the_user_is_told_of_a_task_that_crashed_once_too_often(
    serve: Serve, database: redis.Redis
) -> None:
    put(database, "active", "a", score=LOST, retry=0)
    seen = Seen()

    def archived(context: Context, task: Task, error: BaseException) -> None:
        seen(context.task_id, context.queue, context.cancelled, task.type, str(error))

    serve(Seen().handler, clock=FixedClock(NOW_NS), free_crashes=0, on_archived=archived)

    assert seen.wait() == [("a", "default", True, "t", "asynq: task lease expired")]
    assert left(database)[0] == "archived"


def test_what_is_no_failure_is_postponed(
    recover: Callable[..., list[str]], database: redis.Redis
) -> None:
    put(database, "active", "a", score=LOST, retry=1)

    recover(free_crashes=0, is_failure=lambda error: not isinstance(error, LeaseLostError))

    state, message = left(database)
    assert (state, message.retried) == ("retry", 0)


@pytest.mark.parametrize("score", [LOST + 1, NOW_S, NOW_S + 30])
def test_a_lease_that_may_still_be_renewed_is_left_alone(
    score: int, recover: Callable[..., list[str]], database: redis.Redis
) -> None:
    put(database, "active", "a", score=score)
    before = content(database)

    assert recover() == []
    assert content(database) == before


def test_a_lease_that_is_renewed_meanwhile_is_left_alone(
    recover: Callable[..., list[str]], database: redis.Redis
) -> None:
    put(database, "active", "a", score=LOST)

    def renew(*_: object) -> int:
        database.zadd(LEASE, {"a": NOW_S + 30})
        return 60

    # The rule is asked after the lease was looked at, and before it is acted upon.
    assert recover(retry_delay=renew) == []
    assert left(database)[0] == "active"
    assert database.zscore(LEASE, "a") == NOW_S + 30


def test_many_are_taken_up_in_one_go(
    recover: Callable[..., list[str]], database: redis.Redis
) -> None:
    for number in range(250):
        put(database, "active", f"a{number}", score=LOST - number)

    recover()

    assert database.zcard("asynq:{default}:retry") == 250
    assert not database.exists(LEASE, "asynq:{default}:active")


def test_one_that_cannot_be_read_does_not_keep_the_others_back(
    recover: Callable[..., list[str]], database: redis.Redis
) -> None:
    for task_id in ("a", "bad", "c"):
        put(database, "active", task_id, score=LOST)
    database.hset("asynq:{default}:t:bad", "msg", b"\xff\xff")

    texts = recover()

    assert left(database)[0] == "retry"
    assert left(database, "c")[0] == "retry"
    assert database.zscore("asynq:{default}:py:quarantine", "bad") == NOW_S
    assert not database.exists(LEASE, "asynq:{default}:active")
    assert any("cannot be read; it is in quarantine: b'bad'" in text for text in texts)


def test_a_task_whose_id_is_no_text_goes_into_quarantine(
    recover: Callable[..., list[str]], database: redis.Redis
) -> None:
    put(database, "active", "a", score=LOST)
    database.rename("asynq:{default}:t:a", b"asynq:{default}:t:\xff")
    database.delete("asynq:{default}:active", LEASE)
    database.lpush("asynq:{default}:active", b"\xff")
    database.zadd(LEASE, {b"\xff": LOST})

    recover()

    assert database.zrange("asynq:{default}:py:quarantine", 0, -1) == [b"\xff"]
    assert not database.exists(LEASE, "asynq:{default}:active")


@pytest.mark.parametrize("damage", ["no message", "no lease", "stale lease", "no hash"])
def test_active_tasks_that_nobody_would_ever_finish_are_healed(
    damage: str, recover: Callable[..., list[str]], database: redis.Redis
) -> None:
    put(database, "active", "a", score=LOST)
    match damage:
        case "no message":
            database.hdel("asynq:{default}:t:a", "msg")
        case "no hash":
            database.delete("asynq:{default}:t:a")
        case "no lease":
            database.zrem(LEASE, "a")
        case "stale lease":
            database.delete("asynq:{default}:active")
            put(database, "retry", "a", score=NOW_S)

    recover()

    if damage == "no lease":
        # From now on somebody may take it up.
        assert database.zrange(LEASE, 0, -1) == [b"a"]
        assert database.lrange("asynq:{default}:active", 0, -1) == [b"a"]
    else:
        assert not database.exists(LEASE, "asynq:{default}:active")
        assert database.exists("asynq:{default}:t:a") == (damage == "stale lease")


def test_two_recoverers_take_a_task_up_once(
    recover: Callable[..., list[str]], database: redis.Redis
) -> None:
    put(database, "active", "a", score=LOST)
    inner: list[list[str]] = []

    def meanwhile(*_: object) -> int:
        if not inner:
            inner.append([])
            inner[0] = recover()
        return 60

    assert recover(retry_delay=meanwhile) == []
    assert len(inner[0]) == 1
    assert task_hash(database, "default", "a")["py_crashes"] == b"1"


def test_a_server_recovers_what_another_left_and_handles_it(
    make: Client, serve: Serve, database: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    quicker(monkeypatch, recover_s=0.05)
    seen = Seen()
    put(database, "active", "a", score=int(time.time()) - OVERDUE_S - 1, timeout=60)

    worker = serve(seen.handler, retry_delay=fixed_delay(0), delayed_task_check_interval=0.05)

    assert seen.wait() == ["a"]
    until(lambda: worker.counts()["done"])
    assert not database.exists(LEASE, "asynq:{default}:active", "asynq:{default}:t:a")


def test_a_task_that_cannot_be_read_is_put_aside_when_it_is_taken(
    make: Client, serve: Serve, database: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    seen = Seen()
    make.enqueue(Task("t"), task_id="bad")
    database.hset("asynq:{default}:t:bad", "msg", b"\xff\xff")
    make.enqueue(Task("t"), task_id="good")
    with caplog.at_level(logging.ERROR):
        serve(seen.handler, concurrency=1)
        assert seen.wait() == ["good"]
    until(lambda: database.zcard("asynq:{default}:py:quarantine"))

    assert not database.exists(LEASE, "asynq:{default}:active")
    assert task_hash(database, "default", "bad")["msg"] == b"\xff\xff"
    assert "cannot be read; it is in quarantine: b'bad'" in caplog.text


@pytest.mark.parametrize("left", [{}, {"state": "pending"}])
def test_an_id_without_a_message_is_thrown_away_when_it_is_taken(
    left: dict[str, str], make: Client, serve: Serve, database: redis.Redis
) -> None:
    seen, messages = Seen(), Messages()
    database.lpush("asynq:{default}:pending", "ghost")
    if left:
        database.hset("asynq:{default}:t:ghost", mapping=left)  # type: ignore[arg-type]
    make.enqueue(Task("t"), task_id="good")
    worker = serve(seen.handler, concurrency=1, logger=messages.logger)
    assert seen.wait() == ["good"]
    until(lambda: worker.counts()["done"])

    assert not database.exists(LEASE, "asynq:{default}:active", "asynq:{default}:t:ghost")
    messages.wait("1 IDs without a message thrown away from queue 'default'")
