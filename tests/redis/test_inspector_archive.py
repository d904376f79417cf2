"""What is too much or too old in the archive goes, with all that belongs to it."""

from __future__ import annotations

import time

import pytest
import redis

from asynq_py import Client, Inspector, Task
from asynq_py.broker.steering import ARCHIVE_SIZE, CHUNK_TASKS
from asynq_py.testing.redis_server import RedisServer
from tests.support.tasks import GROUP, PREFIX, QUEUE, hashes, ids, left_of, place, put


@pytest.mark.parametrize("one_by_one", [True, False])
def test_what_is_too_much_in_the_archive_goes_with_its_hash_and_lock(
    inspector: Inspector, database: redis.Redis, server: RedisServer, one_by_one: bool
) -> None:
    # The archive is full, and the oldest in it have locks.
    with Client(server.url) as client:
        client.enqueue(Task("plain"), queue=QUEUE, task_id="plain", unique=3600)
        client.enqueue(Task("group"), queue=QUEUE, task_id="group", group=GROUP, unique=3600)
    inspector.archive_task(QUEUE, "plain")
    inspector.archive_task(QUEUE, "group")
    names = ids(ARCHIVE_SIZE - 3)
    put(database, "archived", *names)
    now = int(time.time())
    database.zadd(place("archived"), dict.fromkeys(names, now - 100))
    database.zadd(place("archived"), {"plain": now - 200, "group": now - 200})
    put(database, "scheduled", "x1", "x2", "x3")
    assert len(database.keys(f"{PREFIX}unique:*")) == 2

    if one_by_one:
        for task_id in ("x1", "x2", "x3"):
            inspector.archive_task(QUEUE, task_id)
    else:
        assert inspector.archive_all(QUEUE, "scheduled") == 3

    archived = set(left_of(database, "archived"))
    assert archived == {*names[1:], "x1", "x2", "x3"}
    assert len(archived) == ARCHIVE_SIZE - 1
    assert hashes(database) == archived
    assert database.keys(f"{PREFIX}unique:*") == []


def test_more_than_the_archive_holds_leaves_no_orphans(
    inspector: Inspector, database: redis.Redis
) -> None:
    put(database, "pending", *ids(ARCHIVE_SIZE + CHUNK_TASKS + 10))

    assert inspector.archive_all(QUEUE, "pending") == ARCHIVE_SIZE + CHUNK_TASKS + 10

    archived = left_of(database, "archived")
    assert len(archived) == ARCHIVE_SIZE - 1
    assert hashes(database) == set(archived)


def test_what_was_archived_long_ago_goes(inspector: Inspector, database: redis.Redis) -> None:
    put(database, "archived", "old", score=1000)
    put(database, "retry", "a")

    inspector.archive_task(QUEUE, "a")

    assert left_of(database, "archived") == ["a"]
    assert hashes(database) == {"a"}
