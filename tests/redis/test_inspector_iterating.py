"""Going through all tasks of a state."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
import redis

from asynq_py import AsyncInspector, ConfigError, Inspector
from asynq_py.inspector.sync import ITER_TASKS
from asynq_py.testing.redis_server import RedisServer
from tests.support.tasks import NOW, NOW_S, PREFIX, QUEUE, ids, message, place, put


@pytest.mark.parametrize("count", [0, 1, ITER_TASKS - 1, ITER_TASKS, 2 * ITER_TASKS + 1])
def test_all_tasks_are_iterated_over(
    inspector: Inspector, database: redis.Redis, count: int
) -> None:
    database.sadd("asynq:queues", QUEUE)
    put(database, "retry", *ids(count))

    assert [task.id for task in inspector.iter_tasks(QUEUE, "retry")] == ids(count)


def test_tasks_are_iterated_over_by_type_error_and_age(
    inspector: Inspector, database: redis.Redis
) -> None:
    put(database, "retry", *"abcd")
    fields = {
        "a": {"type": "email:send", "error_msg": "Connection refused", "last_failed_at": NOW_S},
        "b": {"type": "email:open", "error_msg": "timed out", "last_failed_at": NOW_S + 100},
        "c": {"type": "Email:send", "error_msg": "connection reset"},
    }
    for task_id, more in fields.items():
        database.hset(f"{PREFIX}t:{task_id}", "msg", message(task_id, **more))
    database.hdel(f"{PREFIX}t:d", "msg")
    # Only what has never failed is as old as it is due.
    database.zadd(place("retry"), {"c": NOW_S - 50})

    def found(**wanted: object) -> str:
        tasks = inspector.iter_tasks(QUEUE, "retry", **wanted)  # type: ignore[arg-type]
        return "".join(sorted(task.id for task in tasks))

    assert found() == "abcd"
    assert found(type="email:*") == "ab"
    assert found(type="?mail:send") == "ac"
    assert found(type="*") == "abcd"
    assert found(error="CONNECTION") == "ac"
    assert found(error="timed", type="*open") == "b"
    assert found(older_than=NOW) == "c"
    assert found(older_than=NOW + timedelta(seconds=1)) == "ac"
    assert found(older_than=NOW + timedelta(seconds=1), error="refused") == "a"


def test_the_asyncio_one_also_refuses_when_it_is_called(server: RedisServer) -> None:
    async def ask() -> None:
        async with AsyncInspector(server.url) as inspector:
            with pytest.raises(ConfigError, match="state must be one of"):
                inspector.iter_tasks(QUEUE, "dancing")

    asyncio.run(ask())
