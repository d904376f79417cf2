"""From a task and options to what is sent. Shared by both clients; pure.

Source: asynq v0.26.0, client.go.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from asynq_py.broker.enqueue import Draft
from asynq_py.clock import NANOSECONDS, ceil_s
from asynq_py.errors import ConfigError
from asynq_py.info import TaskInfo
from asynq_py.options import (
    DEFAULT_MAX_RETRY,
    DEFAULT_QUEUE,
    DEFAULT_TIMEOUT_S,
    Normalized,
    merge,
)
from asynq_py.task import Task
from asynq_py.wire.keys import unique_key
from asynq_py.wire.message import TaskMessage, TaskState


def prepare(
    task: Task,
    options: Normalized,
    *,
    now_ns: int,
    max_payload_size: int | None,
    headers: Mapping[str, str] | None = None,
) -> Draft:
    """What is to be stored for a task enqueued now.

    Args:
        task: What to enqueue.
        options: Those of the call; they win over the task's own.
        now_ns: Unix nanoseconds.
        max_payload_size: The most bytes a payload may have, None for no limit.
        headers: More headers, which win over the task's own.

    Raises:
        ConfigError: It is no task, or its payload is too large.
    """
    if not isinstance(task, Task):
        raise ConfigError(f"only a Task can be enqueued, not {type(task).__name__}")
    payload = task._payload
    if max_payload_size is not None and payload is not None and len(payload) > max_payload_size:
        raise ConfigError(
            f"the payload of {task.type!r} has {len(payload)} bytes;"
            f" max_payload_size allows {max_payload_size}"
        )
    option = merge(task._options, options)
    message = TaskMessage(
        type=task._type,
        payload=payload or b"",
        id=option.get("task_id") or new_task_id(),
        queue=option.get("queue", DEFAULT_QUEUE),
        retry=option.get("max_retry", DEFAULT_MAX_RETRY),
        timeout=DEFAULT_TIMEOUT_S,
    )
    if task._headers:
        message.headers.update(task._headers)
    if headers:
        message.headers.update(headers)
    if not option:
        return Draft(message, TaskState.PENDING)
    return _apply(option, message, payload, now_ns)


def _apply(option: Normalized, message: TaskMessage, payload: bytes | None, now_ns: int) -> Draft:
    """The rarer options."""
    deadline_s = option.get("deadline", 0)
    timeout_s = option.get("timeout", 0)
    if timeout_s or deadline_s:
        message.timeout = timeout_s
        message.deadline = deadline_s
    if retention_s := option.get("retention"):
        message.retention = retention_s
    group = option.get("group")
    if group:
        message.group_key = group

    process_ns = now_ns
    if (process_in_ns := option.get("process_in")) is not None:
        process_ns = now_ns + process_in_ns
    elif (process_at_ns := option.get("process_at")) is not None:
        process_ns = process_at_ns

    lock_ttl_s = 0
    if unique_ns := option.get("unique"):
        message.unique_key = unique_key(message.queue, message.type, payload)
        # The lock of a task that waits outlives its waiting.
        lock_ttl_s = ceil_s(max(0, process_ns - now_ns) + unique_ns)

    if process_ns > now_ns:
        return Draft(message, TaskState.SCHEDULED, ceil_s(process_ns), lock_ttl_s)
    if group:
        return Draft(message, TaskState.AGGREGATING, now_ns // NANOSECONDS, lock_ttl_s)
    return Draft(message, TaskState.PENDING, 0, lock_ttl_s)


def task_info(draft: Draft, now_ns: int) -> TaskInfo:
    """What the caller is shown of a task that was stored at ``now_ns``."""
    next_process_ns = 0
    if draft.state is TaskState.PENDING:
        next_process_ns = now_ns
    elif draft.state is TaskState.SCHEDULED:
        next_process_ns = draft.at_s * NANOSECONDS
    return TaskInfo(draft.message, draft.state, next_process_ns=next_process_ns)


def new_task_id() -> str:
    """A random UUID (version 4) in its usual form; a third of the time of str(uuid4())."""
    digits = os.urandom(16).hex()
    variant = "89ab"[int(digits[16], 16) & 3]
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:]}"


def check_limit(max_payload_size: int | None) -> int | None:
    """A limit that is a positive number of bytes, or None."""
    if max_payload_size is None:
        return None
    if not isinstance(max_payload_size, int) or max_payload_size < 0:
        raise ConfigError(
            f"max_payload_size must be a number of bytes or None, not {max_payload_size!r}"
        )
    return max_payload_size
