"""Handlers that are asked to stop: deadlines, cancellation, and those that do not listen."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import NoReturn

import pytest
import redis

from asynq_py import (
    Client,
    Context,
    Inspector,
    RevokeTask,
    ServeMux,
    Server,
    SkipRetry,
    Task,
    TaskCancelledError,
    TaskTimeoutError,
    fixed_delay,
)
from asynq_py.broker.take import Taken
from asynq_py.clock import FixedClock
from asynq_py.testing.redis_server import RedisServer
from asynq_py.wire.message import TaskMessage, decode, encode
from tests.support.database import task_hash
from tests.support.serving import Messages, Seen, quicker, until
from tests.support.tasks import NOW_S

Serve = Callable[..., Server]

NOW_NS = NOW_S * 10**9


def fields(database: redis.Redis, task_id: str = "a") -> tuple[str, TaskMessage]:
    """The state of a task, and its message."""
    found = task_hash(database, "default", task_id)
    return found["state"].decode(), decode(found["msg"])


def hears_cancellations(database: redis.Redis) -> bool:
    return bool(database.pubsub_numsub("asynq:cancel")[0][1])


@pytest.fixture
def inspector(server: RedisServer) -> Iterator[Inspector]:
    """A blocking inspector of the shared server."""
    with Inspector(server.url) as inspector:
        yield inspector


class Long:
    """A coroutine handler that goes on until it is asked to stop."""

    def __init__(self) -> None:
        self.begun = Seen()
        self.ended = Seen()

    async def __call__(self, context: Context, task: Task) -> None:
        self.begun(context)
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.ended(context.cancelled)
            raise


@pytest.mark.parametrize("limit", ["timeout", "deadline"])
def test_a_task_that_takes_too_long_fails(
    limit: str, make: Client, serve: Serve, database: redis.Redis
) -> None:
    long, told = Long(), Seen()
    # The server's clock stands still: whatever ends a second after it began.
    options = {"timeout": 1} if limit == "timeout" else {}
    if limit == "deadline":
        options = {"deadline": datetime.fromtimestamp(NOW_S + 1, UTC)}  # type: ignore[dict-item]
    make.enqueue(Task("t", **options), task_id="a")  # type: ignore[arg-type]
    worker = serve(long, clock=FixedClock(NOW_NS), error_handler=told, retry_delay=fixed_delay(9))
    ((_, _, error),) = told.wait()
    worker.shutdown()

    state, message = fields(database)
    assert isinstance(error, TaskTimeoutError)
    assert isinstance(error, TimeoutError)
    assert long.ended.items == [True]
    assert (state, message.retried) == ("retry", 1)
    assert message.error_msg == "context deadline exceeded"


@pytest.mark.parametrize(
    ("options", "seconds"),
    [
        ({}, 1800),
        ({"timeout": 5}, 5),
        ({"deadline": datetime.fromtimestamp(NOW_S + 7, UTC)}, 7),
        ({"deadline": datetime.fromtimestamp(NOW_S + 7, UTC), "timeout": 5}, 5),
        ({"deadline": datetime.fromtimestamp(NOW_S + 7, UTC), "timeout": 9}, 7),
    ],
)
def test_the_nearest_limit_counts(
    options: dict[str, object], seconds: int, make: Client, serve: Serve
) -> None:
    seen = Seen()

    async def handler(context: Context, task: Task) -> None:
        seen(context.deadline)

    make.enqueue(Task("t"), **options)  # type: ignore[arg-type]
    # Half a second after the full one: with both, whole seconds count, as in Go.
    serve(handler, clock=FixedClock(NOW_NS + 500_000_000))
    (deadline,) = seen.wait()

    assert deadline.tzinfo is UTC
    if "deadline" in options:
        assert deadline.timestamp() == NOW_S + seconds
    else:
        assert deadline.timestamp() == NOW_S + seconds + 0.5


def test_a_task_whose_deadline_has_passed_is_not_handled_at_all(
    make: Client, serve: Serve, database: redis.Redis
) -> None:
    seen, told = Seen(), Seen()
    make.enqueue(Task("t"), task_id="a", deadline=datetime.fromtimestamp(NOW_S - 1, UTC))
    worker = serve(seen.handler, clock=FixedClock(NOW_NS), error_handler=told)
    ((_, _, error),) = told.wait()
    worker.shutdown()

    assert seen.items == []
    assert isinstance(error, TaskTimeoutError)
    state, message = fields(database)
    assert (state, message.error_msg) == ("retry", "context deadline exceeded")


@pytest.mark.parametrize(
    ("timeout", "deadline", "runs"),
    [
        (2**62, 0, True),
        (0, 2**62, True),
        (2**62, 2**62, True),
        (-1, 0, False),
        (0, -(2**62), False),
    ],
)
def test_limits_that_no_clock_has_are_cut(
    timeout: int,
    deadline: int,
    runs: bool,
    make: Client,
    serve: Serve,
    database: redis.Redis,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    quicker(monkeypatch, beat_s=0.02)
    seen, told, go_on = Seen(), Seen(), threading.Event()

    def handler(context: Context, task: Task) -> None:
        seen(context.deadline)
        go_on.wait(20)

    make.enqueue(Task("t"), task_id="a")
    key = "asynq:{default}:t:a"
    message = decode(database.hget(key, "msg") or b"")
    message.timeout, message.deadline = timeout, deadline
    database.hset(key, "msg", encode(message))
    worker = serve(handler, error_handler=told)
    if runs:
        assert seen.wait()[0].year == 9999
        # Shown all the same.
        until(lambda: database.exists(*database.zrange("asynq:workers", 0, -1) or ["none"]))
        go_on.set()
        worker.shutdown()
        assert not database.exists(key)
    else:
        assert isinstance(told.wait()[0][2], TaskTimeoutError)
        assert seen.items == []


def test_a_task_that_an_inspector_cancels_is_tried_again(
    make: Client, serve: Serve, database: redis.Redis, inspector: Inspector
) -> None:
    long, told = Long(), Seen()
    make.enqueue(Task("t"), task_id="a")
    worker = serve(long, error_handler=told)
    long.begun.wait()
    until(lambda: hears_cancellations(database))

    inspector.cancel_task("a")
    ((context, _, error),) = told.wait()
    worker.shutdown()

    assert isinstance(error, TaskCancelledError)
    assert context.cancelled
    state, message = fields(database)
    assert (state, message.retried, message.error_msg) == ("retry", 1, "context canceled")


def test_a_cancelled_task_is_archived_if_so_configured(
    make: Client, serve: Serve, database: redis.Redis, inspector: Inspector
) -> None:
    long, archived = Long(), Seen()
    make.enqueue(Task("t"), task_id="a")
    worker = serve(long, on_cancel="archive", on_archived=archived)
    long.begun.wait()
    until(lambda: hears_cancellations(database))

    inspector.cancel_task("a")
    archived.wait()
    worker.shutdown()

    state, message = fields(database)
    assert (state, message.error_msg) == ("archived", "context canceled")


def test_only_the_task_that_is_named_is_cancelled(
    make: Client, serve: Serve, database: redis.Redis, inspector: Inspector
) -> None:
    long, told = Long(), Seen()
    for task_id in ("a", "b"):
        make.enqueue(Task("t"), task_id=task_id)
    worker = serve(long, error_handler=told, shutdown_timeout=0)
    long.begun.wait(2)
    until(lambda: hears_cancellations(database))

    inspector.cancel_task("nobody")
    inspector.cancel_task("b")
    told.wait()
    worker.shutdown()

    assert [each[0].task_id for each in told.items] == ["b"]
    assert fields(database)[0] == "pending"


@pytest.mark.parametrize(
    ("error", "state"), [(SkipRetry("enough"), "archived"), (RevokeTask(), None)]
)
def test_a_handler_may_say_what_becomes_of_a_task_that_is_cancelled(
    error: Exception,
    state: str | None,
    make: Client,
    serve: Serve,
    database: redis.Redis,
    inspector: Inspector,
) -> None:
    begun, told = Seen(), Seen()

    async def handler(context: Context, task: Task) -> None:
        begun()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise error from None

    make.enqueue(Task("t"), task_id="a")
    worker = serve(handler, error_handler=told)
    begun.wait()
    until(lambda: hears_cancellations(database))

    inspector.cancel_task("a")
    told.wait()
    worker.shutdown()

    found = task_hash(database, "default", "a")
    assert found.get("state", b"").decode() == (state or "")


@pytest.mark.parametrize("returns", [True, False])
def test_what_a_cancelled_handler_does_otherwise_does_not_matter(
    returns: bool, make: Client, serve: Serve, database: redis.Redis, inspector: Inspector
) -> None:
    begun, told = Seen(), Seen()

    async def handler(context: Context, task: Task) -> None:
        begun()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            if not returns:
                raise KeyError("x") from None

    make.enqueue(Task("t"), task_id="a", retention=60)
    worker = serve(handler, error_handler=told)
    begun.wait()
    until(lambda: hears_cancellations(database))

    inspector.cancel_task("a")
    told.wait()
    worker.shutdown()

    state, message = fields(database)
    assert (state, message.error_msg) == ("retry", "context canceled")


def test_a_coroutine_that_does_not_stop_keeps_its_slot_but_not_its_task(
    make: Client,
    serve: Serve,
    database: redis.Redis,
    inspector: Inspector,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    quicker(monkeypatch, lenient_s=0.05)
    seen, told, messages = Seen(), Seen(), Messages()
    go_on: list[asyncio.Event] = []
    loops: list[asyncio.AbstractEventLoop] = []

    async def stubborn(context: Context, task: Task) -> None:
        seen(context.task_id)
        loops.append(asyncio.get_running_loop())
        go_on.append(asyncio.Event())
        while not go_on[0].is_set():
            try:
                await go_on[0].wait()
            except asyncio.CancelledError:
                continue

    mux = ServeMux()
    mux.handle("stubborn", stubborn)
    mux.handle("t", seen.handler)
    make.enqueue(Task("stubborn"), task_id="a")
    worker = serve(mux, concurrency=1, error_handler=told, logger=messages.logger)
    assert seen.wait() == ["a"]
    make.enqueue(Task("t"), task_id="b")
    until(lambda: hears_cancellations(database))

    inspector.cancel_task("a")
    told.wait()
    until(lambda: worker.counts()["retry"])

    assert fields(database)[0] == "retry"
    assert messages.wait("'a' of queue 'default' does not stop")
    # The only slot is taken.
    assert database.lrange("asynq:{default}:pending", 0, -1) == [b"b"]
    assert seen.items == ["a"]
    loops[0].call_soon_threadsafe(go_on[0].set)
    assert seen.wait(2) == ["a", "b"]
    worker.shutdown()
    assert worker.counts()["retry"] == 1
    assert worker.counts()["done"] == 1
    assert len(told.items) == 1


def test_a_thread_that_outlives_its_deadline_keeps_its_slot_but_not_its_task(
    make: Client, serve: Serve, database: redis.Redis
) -> None:
    seen, told, go_on = Seen(), Seen(), threading.Event()

    def handler(context: Context, task: Task) -> None:
        seen(context.task_id)
        if context.task_id == "a":
            go_on.wait(30)
            seen(context.cancelled)

    make.enqueue(Task("t", timeout=1), task_id="a")
    worker = serve(handler, concurrency=1, error_handler=told)
    seen.wait()
    make.enqueue(Task("t"), task_id="b")
    ((_, _, error),) = told.wait()
    until(lambda: worker.counts()["retry"])

    assert isinstance(error, TaskTimeoutError)
    assert fields(database)[0] == "retry"
    assert database.lrange("asynq:{default}:pending", 0, -1) == [b"b"]
    go_on.set()
    assert seen.wait(3) == ["a", True, "b"]
    worker.shutdown()
    assert (worker.counts()["retry"], worker.counts()["done"]) == (1, 1)


def test_a_task_that_is_cancelled_before_its_handler_begins_is_settled_too(
    make: Client, serve: Serve, database: redis.Redis
) -> None:
    seen, told = Seen(), Seen()
    make.enqueue(Task("t"), task_id="a")
    data = database.hget("asynq:{default}:t:a", "msg")
    assert data is not None
    worker = serve(seen.handler, error_handler=told, queues={"other": 1}, concurrency=1)
    parts = worker._parts
    assert parts is not None
    # As if it had been taken.
    database.rpoplpush("asynq:{default}:pending", "asynq:{default}:active")
    database.zadd("asynq:{default}:lease", {"a": 2_000_000_000})

    def begin_and_cancel() -> None:
        parts.processor._begin(Taken("default", b"a", data), float("inf"))
        parts.processor.cancel("a")

    parts._loop.post(begin_and_cancel)
    ((_, _, error),) = told.wait()
    # Its slot is free again.
    make.enqueue(Task("t"), task_id="b", queue="other")
    assert seen.wait() == ["b"]
    worker.shutdown()

    assert isinstance(error, TaskCancelledError)
    state, message = fields(database)
    assert (state, message.error_msg) == ("retry", "context canceled")


def test_a_handler_that_raises_cancelled_by_itself_fails(
    make: Client, serve: Serve, database: redis.Redis
) -> None:
    told = Seen()

    async def handler(context: Context, task: Task) -> NoReturn:
        raise asyncio.CancelledError("of its own")

    make.enqueue(Task("t"), task_id="a")
    worker = serve(handler, error_handler=told)
    told.wait()
    worker.shutdown()

    assert fields(database)[1].error_msg == "of its own"
