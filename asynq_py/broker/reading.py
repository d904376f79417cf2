"""Looking at queues, tasks and servers; nothing is changed.

Reading is lenient: what is damaged is shown as damaged, and breaks nothing else.

Source: asynq v0.26.0, internal/rdb/inspect.go.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from asynq_py.broker.op import Arg, Command, Exchange, Op, Reply, call, checked
from asynq_py.broker.scripts import (
    LIST_TASKS,
    MEMORY_USAGE,
    QUEUE_INFO,
    READ_TASK,
    evaluate,
)
from asynq_py.clock import NANOSECONDS
from asynq_py.errors import QueueNotFoundError, RejectedError, WireError
from asynq_py.wire.keys import (
    QUEUES,
    SERVERS,
    WORKERS,
    active_key,
    archived_key,
    completed_key,
    failed_key,
    group_key,
    group_prefix,
    groups_key,
    lease_key,
    paused_key,
    pending_key,
    processed_key,
    queue_prefix,
    retry_key,
    scheduled_key,
    task_key,
    task_prefix,
)
from asynq_py.wire.message import TaskState

#: How many tasks of each state, and how many groups, the estimate of memory looks at.
SAMPLED_TASKS = 20
SAMPLED_GROUPS = 5

_KEYS = {
    TaskState.PENDING: pending_key,
    TaskState.ACTIVE: active_key,
    TaskState.SCHEDULED: scheduled_key,
    TaskState.RETRY: retry_key,
    TaskState.ARCHIVED: archived_key,
    TaskState.COMPLETED: completed_key,
}
#: States whose tasks are in a list, newest on the left; the others are in sorted sets.
LISTS = frozenset((TaskState.PENDING, TaskState.ACTIVE))


def source_key(queue: str, state: TaskState, group: str | None) -> str:
    """Where the tasks of a state are: a list or a sorted set."""
    if state is TaskState.AGGREGATING:
        return group_key(queue, group or "")
    return _KEYS[state](queue)


class RawTask(NamedTuple):
    """A task as it stands in Redis."""

    task_id: str
    #: None where there is none.
    message: bytes | None
    result: bytes | None
    #: Where one task is read: the word in its hash.
    state: bytes | None = None
    #: In a sorted set; Unix seconds.
    score: int | None = None
    #: Whether there is a hash.
    has_hash: bool = True


class RawInfo(NamedTuple):
    """A queue's numbers; see QueueInfo."""

    pending: int
    active: int
    scheduled: int
    retry: int
    archived: int
    completed: int
    processed: int
    failed: int
    processed_total: int
    failed_total: int
    paused: int
    groups: int
    aggregating: int
    #: Unix nanoseconds, 0 if that is not known.
    oldest_ns: int


def queue_names() -> Op[list[str]]:
    """The names of all queues, sorted."""
    reply = yield from call("SMEMBERS", QUEUES)
    return sorted(_text(name) for name in _items(reply))


def check_queue(queue: str) -> Op[None]:
    """Raises unless the queue exists.

    Raises:
        QueueNotFoundError: It does not.
    """
    if (yield from call("SISMEMBER", QUEUES, queue)) != 1:
        raise QueueNotFoundError(f'there is no queue "{queue}"', queue=queue)


def queue_info(queue: str, day: str) -> Op[RawInfo]:
    """The numbers of a queue; ``day`` is today, UTC."""
    yield from check_queue(queue)
    keys = [key(queue) for key in _STATE_KEYS]
    keys += [processed_key(queue, day), failed_key(queue, day), processed_key(queue)]
    keys += [failed_key(queue), paused_key(queue), groups_key(queue)]
    reply = yield from evaluate(QUEUE_INFO, keys, [task_prefix(queue), group_prefix(queue)])
    numbers = [_number(number) for number in _items(reply)]
    if len(numbers) != len(RawInfo._fields):
        raise WireError(f"queue_info.lua answered {reply!r}")
    return RawInfo._make(numbers)


_STATE_KEYS = (pending_key, active_key, scheduled_key, retry_key, archived_key, completed_key)


def queue_sizes(queues: Sequence[str]) -> Op[list[RawInfo]]:
    """The numbers of queues by commands that take the same time however much is in them: how
    many tasks are in groups, and since when the oldest waits, is not among them (0)."""
    if not queues:
        return []
    commands: list[Command] = []
    for queue in queues:
        for key in _STATE_KEYS:
            commands.append(("LLEN" if key in _LIST_KEYS else "ZCARD", key(queue)))
        commands += [("GET", processed_key(queue)), ("GET", failed_key(queue))]
        commands += [("EXISTS", paused_key(queue)), ("SCARD", groups_key(queue))]
    replies = yield Exchange(commands)
    found = []
    for start in range(0, len(replies), 10):
        numbers = [_number(checked(reply)) for reply in replies[start : start + 10]]
        found.append(RawInfo._make((*numbers[:6], 0, 0, *numbers[6:], 0, 0)))
    return found


_LIST_KEYS = (pending_key, active_key)


