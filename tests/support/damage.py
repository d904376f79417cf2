"""Damage for the doctor to find: tasks as Go leaves them, and ways to look and mend."""

from __future__ import annotations

import time
from typing import Any

import redis

from asynq_py.doctor import Doctor, Finding
from asynq_py.doctor.finding import KINDS
from asynq_py.wire.message import TaskMessage, encode

Q = "asynq:{q}:"
SET_ID = "0b5f6d1e-7f1c-4b8e-9d3a-0123456789ab"
#: What the servers of these tests are like: nothing is saved.
OF_THE_SERVER = {"no-persistence"}


def look(doctor: Doctor, **arguments: Any) -> list[Finding]:  # noqa: ANN401
    """What is found, but for what these servers are like."""
    found = list(doctor.examine(**arguments))
    assert all(finding.code in KINDS and finding.what and finding.why for finding in found)
    return [finding for finding in found if finding.code not in OF_THE_SERVER]


def codes(doctor: Doctor, **arguments: Any) -> list[str]:  # noqa: ANN401
    return sorted(finding.code for finding in look(doctor, **arguments))


def mend(doctor: Doctor, code: str, number: int = 1) -> list[Finding]:
    """Sees damage found, mended, and gone; returns what was found."""
    found = look(doctor)
    assert [finding.code for finding in found] == [code] * number
    assert doctor.fix_all(found) == [True] * number
    assert look(doctor) == []
    assert doctor.fix_all(found) == [False] * number, "it is mended once"
    return found


def put(
    database: redis.Redis,
    task_id: str,
    state: str,
    place: str | None = None,
    *,
    score: float | None = None,
    queue: str = "q",
    **fields: str,
) -> None:
    """A task as Go leaves it in a state; ``place`` is "" for none."""
    prefix = f"asynq:{{{queue}}}:"
    unique = fields.get("unique_key", "")
    message = TaskMessage(
        type="t", id=task_id, queue=queue, retry=25, timeout=1800, unique_key=unique
    )
    database.sadd("asynq:queues", queue)
    database.hset(f"{prefix}t:{task_id}", mapping={"msg": encode(message), "state": state})
    if fields:
        database.hset(f"{prefix}t:{task_id}", mapping=fields)  # type: ignore[arg-type]
    place = state if place is None else place
    if place in ("pending", "active"):
        database.lpush(prefix + place, task_id)
        if place == "active":
            database.zadd(prefix + "lease", {task_id: int(time.time()) + 30})
    elif place:
        database.zadd(prefix + place, {task_id: int(score or time.time() + 60)})
        if place.startswith("g:") and place.count(":") == 1:
            database.sadd(prefix + "groups", place[2:])


def dequeue(database: redis.Redis, queue: str = "q") -> bytes | None:
    """What rdb.Dequeue of asynq v0.26.0 does, step by step."""
    prefix = f"asynq:{{{queue}}}:"
    task_id = database.rpoplpush(prefix + "pending", prefix + "active")
    if task_id is None:
        return None
    key = f"{prefix}t:{task_id.decode()}"
    database.hset(key, "state", "active")
    database.hdel(key, "pending_since")
    database.zadd(prefix + "lease", {task_id: int(time.time()) + 30})
    return database.hget(key, "msg")
