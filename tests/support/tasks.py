"""Tasks of one queue, stored in each state as Asynq does; what is left of them; ways to damage
them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import TypeVar

import pytest
import redis

from asynq_py import TaskState
from asynq_py.broker.op import Op, Reply, Request, run
from asynq_py.broker.scripts import Script
from asynq_py.broker.steering import CHUNK_TASKS
from asynq_py.connection.sync import Connection
from asynq_py.wire.message import decode, encode, encode_new
from tests.support.database import dump

T = TypeVar("T")

QUEUE = "q"
GROUP = "g:1"
PREFIX = f"asynq:{{{QUEUE}}}:"
NOW_S = 1_900_000_000
NOW = datetime.fromtimestamp(NOW_S, UTC)
#: More than two chunks.
MANY = 2 * CHUNK_TASKS + 7

LISTS = ("pending", "active")
STATES = tuple(TaskState)
#: Where each kind of bulk action may be asked for.
BULK = {
    "run_all": ("scheduled", "retry", "archived", "completed", "aggregating"),
    "archive_all": ("pending", "scheduled", "retry", "completed", "aggregating"),
    "delete_all": ("pending", "scheduled", "retry", "archived", "completed", "aggregating"),
}
#: What each leaves a task as.
TARGETS = {"run": "pending", "archive": "archived", "delete": ""}

states = pytest.mark.parametrize("state", STATES, ids=str)
bulk = pytest.mark.parametrize(
    ("call", "state"), [(call, state) for call, found in BULK.items() for state in found]
)


def place(state: str) -> str:
    """The key of the tasks of a state."""
    return f"{PREFIX}g:{GROUP}" if state == "aggregating" else f"{PREFIX}{state}"


def group_of(state: str) -> str | None:
    return GROUP if state == "aggregating" else None


def message(task_id: str, **fields: object) -> bytes:
    """An encoded task message."""
    made = decode(encode_new("t", b"p", task_id, QUEUE, 25, 1800))
    for name, value in fields.items():
        setattr(made, name, value)
    return encode(made)


def put(database: redis.Redis, state: str, *ids: str, start: int = 0, score: float = NOW_S) -> None:
    """Stores tasks of a state as Asynq does, all in one pipeline."""
    with database.pipeline(transaction=False) as pipeline:
        pipeline.sadd("asynq:queues", QUEUE)
        for number, task_id in enumerate(ids, start):
            fields: dict[str, str | bytes] = {"msg": message(task_id), "state": state}
            if state == "aggregating":
                fields |= {"msg": message(task_id, group_key=GROUP), "group": GROUP}
            pipeline.hset(f"{PREFIX}t:{task_id}", mapping=fields)
            if state in LISTS:
                pipeline.lpush(place(state), task_id)
            else:
                pipeline.zadd(place(state), {task_id: score + number})
        if state == "aggregating":
            pipeline.sadd(f"{PREFIX}groups", GROUP)
        pipeline.execute()


def ids(count: int) -> list[str]:
    """Task IDs whose order is that of their numbers."""
    return [f"t{number:05}" for number in range(count)]


def left_of(database: redis.Redis, state: str) -> list[str]:
    """The IDs of the tasks of a state, the next one first."""
    if state in LISTS:
        return [task_id.decode() for task_id in database.lrange(place(state), 0, -1)][::-1]
    return [task_id.decode() for task_id in database.zrange(place(state), 0, -1)]


def hashes(database: redis.Redis) -> set[str]:
    """The IDs of all tasks that have a hash."""
    return {key.decode().split(":t:")[1] for key in database.scan_iter(f"{PREFIX}t:*", count=5000)}


@contextlib.contextmanager
def unchanged(database: redis.Redis) -> Iterator[None]:
    """Nothing changes in the whole database."""
    before = dump(database)
    yield
    assert dump(database) == before


def no_hash(database: redis.Redis, key: str) -> None:
    database.delete(key)


def no_message(database: redis.Redis, key: str) -> None:
    database.hdel(key, "msg")


def garbage(database: redis.Redis, key: str) -> None:
    database.hset(key, "msg", b"\xff\xff\xff")


def wrong_type(database: redis.Redis, key: str) -> None:
    database.delete(key)
    database.rpush(key, "x")


def interrupted(url: str, op: Op[T], script: Script, meanwhile: Callable[[], object]) -> T:
    """Runs an operation; each time before it runs a script, something else happens."""

    def send(request: Request) -> list[Reply]:
        if script.sha in str(request):
            meanwhile()
        return connection.run(_sent(request))

    connection = Connection(url)
    try:
        return run(op, send)
    finally:
        connection.close()


def _sent(request: Request) -> Op[list[Reply]]:
    return (yield request)