def memory_usage(queue: str) -> Op[int]:
    """About how many bytes a queue takes; 0 where Redis does not let us ask."""
    keys = [active_key, pending_key, scheduled_key, retry_key, archived_key, completed_key]
    args: list[Arg] = [task_prefix(queue), SAMPLED_TASKS, SAMPLED_GROUPS, group_prefix(queue)]
    try:
        names = [*(key(queue) for key in keys), groups_key(queue)]
        return _number((yield from evaluate(MEMORY_USAGE, names, args)))
    except RejectedError:
        return 0


def history(queue: str, days: Sequence[str]) -> Op[list[tuple[int, int]]]:
    """How many tasks were processed, and how many of them failed, on each day (UTC)."""
    yield from check_queue(queue)
    commands: list[Command] = []
    for day in days:
        commands += [("GET", processed_key(queue, day)), ("GET", failed_key(queue, day))]
    numbers = [_number(checked(reply)) for reply in (yield Exchange(commands))]
    return list(zip(numbers[::2], numbers[1::2], strict=True))


def groups(queue: str) -> Op[list[tuple[str, int]]]:
    """The groups of a queue, sorted by name, and how many tasks are in each."""
    names = sorted(_items((yield from call("SMEMBERS", groups_key(queue)))))
    if not names:
        return []
    prefix = group_prefix(queue).encode()
    sizes = yield Exchange([("ZCARD", prefix + name) for name in names])
    return [(_text(name), _number(checked(size))) for name, size in zip(names, sizes, strict=True)]


def list_tasks(
    queue: str, state: TaskState, group: str | None, start: int, count: int
) -> Op[list[RawTask]]:
    """A page of the tasks of a state: the next to run, or to go, first.

    Args:
        queue: Its name.
        state: Which tasks.
        group: Which group, for AGGREGATING.
        start: How many to leave out.
        count: How many to read.
    """
    yield from check_queue(queue)
    if count < 1:
        return []
    is_list = state in LISTS
    # Lists have the oldest on the right.
    first, last = (-start - count, -start - 1) if is_list else (start, start + count - 1)
    kind = "list" if is_list else "zset"
    args: list[Arg] = [kind, first, last, task_prefix(queue)]
    reply = yield from evaluate(LIST_TASKS, [source_key(queue, state, group)], args)
    items = _items(reply)
    step = 3 if is_list else 4
    ids = map(_text, items[::step])
    scores = [None] * (len(items) // 3) if is_list else map(_score, items[3::4])
    found = [
        RawTask(task_id, message, result, None, score)
        if message.__class__ is bytes
        else RawTask(task_id, None, result, None, score, message == 1)
        for task_id, message, result, score in zip(
            ids, items[1::step], items[2::step], scores, strict=True
        )
    ]
    return found[::-1] if is_list else found


def read_task(queue: str, task_id: str) -> Op[RawTask | None]:
    """One task; None where there is none."""
    yield from check_queue(queue)
    key = task_key(queue, task_id)
    reply = yield from evaluate(READ_TASK, [key], [task_id, queue_prefix(queue)])
    match reply:
        case None:
            return None
        case [bytes() | None as message, bytes() | None as state, bytes() | None as result, score]:
            has_hash = message is not None or state is not None
            known = score if isinstance(score, bytes) else None
            return RawTask(task_id, message, result, state, _score(known), has_hash)
    raise WireError(f"read_task.lua answered {reply!r}")


def expired_leases(queue: str, now_s: int) -> Op[set[str]]:
    """The IDs of active tasks whose lease is over: their worker is gone."""
    reply = yield from call("ZRANGEBYSCORE", lease_key(queue), "-inf", now_s)
    return {_text(task_id) for task_id in _items(reply)}


def list_servers(now_ns: int) -> Op[list[bytes]]:
    """The encoded ServerInfos of the servers that are alive."""
    reply = yield from call("ZRANGEBYSCORE", SERVERS, now_ns // NANOSECONDS, "+inf")
    keys = _items(reply)
    if not keys:
        return []
    replies = yield Exchange([("GET", key) for key in keys])
    return [info for reply in replies if isinstance(info := checked(reply), bytes)]


def list_workers(now_ns: int) -> Op[list[bytes]]:
    """The encoded WorkerInfos of the tasks at work."""
    reply = yield from call("ZRANGEBYSCORE", WORKERS, now_ns // NANOSECONDS, "+inf")
    keys = _items(reply)
    if not keys:
        return []
    replies = yield Exchange([("HVALS", key) for key in keys])
    return [info for reply in replies for info in _items(checked(reply))]


def _items(reply: Reply) -> list[Any]:
    if isinstance(reply, (set, frozenset)):
        return list(reply)
    if not isinstance(reply, list):
        raise WireError(f"Redis answered {reply!r} where a list was due")
    return reply


def _text(name: bytes) -> str:
    return name.decode("utf-8", "backslashreplace")


def _score(value: bytes | None) -> int | None:
    try:
        return int(float(value)) if value else None
    except OverflowError:  # infinite
        return None


def _number(value: object) -> int:
    try:
        return int(value) if isinstance(value, (bytes, int)) else 0
    except ValueError:
        return 0
