"""Tasks in states that only workers lead to, written as they leave them."""

from __future__ import annotations

from typing import Any

import redis

from asynq_py.wire.keys import (
    QUEUES,
    active_key,
    completed_key,
    group_key,
    groups_key,
    lease_key,
    pending_key,
    queue_prefix,
    task_key,
)
from asynq_py.wire.message import TaskMessage, TaskState, encode


def put(
    database: redis.Redis,
    state: TaskState | str,
    task_id: str,
    *,
    queue: str = "default",
    score: int = 0,
    group: str = "",
    result: bytes = b"",
    **fields: Any,  # noqa: ANN401
) -> None:
    """Writes a task; ``fields`` are those of its message, ``score`` is when it is due (or
    failed, or expires), or until when it is leased."""
    message = TaskMessage(
        **{"id": task_id, "queue": queue, "type": "t", "retry": 25, "group_key": group} | fields
    )
    hash_: dict[str, bytes | str] = {"msg": encode(message), "state": str(state)}
    if result:
        hash_["result"] = result
    if group:
        hash_["group"] = group
    database.sadd(QUEUES, queue)
    database.hset(task_key(queue, task_id), mapping=hash_)  # type: ignore[arg-type]
    match state:
        case "pending":
            database.lpush(pending_key(queue), task_id)
        case "active":
            database.lpush(active_key(queue), task_id)
            database.zadd(lease_key(queue), {task_id: score})
        case "completed":
            database.zadd(completed_key(queue), {task_id: score})
        case "aggregating":
            database.sadd(groups_key(queue), group)
            database.zadd(group_key(queue, group), {task_id: score})
        case _:
            database.zadd(f"{queue_prefix(queue)}{state}", {task_id: score})
