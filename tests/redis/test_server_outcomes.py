"""What becomes of a task, from how its handler ended."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Any, NoReturn

import pytest
import redis

from asynq_py import (
    Client,
    Context,
    HandlerNotFoundError,
    RevokeTask,
    ServeMux,
    Server,
    SkipRetry,
    Task,
    delay_by_error,
    exponential_delay,
    fixed_delay,
)
from asynq_py.clock import FixedClock
from asynq_py.wire.message import TaskMessage, decode
from tests.support.database import content, task_hash
from tests.support.serving import Seen
from tests.support.tasks import NOW_S

Serve = Callable[..., Server]

NOW_NS = NOW_S * 10**9
TODAY = "2030-03-17"


@pytest.fixture
def handled(make: Client, serve: Serve, database: redis.Redis) -> Callable[..., dict[str, bytes]]:
    """Has one task handled at NOW_S; gives what is left of its hash."""

    def handle(
        handler: Any,  # noqa: ANN401
        task: Task | None = None,
        **config: Any,  # noqa: ANN401
    ) -> dict[str, bytes]:
        seen = Seen()

        async def call(context: Context, task: Task) -> None:
            try:
                await handler(context, task)
            finally:
                seen(task)

        make.enqueue(task or Task("t"), task_id="a")
        worker = serve(call, clock=FixedClock(NOW_NS), **config)
        seen.wait()
        worker.shutdown()
        return task_hash(database, "default", "a")

    return handle


def raising(error: BaseException) -> Callable[[Context, Task], Any]:
    """A handler that always fails."""

    async def handler(context: Context, task: Task) -> NoReturn:
        raise error

    return handler


async def succeed(context: Context, task: Task) -> None:
    await context.write_result(b"done")


def message_of(fields: dict[str, bytes]) -> TaskMessage:
    return decode(fields["msg"])


def test_a_task_that_succeeds_is_deleted_and_counted(
    handled: Callable[..., dict[str, bytes]], database: redis.Redis
) -> None:
    assert handled(succeed) == {}
    assert content(database) == {
        "asynq:queues": {b"default"},
        "asynq:{default}:processed": b"1",
        f"asynq:{{default}}:processed:{TODAY}": b"1",
    }


def test_a_task_with_a_retention_is_kept_with_its_result(
    handled: Callable[..., dict[str, bytes]], database: redis.Redis
) -> None:
    fields = handled(succeed, Task("t", retention=60))

    assert (fields["state"], fields["result"]) == (b"completed", b"done")
    assert message_of(fields).completed_at == NOW_S
    assert database.zrange("asynq:{default}:completed", 0, -1, withscores=True) == [
        (b"a", NOW_S + 60)
    ]
    assert database.get("asynq:{default}:processed") == b"1"
    assert not database.exists("asynq:{default}:failed", "asynq:{default}:lease")


@pytest.mark.parametrize("end", [None, RevokeTask(), KeyError("x")], ids=repr)
def test_the_uniqueness_lock_is_let_go_of_when_the_task_is_done_with(
    end: BaseException | None, handled: Callable[..., dict[str, bytes]], database: redis.Redis
) -> None:
    handled(raising(end) if end else succeed, Task("t", unique=60, max_retry=5))

    assert len(list(database.scan_iter("*:unique:*"))) == (1 if isinstance(end, KeyError) else 0)


def test_a_lock_that_another_task_holds_by_now_stays(
    handled: Callable[..., dict[str, bytes]], database: redis.Redis
) -> None:
    async def handler(context: Context, task: Task) -> None:
        (key,) = database.scan_iter("*:unique:*")
        database.set(key, "another")

    handled(handler, Task("t", unique=60))

    (key,) = database.scan_iter("*:unique:*")
    assert database.get(key) == b"another"


def test_a_task_that_fails_is_tried_again_with_what_is_known_of_it(
    handled: Callable[..., dict[str, bytes]], database: redis.Redis
) -> None:
    fields = handled(raising(ValueError("too bad")), retry_delay=fixed_delay(77.5))

    message = message_of(fields)
    assert fields["state"] == b"retry"
    assert (message.retried, message.error_msg, message.last_failed_at) == (1, "too bad", NOW_S)
    assert database.zrange("asynq:{default}:retry", 0, -1, withscores=True) == [(b"a", NOW_S + 77)]
    assert content(database) | {"asynq:{default}:t:a": 0, "asynq:{default}:retry": 0} == {
        "asynq:queues": {b"default"},
        "asynq:{default}:t:a": 0,
        "asynq:{default}:retry": 0,
        "asynq:{default}:processed": b"1",
        f"asynq:{{default}}:processed:{TODAY}": b"1",
        "asynq:{default}:failed": b"1",
        f"asynq:{{default}}:failed:{TODAY}": b"1",
    }


def test_the_counters_of_a_day_are_kept_for_ninety_days(
    handled: Callable[..., dict[str, bytes]], database: redis.Redis
) -> None:
    handled(raising(ValueError("x")))

    for kind in ("processed", "failed"):
        ends_at = time.time() + database.ttl(f"asynq:{{default}}:{kind}:{TODAY}")
        assert abs(ends_at - (NOW_S + 90 * 86400)) < 60


def delay_of(database: redis.Redis) -> float:
    ((_, score),) = database.zrange("asynq:{default}:retry", 0, -1, withscores=True)
    return float(score) - NOW_S


def test_the_delay_is_asynqs_own_by_default(
    handled: Callable[..., dict[str, bytes]], database: redis.Redis
) -> None:
    handled(raising(ValueError("x")))

    assert 15 <= delay_of(database) <= 44


@pytest.mark.parametrize(
    ("rule", "delays"),
    [
        (fixed_delay(3), range(3, 4)),
        (exponential_delay(8, jitter=0), range(8, 9)),
        (exponential_delay(100, cap=50, jitter=0.5), range(25, 51)),
        (delay_by_error({LookupError: 9}), range(9, 10)),
        (delay_by_error({LookupError: 9, KeyError: fixed_delay(5)}), range(5, 6)),
        (delay_by_error({OSError: 9}), range(15, 45)),
    ],
)
def test_the_delay_may_be_chosen(
    rule: Any,  # noqa: ANN401
    delays: range,
    handled: Callable[..., dict[str, bytes]],
    database: redis.Redis,
) -> None:
    handled(raising(KeyError("x")), retry_delay=rule)

    assert delay_of(database) in delays


def test_a_rule_is_told_the_retries_so_far_the_error_and_the_task(
    handled: Callable[..., dict[str, bytes]],
) -> None:
    told = Seen()
    error = KeyError("x")

    def rule(retried: int, error: BaseException, task: Task) -> int:
        told(retried, error, task)
        return 1

    handled(raising(error), Task("t", b"p", headers={"h": "v"}), retry_delay=rule)

    assert told.items == [(0, error, Task("t", b"p", headers={"h": "v"}))]


def test_the_last_failure_archives(
    handled: Callable[..., dict[str, bytes]], database: redis.Redis
) -> None:
    fields = handled(raising(ValueError("no")), Task("t", max_retry=0, unique=60))

    message = message_of(fields)
    assert fields["state"] == b"archived"
    assert (message.retried, message.error_msg, message.last_failed_at) == (0, "no", NOW_S)
    assert database.zrange("asynq:{default}:archived", 0, -1, withscores=True) == [(b"a", NOW_S)]
    assert database.get("asynq:{default}:failed") == b"1"
    # As in Go: who archives keeps others from doing the same again.
    assert len(list(database.scan_iter("*:unique:*"))) == 1


def test_an_archived_task_lets_go_of_its_lock_if_so_configured(
    handled: Callable[..., dict[str, bytes]], database: redis.Redis
) -> None:
    handled(raising(ValueError("no")), Task("t", max_retry=0, unique=60), unlock_archived=True)

    assert list(database.scan_iter("*:unique:*")) == []


def raised_from(error: BaseException, cause: BaseException) -> BaseException:
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (SkipRetry(), "skip retry for the task"),
        (SkipRetry("no such user"), "no such user"),
        (raised_from(ValueError("bad"), SkipRetry()), "bad"),
        (ExceptionGroup("some", [ValueError("bad"), SkipRetry()]), "some (2 sub-exceptions)"),
    ],
)
def test_skip_retry_archives_however_many_retries_are_left(
    error: Exception, text: str, handled: Callable[..., dict[str, bytes]]
) -> None:
    fields = handled(raising(error), is_failure=lambda error: False)

    assert (fields["state"], message_of(fields).error_msg) == (b"archived", text)


@pytest.mark.parametrize(
    "error", [RevokeTask(), RevokeTask("not needed"), raised_from(KeyError("x"), RevokeTask())]
)
def test_revoke_drops_the_task_and_counts_it_as_processed(
    error: Exception, handled: Callable[..., dict[str, bytes]], database: redis.Redis
) -> None:
    told = Seen()

    assert handled(raising(error), Task("t", retention=60), error_handler=told) == {}
    assert [each[2] for each in told.items] == [error]
    assert database.get("asynq:{default}:processed") == b"1"
    assert not database.exists("asynq:{default}:failed", "asynq:{default}:completed")


def test_what_is_no_failure_is_tried_again_without_using_up_a_retry(
    handled: Callable[..., dict[str, bytes]], database: redis.Redis
) -> None:
    fields = handled(
        raising(ConnectionError("away")),
        Task("t", max_retry=1),
        is_failure=lambda error: not isinstance(error, ConnectionError),
    )

    message = message_of(fields)
    assert fields["state"] == b"retry"
    assert (message.retried, message.error_msg, message.last_failed_at) == (0, "away", NOW_S)
    assert not database.exists("asynq:{default}:processed", "asynq:{default}:failed")


def test_what_is_no_failure_is_archived_all_the_same_when_no_retry_is_left(
    handled: Callable[..., dict[str, bytes]], database: redis.Redis
) -> None:
    fields = handled(
        raising(ConnectionError("away")), Task("t", max_retry=0), is_failure=lambda error: False
    )

    assert fields["state"] == b"archived"
    assert database.get("asynq:{default}:failed") == b"1"


class Odd(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ValueError(), "ValueError"),
        (KeyError("x"), "KeyError: 'x'"),
        (ValueError("\udcff"), "?"),
        (ValueError("a\0b"), "a\0b"),
        (ValueError("ü" * 100_000), "ü" * 100_000),
        (Odd(), "Odd"),
        (SystemExit(3), "3"),
        (KeyboardInterrupt(), "KeyboardInterrupt"),
        (asyncio.CancelledError(), "CancelledError"),
        (StopAsyncIteration(), "StopAsyncIteration"),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_the_text_of_an_error_is_kept(
    error: BaseException, text: str, handled: Callable[..., dict[str, bytes]]
) -> None:
    fields = handled(raising(error))

    assert (fields["state"], message_of(fields).error_msg) == (b"retry", text)


def test_a_plain_handler_may_raise_anything_too(
    make: Client, serve: Serve, database: redis.Redis
) -> None:
    def handler(context: Context, task: Task) -> None:
        raise {"stop": StopIteration(1), "exit": SystemExit(2)}[context.task_id]

    told = Seen()
    for task_id in ("stop", "exit"):
        make.enqueue(Task("t"), task_id=task_id)
    worker = serve(handler, error_handler=told)
    told.wait(2)
    worker.shutdown()

    assert message_of(task_hash(database, "default", "stop")).error_msg == "StopIteration"
    assert message_of(task_hash(database, "default", "exit")).error_msg == "2"


def test_a_task_without_a_handler_fails_and_may_be_tried_elsewhere(
    make: Client, serve: Serve, database: redis.Redis
) -> None:
    told = Seen()
    make.enqueue(Task("other"), task_id="a")
    worker = serve(ServeMux(), error_handler=told)
    ((_, _, error),) = told.wait()
    worker.shutdown()

    fields = task_hash(database, "default", "a")
    assert isinstance(error, HandlerNotFoundError)
    assert fields["state"] == b"retry"
    assert message_of(fields).error_msg == 'handler not found for task "other"'


def test_a_task_is_tried_until_it_succeeds(
    make: Client, serve: Serve, database: redis.Redis
) -> None:
    seen = Seen()

    async def handler(context: Context, task: Task) -> None:
        seen(context.retry_count)
        if context.retry_count < 3:
            raise ValueError("not yet")

    make.enqueue(Task("t"), task_id="a")
    worker = serve(handler, retry_delay=fixed_delay(0), delayed_task_check_interval=0.02)
    assert seen.wait(4) == [0, 1, 2, 3]
    worker.shutdown()

    assert dict(worker.counts()) == {
        "done": 1,
        "complete": 0,
        "retry": 3,
        "postpone": 0,
        "crash": 0,
        "archive": 0,
        "requeue": 0,
    }
    assert task_hash(database, "default", "a") == {}
    assert database.get("asynq:{default}:processed") == b"4"


def test_the_archive_keeps_at_most_9999_tasks(
    handled: Callable[..., dict[str, bytes]], database: redis.Redis
) -> None:
    with database.pipeline(transaction=False) as pipeline:
        for number in range(10_005):
            pipeline.zadd("asynq:{default}:archived", {f"old{number:05}": NOW_S - 100_000 + number})
            pipeline.hset(f"asynq:{{default}}:t:old{number:05}", "state", "archived")
        pipeline.execute()

    handled(raising(SkipRetry()))

    assert database.zcard("asynq:{default}:archived") == 9999
    assert database.zscore("asynq:{default}:archived", "a") == NOW_S
    assert not database.exists("asynq:{default}:t:old00000")
    assert sum(1 for _ in database.scan_iter("*:t:*", count=5000)) == 9999


def test_tasks_that_were_archived_ninety_days_ago_are_deleted(
    handled: Callable[..., dict[str, bytes]], database: redis.Redis
) -> None:
    database.zadd("asynq:{default}:archived", {"old": NOW_S - 91 * 86400, "young": NOW_S - 86400})
    for task_id in ("old", "young"):
        database.hset(f"asynq:{{default}}:t:{task_id}", "state", "archived")

    handled(raising(SkipRetry()))

    assert set(database.zrange("asynq:{default}:archived", 0, -1)) == {b"young", b"a"}
    assert not database.exists("asynq:{default}:t:old")


def test_a_counter_that_has_reached_its_end_begins_again(
    handled: Callable[..., dict[str, bytes]], database: redis.Redis
) -> None:
    database.set("asynq:{default}:processed", 2**63 - 1)
    database.set("asynq:{default}:failed", 5)

    handled(raising(ValueError("x")))

    assert database.get("asynq:{default}:processed") == b"1"
    assert database.get("asynq:{default}:failed") == b"1"


def test_a_task_that_was_deleted_while_at_work_does_not_come_back(
    handled: Callable[..., dict[str, bytes]],
    database: redis.Redis,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def handler(context: Context, task: Task) -> None:
        database.delete("asynq:{default}:t:a", "asynq:{default}:active", "asynq:{default}:lease")

    with caplog.at_level(logging.WARNING):
        assert handled(handler, Task("t", retention=60)) == {}

    assert content(database) == {"asynq:queues": {b"default"}}


def test_tasks_of_the_same_id_in_two_queues_are_two_tasks(
    make: Client, serve: Serve, database: redis.Redis
) -> None:
    seen = Seen()

    async def handler(context: Context, task: Task) -> None:
        seen(context.queue)
        if context.queue == "two":
            raise SkipRetry

    for queue in ("one", "two"):
        make.enqueue(Task("t"), task_id="a", queue=queue, retention=60)
    worker = serve(handler, queues={"one": 1, "two": 1})
    assert sorted(seen.wait(2)) == ["one", "two"]
    worker.shutdown()

    assert task_hash(database, "one", "a")["state"] == b"completed"
    assert task_hash(database, "two", "a")["state"] == b"archived"
