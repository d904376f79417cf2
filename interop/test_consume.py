"""What Python enqueues is consumed by an unmodified Go worker, with the same bytes."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from asynq_py import (
    JSON_SORTED,
    MSGPACK,
    AsyncClient,
    Client,
    DuplicateTaskError,
    Task,
    TaskIDConflictError,
    TaskState,
)
from asynq_py.testing import GoWorker, Oracle, Redis

StartWorker = Callable[..., GoWorker]

TASKS = [
    Task("plain"),
    Task("none", None),
    Task("bytes", bytes(range(256))),
    Task("large", b"x" * 2_000_000),
    Task("json", {"name": "Zoë <ü> & 😀\u2028", "n": [1, 2.5, 1e21, None, True]}),
    Task("sorted", {"b": 1, "a": {"d": 1, "c": 2}}, codec=JSON_SORTED),
    Task("msgpack", {"a": [1, b"\x00"]}, codec=MSGPACK),
    Task("headers", b"h", headers={"traceparent": "00-ab", "ü": "", "": "x"}),
    Task("ünïcode:类型", b"u"),
]


def test_go_gets_the_same_bytes(
    worker: StartWorker, redis_url: str, subtests: pytest.Subtests
) -> None:
    consumer = worker()
    with Client(redis_url) as client:
        sent = {client.enqueue(task).id: task for task in TASKS}
        sent |= {
            result.info.id: task
            for task, result in zip(TASKS, client.enqueue_many(TASKS), strict=True)
            if result.info
        }
    assert len(sent) == 2 * len(TASKS)

    consumed = consumer.wait_for(len(sent))

    assert sorted(task.id for task in consumed) == sorted(sent)
    for task in consumed:
        with subtests.test(type=task.type):
            original = sent[task.id]
            assert task.type == original.type
            assert task.payload == (original.payload or b"")
            assert task.headers == dict(original.headers)
            assert (task.queue, task.retried, task.max_retry) == ("default", 0, 25)


def test_go_gets_what_an_asyncio_producer_enqueues_at_once(
    worker: StartWorker, redis_url: str
) -> None:
    consumer = worker(queues={"bulk": 1})

    async def produce() -> list[str]:
        async with AsyncClient(redis_url) as client:
            infos = await asyncio.gather(
                *(client.enqueue(Task("n", {"n": n}), queue="bulk") for n in range(500))
            )
        return [info.id for info in infos]

    ids = asyncio.run(produce())
    consumed = consumer.wait_for(500)

    assert {task.id: task.json()["n"] for task in consumed} == {
        task_id: n for n, task_id in enumerate(ids)
    }


def test_a_deferred_task_is_never_early(worker: StartWorker, redis_url: str) -> None:
    consumer = worker()
    with Client(redis_url) as client:
        by_span = client.enqueue(Task("in"), process_in=1.2)
        moment = datetime.now(UTC) + timedelta(seconds=1.4)
        by_moment = client.enqueue(Task("at"), process_at=moment)
        asked = {by_span.id: datetime.now(UTC) + timedelta(seconds=1.1), by_moment.id: moment}
    assert by_span.state is by_moment.state is TaskState.SCHEDULED

    consumed = consumer.wait_for(2)

    for task in consumed:
        assert datetime.fromtimestamp(task.at_ns / 1e9, UTC) >= asked[task.id]


def test_a_unique_task_may_come_again_once_go_has_done_it(
    worker: StartWorker, redis_url: str
) -> None:
    with Client(redis_url) as client:
        first = client.enqueue(Task("once", b"1"), unique=600)
        with pytest.raises(DuplicateTaskError):
            client.enqueue(Task("once", b"1"), unique=600)
        other = client.enqueue(Task("once", b"2"), unique=600)

        consumer = worker()
        assert {t.id for t in consumer.wait_for(2)} == {first.id, other.id}
        consumer.stop()

        again = client.enqueue(Task("once", b"1"), unique=600)
    assert again.id != first.id


def test_python_respects_the_lock_of_a_go_producer(
    oracle: Oracle, redis_server: Redis, redis_url: str
) -> None:
    payload = base64.b64encode(b'{"user_id":42,"note":"\\u003cb\\u003e"}').decode()
    oracle.enqueue(redis_server, {"type": "mail", "payload": payload}, unique_ms=60_000)

    with Client(redis_url) as client, pytest.raises(DuplicateTaskError):
        client.enqueue(Task("mail", {"user_id": 42, "note": "<b>"}), unique=60)


def test_go_aggregates_the_tasks_of_a_group(worker: StartWorker, redis_url: str) -> None:
    with Client(redis_url) as client:
        results = client.enqueue_many(
            [Task("event", {"n": n}, unique=60) for n in range(5)], group="g:1", queue="events"
        )
        assert all(result.info and result.info.state == "aggregating" for result in results)

    consumer = worker(queues={"events": 1}, group_grace=1, group_max_size=5)
    (merged,) = consumer.wait_for(1)

    assert merged.type == "aggregated:g:1"
    members = [json.loads(base64.b64decode(m["payload"])) for m in merged.group_tasks]
    assert sorted(member["n"] for member in members) == list(range(5))


def test_retention_and_failures_end_as_in_go(
    worker: StartWorker, oracle: Oracle, redis_server: Redis, redis_url: str
) -> None:
    consumer = worker()
    with Client(redis_url) as client:
        kept = client.enqueue(Task("result:x", b"done"), retention=3600)
        failed = client.enqueue(Task("fail:x"), max_retry=0)
        skipped = client.enqueue(Task("skip:x"), max_retry=5)
        for info in (kept, failed, skipped):
            consumer.wait_for_done(info.id)
        consumer.stop()

        states = {
            info.id: oracle.inspect(redis_server, "get_task", queue="default", id=info.id)["state"]
            for info in (kept, failed, skipped)
        }
        assert states == {kept.id: "completed", failed.id: "archived", skipped.id: "archived"}
        # A finished task that is kept still owns its ID, as in Go.
        with pytest.raises(TaskIDConflictError):
            client.enqueue(Task("again"), task_id=kept.id)


def test_go_inspector_shows_what_python_enqueued(
    oracle: Oracle, redis_server: Redis, redis_url: str
) -> None:
    moment = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=2)
    with Client(redis_url) as client:
        info = client.enqueue(
            Task("report", {"a": 1}, headers={"k": "v"}),
            queue="low",
            max_retry=7,
            timeout=90,
            deadline=moment + timedelta(hours=1),
            process_at=moment,
            retention=60,
            group="g",
        )
    assert oracle.inspect(redis_server, "queues") == ["low"]

    seen = oracle.inspect(redis_server, "get_task", queue="low", id=info.id)

    assert base64.b64decode(seen["payload"]) == info.payload == b'{"a":1}'
    assert seen["headers"] == info.headers == {"k": "v"}
    assert seen["state"] == info.state == "scheduled"
    assert (seen["max_retry"], seen["retried"]) == (info.max_retry, info.retried) == (7, 0)
    assert seen["group"] == info.group == "g"
    assert info.timeout == timedelta(milliseconds=seen["timeout_ms"]) == timedelta(seconds=90)
    assert info.retention == timedelta(milliseconds=seen["retention_ms"]) == timedelta(minutes=1)
    assert datetime.fromisoformat(seen["deadline"]) == info.deadline == moment + timedelta(hours=1)
    assert datetime.fromisoformat(seen["next_process_at"]) == info.next_process_at == moment
