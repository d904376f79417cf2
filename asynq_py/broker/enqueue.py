"""Putting tasks into queues: now, later or in a group, with or without a lock.

Source: asynq v0.26.0, internal/rdb and client.go. Where Go leaks a lock on an ID conflict
or never lists again a queue that was removed by someone else, this does not.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

from asynq_py.broker.op import Arg, Command, Exchange, Op, Reply, call, checked
from asynq_py.broker.scripts import ENQUEUE, is_unknown_script, whole
from asynq_py.clock import NANOSECONDS
from asynq_py.errors import (
    AsynqError,
    BrokerError,
    DuplicateTaskError,
    RejectedError,
    TaskIDConflictError,
)
from asynq_py.wire.keys import (
    QUEUES,
    group_key,
    groups_key,
    pending_key,
    scheduled_key,
    task_prefix,
)
from asynq_py.wire.message import TaskMessage, TaskState, decode

#: How long a queue's entry in asynq:queues is believed to last.
ANNOUNCE_EVERY_NS = 30 * NANOSECONDS
#: What became of a task: None (stored), or why not.
Outcome: TypeAlias = AsynqError | None
#: When this process last announced a queue, Unix nanoseconds by name.
Announced: TypeAlias = dict[str, int]

# Looking a member up in its enum takes as long as the rest of a line.
_PENDING = TaskState.PENDING
_SCHEDULED = TaskState.SCHEDULED


class Draft(NamedTuple):
    """A task on its way into its queue."""

    queue: str
    task_id: str
    #: The encoded TaskMessage.
    data: bytes
    #: PENDING, SCHEDULED or AGGREGATING.
    state: TaskState
    #: When to run (SCHEDULED) or when it joins the group (AGGREGATING); Unix seconds.
    at_s: int = 0
    #: The group it joins, if AGGREGATING.
    group: str = ""
    #: The key of the uniqueness lock, "" for none, and the lock's life in seconds.
    lock: str = ""
    lock_ttl_s: int = 0

    @property
    def message(self) -> TaskMessage:
        """What ``data`` says, decoded."""
        return decode(self.data)


def enqueue(draft: Draft, *, now_ns: int, announced: Announced) -> Op[None]:
    """Stores one task.

    Raises:
        DuplicateTaskError: The lock is held. Nothing was written.
        TaskIDConflictError: The ID is taken. Nothing was written.
        BrokerError: Redis failed; ``written`` says what is known.

    Redis: lua/enqueue.lua, one hash slot; SADD asynq:queues before it, now and then.
    """
    drafts = [draft]
    command = command_for(drafts, now_ns)
    (outcome,) = yield from store(drafts, command, now_ns, announced)
    if outcome is not None:
        raise outcome


def is_announced(queue: str, now_ns: int, announced: Announced) -> bool:
    """Whether the queue was announced not long ago."""
    last = announced.get(queue)
    return last is not None and 0 <= now_ns - last < ANNOUNCE_EVERY_NS


def store(
    drafts: list[Draft], command: Command, now_ns: int, announced: Announced
) -> Op[list[Outcome]]:
    """Stores tasks of one queue by one command, and now and then announces the queue.

    Raises:
        BrokerError: None of them was stored, or ``written`` is None.
    """
    queue = drafts[0].queue
    if queue not in announced:
        # As in Go: a queue that cannot be announced gets no tasks.
        try:
            yield from call("SADD", QUEUES, queue)
        except BrokerError as error:
            error.written = False
            raise
        announced[queue] = now_ns
    if not is_announced(queue, now_ns, announced):
        # Somebody may have removed the queue meanwhile; Go would never list it again.
        announced.pop(queue, None)
        reply, stored = yield Exchange([("SADD", QUEUES, queue), command])
        if not isinstance(reply, AsynqError):
            announced[queue] = now_ns
    else:
        (stored,) = yield Exchange([command])
    if is_unknown_script(stored):
        (stored,) = yield Exchange([whole(ENQUEUE, command)])
    return outcomes(drafts, checked(stored))


def outcomes(drafts: list[Draft], codes: Reply) -> list[Outcome]:
    """What became of the tasks of a chunk, from the script's reply."""
    if not isinstance(codes, list) or len(codes) != len(drafts):
        raise BrokerError(f"enqueue.lua answered {codes!r} for {len(drafts)} tasks")
    return [
        None if code == 1 else _refusal(draft, code)
        for draft, code in zip(drafts, codes, strict=True)
    ]


def command_for(drafts: Sequence[Draft], now_ns: int) -> Command:
    """The script call that stores tasks of one queue."""
    queue = drafts[0].queue
    keys = [pending_key(queue)]
    args: list[Arg] = [now_ns]
    prefix = task_prefix(queue)
    for _, task_id, data, state, at_s, group, lock, lock_ttl_s in drafts:
        keys.append(prefix + task_id)
        args += (state, lock_ttl_s or "0", task_id, data)
        if lock:
            keys.append(lock)
        if state is _PENDING:
            continue
        if state is _SCHEDULED:
            keys.append(scheduled_key(queue))
            args.append(at_s)
        else:
            keys += (group_key(queue, group), groups_key(queue))
            args += (at_s, group)
    return ENQUEUE.cached(keys, args)


def describe(draft: Draft) -> str:
    """What is tried, for messages."""
    return f'enqueue "{draft.task_id}" on "{draft.queue}"'


def _refusal(draft: Draft, code: object) -> AsynqError:
    match code:
        case 0:
            return TaskIDConflictError(
                f"{describe(draft)}: the ID is taken", queue=draft.queue, task_id=draft.task_id
            )
        case -1:
            return DuplicateTaskError(
                f'{describe(draft)}: another task holds the lock "{draft.lock}"',
                queue=draft.queue,
                task_id=draft.task_id,
            )
        case bytes():
            text = code.decode("utf-8", "replace")
            return RejectedError(f"{describe(draft)}: {text}", code=text.split(" ", 1)[0])
        case _:
            return BrokerError(f"{describe(draft)}: enqueue.lua answered {code!r}")
