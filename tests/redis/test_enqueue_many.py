"""enqueue_many: as if one after another, in few round trips."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis
from hypothesis import given, settings
from hypothesis import strategies as st

from asynq_py import (
    AsynqError,
    ConfigError,
    DuplicateTaskError,
    RejectedError,
    Task,
    TaskIDConflictError,
)
from asynq_py.broker.enqueue_all import CHUNK_TASKS
from asynq_py.clock import FixedClock
from asynq_py.testing.redis_server import RedisServer
from asynq_py.wire.message import decode
from tests.support import strategies
from tests.support.database import dump, pending, task_hash, times_called
from tests.support.proxy import Proxy
from tests.support.worlds import Producer

NOW = 1_900_000_000_000_000_000


def test_results_stand_in_the_order_of_the_tasks(client: Producer) -> None:
    tasks = [
        Task("t", task_id="a", unique=1000),
        Task("t", task_id="b", unique=1000),
        Task("t", b"1", task_id="a"),
        "no task",
        Task("t", task_id="c", group="g"),
        Task("t", task_id="d", process_in=60),
        Task("t", task_id="a", queue="other"),
    ]

    results = client.enqueue_many(tasks)  # type: ignore[arg-type]

    assert [type(result.error) for result in results] == [
        type(None),
        DuplicateTaskError,
        TaskIDConflictError,
        ConfigError,
        type(None),
        type(None),
        type(None),
    ]
    assert [result.info.state if result.info else None for result in results] == [
        "pending",
        None,
        None,
        None,
        "aggregating",
        "scheduled",
        "pending",
    ]
    assert [result.info.id for result in results if result.info] == ["a", "c", "d", "a"]


def test_options_of_the_call_are_for_all_tasks(client: Producer, database: redis.Redis) -> None:
    client.enqueue_many([Task("t", queue="x"), Task("u")], queue="bulk", max_retry=3)

    assert database.smembers("asynq:queues") == {b"bulk"}
    for task_id in pending(database, "bulk"):
        assert decode(task_hash(database, "bulk", task_id)["msg"]).retry == 3


def test_no_tasks_are_no_results(client: Producer, database: redis.Redis) -> None:
    assert client.enqueue_many([]) == []
    assert dump(database) == {}


def test_tasks_may_come_from_a_generator(client: Producer, database: redis.Redis) -> None:
    def tasks() -> Iterator[Task]:
        for task_id in "abc":
            yield Task("t", task_id=task_id)

    client.enqueue_many(tasks())

    assert pending(database) == ["a", "b", "c"]


@settings(max_examples=40)
@given(tasks=st.lists(strategies.few_tasks(), max_size=12))
def test_a_batch_is_as_good_as_one_enqueueing_after_another(
    session_server: RedisServer,
    connect_raw: Callable[..., redis.Redis],
    connect: Callable[..., Producer],
    tasks: list[Task],
) -> None:
    session_server.command("FLUSHALL")
    one_by_one = connect(session_server.url_for(1), clock=FixedClock(NOW))
    at_once = connect(session_server.url_for(2), clock=FixedClock(NOW))

    expected: list[Any] = []
    for task in tasks:
        try:
            expected.append(one_by_one.enqueue(task))
        except AsynqError as error:
            expected.append((type(error), str(error)))
    results = at_once.enqueue_many(tasks)

    assert [
        result.info or (type(result.error), str(result.error)) for result in results
    ] == expected
    assert dump(connect_raw(session_server, 2)) == dump(connect_raw(session_server, 1))
    one_by_one.close()
    at_once.close()


def test_thousands_of_tasks_over_several_queues_keep_their_order(
    client: Producer, database: redis.Redis
) -> None:
    queues = [f"q{number}" for number in range(4)]
    tasks = [Task("t", task_id=str(i), queue=queues[i % 4]) for i in range(5000)]

    results = client.enqueue_many(tasks)

    assert [result.info.id for result in results if result.info] == [str(i) for i in range(5000)]
    for number, queue in enumerate(queues):
        assert pending(database, queue) == [str(i) for i in range(number, 5000, 4)]
    # The first chunks of each queue are small, and its last may be.
    assert times_called(database, "evalsha") <= 5000 // CHUNK_TASKS + 4 * 3
    assert times_called(database, "sadd") == 4


def test_a_key_of_a_wrong_type_refuses_its_own_tasks_only(
    client: Producer, database: redis.Redis
) -> None:
    database.set("asynq:{default}:scheduled", "a string")
    tasks = [
        Task("t", task_id="a"),
        Task("t", task_id="b", process_in=60, unique=1000),
        Task("t", task_id="c", unique=1000),
    ]

    results = client.enqueue_many(tasks)

    assert [result.ok for result in results] == [True, False, True]
    assert isinstance(results[1].error, RejectedError)
    assert results[1].error.code == "WRONGTYPE"
    assert pending(database) == ["a", "c"]
    assert not database.exists("asynq:{default}:t:b")


@pytest.mark.parametrize("size", [1 << 20, 3 << 20])
def test_large_payloads_travel_in_batches_too(
    client: Producer, database: redis.Redis, size: int
) -> None:
    payloads = [bytes([number]) * size for number in range(3)]

    results = client.enqueue_many(
        Task("t", payload, task_id=str(n)) for n, payload in enumerate(payloads)
    )

    assert all(result.ok for result in results)
    for number, payload in enumerate(payloads):
        fields = task_hash(database, "default", str(number))
        assert decode(fields["msg"]).payload == payload


def test_scripts_lost_in_the_middle_of_a_batch_are_sent_again(
    proxy: Proxy, connect: Callable[..., Producer], database: redis.Redis
) -> None:
    calls: list[bytes] = []

    def flush_before_the_second_call(data: bytes) -> None:
        if b"EVALSHA" in data:
            calls.append(data)
            if len(calls) == 2:
                database.script_flush()

    client = connect(proxy.url)
    client.enqueue(Task("warm"), task_id="first")
    proxy.on_request = flush_before_the_second_call

    results = client.enqueue_many(Task("t", task_id=str(i)) for i in range(3 * CHUNK_TASKS))

    assert len(calls) > 2
    assert times_called(database, "eval") >= 1
    assert all(result.ok for result in results)
    assert pending(database) == ["first", *(str(i) for i in range(3 * CHUNK_TASKS))]


def test_a_batch_needs_no_script_loaded_before(client: Producer, database: redis.Redis) -> None:
    database.script_flush()

    results = client.enqueue_many([Task("t")])

    assert results[0].ok
