"""Putting tasks aside whose messages workers cannot use.

One message that cannot be read keeps Go's recoverer from all tasks of its queue, for as long
as its ID stands among the active ones. So the ID is taken out of whatever holds it and put
into a sorted set of ours, which Go never looks at; the task's hash stays as it is, so that
nothing is lost and its ID stays taken. docs/doctor.md says what people can do with it.

What is of no use is decided by the caller, who has read the message: here it matters only
that the task still has the same.
"""

from __future__ import annotations

from hashlib import sha1

from asynq_py.broker.names import raw
from asynq_py.broker.op import Arg, Op
from asynq_py.broker.scripts import QUARANTINE, evaluate
from asynq_py.errors import WireError
from asynq_py.wire.keys import (
    active_key,
    aggregation_sets_key,
    archived_key,
    completed_key,
    group_prefix,
    groups_key,
    lease_key,
    pending_key,
    quarantine_key,
    retry_key,
    scheduled_key,
    task_prefix,
)

_KEYS = (
    quarantine_key,
    pending_key,
    active_key,
    lease_key,
    scheduled_key,
    retry_key,
    archived_key,
    completed_key,
    groups_key,
    aggregation_sets_key,
)


def quarantine(
    queue: str, task_id: bytes, message: bytes, now_s: int, *, is_ours: bool = False
) -> Op[bool]:
    """Puts a task aside, in one moment; doing it twice changes nothing.

    Args:
        queue: Its queue; bytes that are no UTF-8 are surrogates.
        task_id: Its ID, which need not be text.
        message: What was read, and is of no use.
        now_s: Unix seconds; kept as since when.
        is_ours: Whether the caller holds the task's lease, as a worker does that has just
            taken it. Otherwise a task is left alone while a lease on it runs.

    Returns:
        Whether it is in quarantine, and nowhere else. False if it has another message or none
        by now, or a lease on it runs; nothing was changed then.

    Redis: lua/quarantine.lua, one hash slot.
    """
    keys: list[str | bytes] = [raw(task_prefix(queue)) + task_id]
    keys += [raw(key(queue)) for key in _KEYS]
    seen = sha1(message, usedforsecurity=False).hexdigest()
    args: list[Arg] = [task_id, seen, now_s, "1" if is_ours else "", raw(group_prefix(queue))]
    match (yield from evaluate(QUARANTINE, keys, args)):
        case 1:
            return True
        case 0 | -1:
            return False
        case reply:
            raise WireError(f"quarantine.lua answered {reply!r}")
