"""From a task and options to what is sent. Shared by both clients; pure.

Source: asynq v0.26.0, client.go.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping

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

#: A hexadecimal digit with its two upper bits set to 10, as RFC 9562 asks for.
_VARIANT = {digit: "89ab"[int(digit, 16) & 3] for digit in "0123456789abcdef"}


def prepare(
    task: Task,
    options: Normalized,
    *,
    now_ns: int,
    max_payload_size: int | None,
    headers: Mapping[str, str] | None = None,
    task_id: str | None = None,
) -> Draft:
    """What is to be stored for a task enqueued now.

    Args:
        task: What to enqueue.
        options: Those of the call; they win over the task's own.
        now_ns: Unix nanoseconds.
        max_payload_size: The most bytes a payload may have, None for no limit.
        headers: More headers, which win over the task's own.
        task_id: For a task whose options name none; a random one by default.

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
    option = merge(task._options, options) if options else task._options
    message = TaskMessage(
        type=task._type,
        payload=payload or b"",
        id=option.get("task_id") or task_id or new_task_id(),
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
    (task_id,) = new_task_ids(1)
    return task_id


def new_task_ids(count: int) -> Iterator[str]:
    """Random UUIDs (version 4), drawn from the system at once."""
    digits = os.urandom(16 * count).hex()
    for i in range(0, 32 * count, 32):
        yield (
            f"{digits[i : i + 8]}-{digits[i + 8 : i + 12]}-4{digits[i + 13 : i + 16]}"
            f"-{_VARIANT[digits[i + 16]]}{digits[i + 17 : i + 20]}-{digits[i + 20 : i + 32]}"
        )


def check_limit(max_payload_size: int | None) -> int | None:
    """A limit that is a positive number of bytes, or None."""
    if max_payload_size is None:
        return None
    if not isinstance(max_payload_size, int) or max_payload_size < 0:
        raise ConfigError(
            f"max_payload_size must be a number of bytes or None, not {max_payload_size!r}"
        )
    return max_payload_size
