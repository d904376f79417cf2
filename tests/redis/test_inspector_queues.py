"""Queues and their groups: paused, emptied, deleted."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
import redis

from asynq_py import (
    Client,
    Inspector,
    QueueNotEmptyError,
    QueueNotFoundError,
    QueueStateError,
    Task,
    TaskState,
)
from asynq_py.broker.steering import CHUNK_TASKS
from asynq_py.testing.redis_server import RedisServer
from tests.support.database import content
from tests.support.tasks import (
    GROUP,
    NOW_S,
    PREFIX,
    QUEUE,
    STATES,
    ids,
    message,
    put,
    states,
    unchanged,
)


def test_a_queue_is_paused_once_and_resumed_once(
    inspector: Inspector, database: redis.Redis
) -> None:
    put(database, "pending", "a")
    with unchanged(database), pytest.raises(QueueStateError):
        inspector.unpause_queue(QUEUE)

    inspector.pause_queue(QUEUE)

    assert inspector.queue_info(QUEUE).paused
    assert inspector.queue_sizes([QUEUE])[0].paused
    with unchanged(database), pytest.raises(QueueStateError) as caught:
        inspector.pause_queue(QUEUE)
    assert caught.value.queue == QUEUE
    inspector.unpause_queue(QUEUE)
    assert not inspector.queue_info(QUEUE).paused


@pytest.mark.parametrize("call", ["run", "archive", "delete"])
def test_a_group_that_is_emptied_is_no_group_any_more(
    inspector: Inspector, database: redis.Redis, call: str
) -> None:
    put(database, "aggregating", "a", "b")
    database.sadd(f"{PREFIX}groups", "other")
    database.zadd(f"{PREFIX}g:other", {"x": 1})

    act = getattr(inspector, f"{call}_task")
    act(QUEUE, "a")
    assert database.smembers(f"{PREFIX}groups") == {GROUP.encode(), b"other"}
    act(QUEUE, "b")

    assert database.smembers(f"{PREFIX}groups") == {b"other"}
    assert [group.group for group in inspector.groups(QUEUE)] == ["other"]


@pytest.mark.parametrize("force", [False, True])
@states
def test_a_queue_with_tasks_is_not_deleted_and_with_active_ones_not_even_by_force(
    inspector: Inspector, database: redis.Redis, state: TaskState, force: bool
) -> None:
    put(database, state, "a")
    if force and state != "active":
        inspector.delete_queue(QUEUE, force=True)
        assert content(database) == {}
        return

    with unchanged(database), pytest.raises(QueueNotEmptyError) as caught:
        inspector.delete_queue(QUEUE, force=force)

    assert caught.value.queue == QUEUE
    with pytest.raises(QueueNotFoundError):
        inspector.delete_queue("nowhere", force=force)


@pytest.mark.parametrize("force", [False, True])
def test_an_empty_queue_leaves_nothing_behind(
    inspector: Inspector, database: redis.Redis, force: bool
) -> None:
    today = datetime.now(UTC).date()
    database.sadd("asynq:queues", QUEUE, "other")
    database.set("asynq:{other}:processed", 1)
    for counter in ("processed", "failed"):
        database.set(PREFIX + counter, 7)
        for days in (0, 1, 89, 90):
            database.set(f"{PREFIX}{counter}:{today - timedelta(days)}", 7)
    database.set(f"{PREFIX}paused", 1)
    database.hset(f"{PREFIX}py:ticks", "entry", "1 1 id")
    database.hset(f"{PREFIX}py:terms", "group", 1)
    before = content(database)

    if force:
        put(database, "pending", "a")
    inspector.delete_queue(QUEUE, force=force)

    assert content(database) == {
        "asynq:queues": {b"other"},
        "asynq:{other}:processed": before["asynq:{other}:processed"],
    }


def test_a_queue_full_of_tasks_leaves_nothing_behind(
    inspector: Inspector, database: redis.Redis, server: RedisServer
) -> None:
    full = [state for state in STATES if state != "active"]
    for state in full:
        put(database, state, *(f"{state}-{name}" for name in ids(CHUNK_TASKS + 2)))
    # What is being aggregated: such sets are groups whose names have one more part.
    held = f"{PREFIX}g:{GROUP}:some-uuid"
    for name in ids(CHUNK_TASKS + 1):
        database.hset(
            f"{PREFIX}t:{name}",
            mapping={"msg": message(name), "state": "aggregating", "group": GROUP},
        )
    database.zadd(held, dict.fromkeys(ids(CHUNK_TASKS + 1), NOW_S))
    database.zadd(f"{PREFIX}aggregation_sets", {held: NOW_S})
    with Client(server.url) as client:
        client.enqueue(Task("t"), queue=QUEUE, unique=3600)
        client.enqueue(Task("u"), queue=QUEUE, unique=3600, group="other")
    total = len(full) * (CHUNK_TASKS + 2) + CHUNK_TASKS + 1 + 2
    told: list[int] = []

    inspector.delete_queue(QUEUE, force=True, progress=told.append)

    assert content(database) == {}
    assert told == sorted(told)
    assert told[-1] == total
    assert inspector.queues() == []


def test_a_group_whose_name_is_no_text_is_deleted_with_its_queue(
    inspector: Inspector, database: redis.Redis
) -> None:
    group = b"\xff\\xff\xc3"
    put(database, "aggregating", "a", "b")
    for task_id in ("c", "d"):
        fields = {"msg": message(task_id), "state": "aggregating", "group": group}
        database.hset(f"{PREFIX}t:{task_id}", mapping=fields)
    database.sadd(f"{PREFIX}groups", group, b"empty\xff")
    held = f"{PREFIX}g:".encode() + group + b":some-uuid"
    database.zadd(held.removesuffix(b":some-uuid"), {"c": 1})
    database.zadd(held, {"d": 1})
    database.zadd(f"{PREFIX}aggregation_sets", {held: NOW_S})
    told: list[int] = []

    inspector.delete_queue(QUEUE, force=True, progress=told.append)

    assert content(database) == {}
    assert told[-1] == 4


#: Braces say which part of a key decides on its slot of a cluster.
BRACES = ("}", "{", "a}b", "}a{", "{{}}", "a}:b")


@pytest.mark.parametrize("queue", BRACES)
def test_a_queue_may_have_braces_in_its_name(
    inspector: Inspector, database: redis.Redis, server: RedisServer, queue: str
) -> None:
    with Client(server.url) as client:
        for task_id in "abc":
            client.enqueue(Task("t"), queue=queue, task_id=task_id)
            client.enqueue(Task("g"), queue=queue, task_id=f"g{task_id}", group=GROUP)
            client.enqueue(
                Task("s", task_id), queue=queue, task_id=f"s{task_id}", process_in=60, unique=60
            )

    assert inspector.queues() == [queue]
    assert [(group.group, group.size) for group in inspector.groups(queue)] == [(GROUP, 3)]
    inspector.run_task(queue, "sa")
    inspector.archive_task(queue, "ga")
    inspector.update_payload(queue, "sb", b"new")
    assert inspector.archive_all(queue, "scheduled") == 2
    inspector.delete_task(queue, "sc")
    assert [task.id for task in inspector.iter_tasks(queue, "pending")] == ["a", "b", "c", "sa"]
    info = inspector.queue_info(queue)
    assert (info.size, info.aggregating, info.archived, info.memory_usage > 0) == (8, 2, 2, True)
    inspector.pause_queue(queue)
    inspector.delete_queue(queue, force=True)
    assert content(database) == {}
