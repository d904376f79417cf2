"""From a task and options to what is sent. Shared by both clients; pure.

Source: asynq v0.26.0, client.go.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from operator import itemgetter

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
from asynq_py.wire.message import TaskState, encode_new

#: Bytes 6 and 8 of a UUID, with the upper bits that RFC 9562 asks for.
_VERSION_4 = bytes(byte & 0x0F | 0x40 for byte in range(256))
_VARIANT = bytes(byte & 0x3F | 0x80 for byte in range(256))
#: The groups of digits of a UUID.
_GROUPS = itemgetter(slice(8), slice(8, 12), slice(12, 16), slice(16, 20), slice(20, 32))
# Looking a member up in its enum takes as long as the rest of a line.
_PENDING = TaskState.PENDING
_SCHEDULED = TaskState.SCHEDULED
_AGGREGATING = TaskState.AGGREGATING


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
    task_id = option.get("task_id") or task_id or new_task_id()
    if headers or task._headers:
        headers = {**task._headers, **(headers or {})}
    if option:
        return _prepare_by(option, task, task_id, headers, now_ns)
    data = encode_new(
        task._type,
        payload or b"",
        task_id,
        DEFAULT_QUEUE,
        DEFAULT_MAX_RETRY,
        DEFAULT_TIMEOUT_S,
        headers=headers,
    )
    return Draft(DEFAULT_QUEUE, task_id, data, _PENDING)


def _prepare_by(
    option: Normalized,
    task: Task,
    task_id: str,
    headers: Mapping[str, str] | None,
    now_ns: int,
) -> Draft:
    """The same for a task with options."""
    queue = option.get("queue", DEFAULT_QUEUE)
    timeout_s = option.get("timeout", 0)
    deadline_s = option.get("deadline", 0)
    if not timeout_s and not deadline_s:
        timeout_s = DEFAULT_TIMEOUT_S
    group = option.get("group", "")

    process_ns = now_ns
    if (process_in_ns := option.get("process_in")) is not None:
        process_ns = now_ns + process_in_ns
    elif (process_at_ns := option.get("process_at")) is not None:
        process_ns = process_at_ns

    lock, lock_ttl_s = "", 0
    if unique_ns := option.get("unique"):
        lock = unique_key(queue, task._type, task._payload)
        # The lock of a task that waits outlives its waiting.
        lock_ttl_s = ceil_s(max(0, process_ns - now_ns) + unique_ns)

    data = encode_new(
        task._type,
        task._payload or b"",
        task_id,
        queue,
        option.get("max_retry", DEFAULT_MAX_RETRY),
        timeout_s,
        deadline=deadline_s,
        unique_key=lock,
        retention=option.get("retention", 0),
        group=group,
        headers=headers,
    )
    if process_ns > now_ns:
        at_s = ceil_s(process_ns)
        return Draft(queue, task_id, data, _SCHEDULED, at_s, "", lock, lock_ttl_s)
    if group:
        at_s = now_ns // NANOSECONDS
        return Draft(queue, task_id, data, _AGGREGATING, at_s, group, lock, lock_ttl_s)
    return Draft(queue, task_id, data, _PENDING, 0, "", lock, lock_ttl_s)


def task_info(draft: Draft, now_ns: int) -> TaskInfo:
    """What the caller is shown of a task that was stored at ``now_ns``."""
    state = draft.state
    if state is _PENDING:
        return TaskInfo(draft.data, state, now_ns)
    return TaskInfo(draft.data, state, draft.at_s * NANOSECONDS if state is _SCHEDULED else 0)


def new_task_id() -> str:
    """A random UUID (version 4) in its usual form; a third of the time of str(uuid4())."""
    (task_id,) = new_task_ids(1)
    return task_id


def new_task_ids(count: int) -> Iterator[str]:
    """Random UUIDs (version 4), drawn from the system at once."""
    drawn = bytearray(os.urandom(16 * count))
    drawn[6::16] = drawn[6::16].translate(_VERSION_4)
    drawn[8::16] = drawn[8::16].translate(_VARIANT)
    digits = drawn.hex()
    for i in range(0, 32 * count, 32):
        yield "-".join(_GROUPS(digits[i : i + 32]))


def check_limit(max_payload_size: int | None) -> int | None:
    """A limit that is a positive number of bytes, or None."""
    if max_payload_size is None:
        return None
    if not isinstance(max_payload_size, int) or max_payload_size < 0:
        raise ConfigError(
            f"max_payload_size must be a number of bytes or None, not {max_payload_size!r}"
        )
    return max_payload_size
