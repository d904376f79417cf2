"""Uniqueness locks: deleting frees them, moving keeps them."""

from __future__ import annotations

import pytest
import redis

from asynq_py import Client, Inspector, Task
from asynq_py.testing.redis_server import RedisServer
from tests.support.database import content
from tests.support.tasks import GROUP, PREFIX, QUEUE, group_of, hashes

#: How unique tasks are enqueued, and the state that they wait in.
UNIQUE = [
    ("pending", {}),
    ("scheduled", {"process_in": 3600}),
    ("aggregating", {"group": GROUP}),
]
unique = pytest.mark.parametrize(("state", "options"), UNIQUE)


@pytest.mark.parametrize("at_once", [False, True])
@pytest.mark.parametrize("name", ["t", "a long name " * 20])
@unique
def test_deleting_frees_the_lock(
    inspector: Inspector,
    database: redis.Redis,
    server: RedisServer,
    state: str,
    options: dict[str, object],
    name: str,
    at_once: bool,
) -> None:
    task = Task(name, {"n": 1})
    with Client(server.url) as client:
        client.enqueue(task, queue=QUEUE, task_id="a", unique=3600, **options)  # type: ignore[arg-type]
        assert len(database.keys(f"{PREFIX}unique:*")) == 1

        if at_once:
            assert inspector.delete_all(QUEUE, state, group=group_of(state)) == 1
        else:
            inspector.delete_task(QUEUE, "a")

        assert content(database) == {"asynq:queues": {QUEUE.encode()}}
        client.enqueue(task, queue=QUEUE, task_id="b", unique=3600, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("at_once", [False, True])
@unique
def test_deleting_frees_no_lock_of_another_task(
    inspector: Inspector,
    database: redis.Redis,
    server: RedisServer,
    state: str,
    options: dict[str, object],
    at_once: bool,
) -> None:
    with Client(server.url) as client:
        client.enqueue(Task("t"), queue=QUEUE, task_id="a", unique=3600, **options)  # type: ignore[arg-type]
        (lock,) = database.keys(f"{PREFIX}unique:*")
        database.set(lock, "another", ex=3600)

        if at_once:
            inspector.delete_all(QUEUE, state, group=group_of(state))
        else:
            inspector.delete_task(QUEUE, "a")

    assert database.get(lock) == b"another"
    assert hashes(database) == set()


@pytest.mark.parametrize(
    ("call", "state", "options"),
    [("run_all", *UNIQUE[1]), ("run_all", *UNIQUE[2]), *(("archive_all", *u) for u in UNIQUE)],
)
def test_moving_keeps_the_lock(
    inspector: Inspector,
    database: redis.Redis,
    server: RedisServer,
    state: str,
    options: dict[str, object],
    call: str,
) -> None:
    with Client(server.url) as client:
        client.enqueue(Task("t"), queue=QUEUE, task_id="a", unique=3600, **options)  # type: ignore[arg-type]
    locks = database.keys(f"{PREFIX}unique:*")

    getattr(inspector, call)(QUEUE, state, group=group_of(state))

    assert len(locks) == 1
    assert database.get(locks[0]) == b"a"
