"""Looking at queues, tasks and servers; nothing is changed.

Reading is lenient: what is damaged is shown as damaged, and breaks nothing else.

Source: asynq v0.26.0, internal/rdb/inspect.go.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite
from typing import Any, NamedTuple

from asynq_py.broker.op import Arg, Command, Exchange, Op, Reply, call, checked
from asynq_py.broker.scripts import (
    MEMORY_USAGE,
    QUEUE_INFO,
    READ_TASK,
    Script,
    evaluate,
    is_unknown_script,
    whole,
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

    #: None where there is none.
    message: bytes | None
    #: The word in the hash.
    state: bytes | None
    #: The group in the hash.
    group: bytes | None
    result: bytes | None
    #: In a sorted set; Unix seconds.
    score: bytes | None


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
    return sorted(text_of(name) for name in items_of(reply))


def check_queue(queue: str) -> Op[None]:
    """Raises unless the queue exists.

    Raises:
        QueueNotFoundError: It does not.
    """
    check_known((yield from call("SISMEMBER", QUEUES, queue)), queue)


def check_known(reply: Reply, queue: str) -> None:
    """Raises unless SISMEMBER answered that the queue exists.

    Raises:
        QueueNotFoundError: It does not.
    """
    if checked(reply) != 1:
        raise QueueNotFoundError(f'there is no queue "{queue}"', queue=queue)


def _in_queue(queue: str, script: Script, keys: Sequence[str], args: Sequence[Arg]) -> Op[Reply]:
    """Runs a script that only reads, in the same round trip as `check_queue`."""
    command = script.cached(keys, args)
    known, reply = yield Exchange([("SISMEMBER", QUEUES, queue), command])
    check_known(known, queue)
    if is_unknown_script(reply):
        (reply,) = yield Exchange([whole(script, command)])
    return checked(reply)


def queue_info(queue: str, day: str) -> Op[RawInfo]:
    """The numbers of a queue; ``day`` is today, UTC."""
    keys = [key(queue) for key in _STATE_KEYS]
    keys += [processed_key(queue, day), failed_key(queue, day), processed_key(queue)]
    keys += [failed_key(queue), paused_key(queue), groups_key(queue)]
    prefixes = [task_prefix(queue), group_prefix(queue)]
    reply = yield from _in_queue(queue, QUEUE_INFO, keys, prefixes)
    numbers = [_number(number) for number in items_of(reply)]
    if len(numbers) != len(RawInfo._fields):
        raise WireError(f"queue_info.lua answered {reply!r}")
    return RawInfo._make(numbers)


_STATE_KEYS = (pending_key, active_key, scheduled_key, retry_key, archived_key, completed_key)


def queue_sizes(queues: Sequence[str]) -> Op[list[RawInfo]]:
    """The numbers of queues by commands that take the same time however much is in them: how
    many tasks are in groups, and since when the oldest waits, is not among them (0)."""
    if not queues:
        return []
    commands: list[tuple[str, str]] = []
    for queue in queues:
        for key in _STATE_KEYS:
            commands.append(("LLEN" if key in _LIST_KEYS else "ZCARD", key(queue)))
        commands += [("GET", processed_key(queue)), ("GET", failed_key(queue))]
        commands += [("EXISTS", paused_key(queue)), ("SCARD", groups_key(queue))]
    # A name that is no UTF-8 must not hide the others.
    encoded = [(name, key.encode("utf-8", "surrogateescape")) for name, key in commands]
    replies = yield Exchange(encoded)
    found = []
    for start in range(0, len(replies), 10):
        numbers = [_number(checked(reply)) for reply in replies[start : start + 10]]
        found.append(RawInfo._make((*numbers[:6], 0, 0, *numbers[6:], 0, 0)))
    return found


_LIST_KEYS = (pending_key, active_key)


def memory_usage(queue: str, aggregating: int) -> Op[int]:
    """About how many bytes a queue takes, of which so many tasks are in groups; 0 where Redis
    does not let us ask."""
    keys = [active_key, pending_key, scheduled_key, retry_key, archived_key, completed_key]
    args: list[Arg] = [task_prefix(queue), SAMPLED_TASKS, SAMPLED_GROUPS, group_prefix(queue)]
    args.append(aggregating)
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
    names = sorted(items_of((yield from call("SMEMBERS", groups_key(queue)))))
    if not names:
        return []
    prefix = group_prefix(queue).encode()
    sizes = yield Exchange([("ZCARD", prefix + name) for name in names])
    return [
        (text_of(name), _number(checked(size))) for name, size in zip(names, sizes, strict=True)
    ]


def read_task(queue: str, task_id: str) -> Op[RawTask | None]:
    """One task; None where there is none."""
    key = task_key(queue, task_id)
    reply = yield from _in_queue(queue, READ_TASK, [key], [task_id, queue_prefix(queue)])
    match reply:
        case None:
            return None
        case [message, state, group, result, score]:
            return RawTask(*map(_optional, (message, state, group, result, score)))
    raise WireError(f"read_task.lua answered {reply!r}")


def expired_leases(queue: str, now_s: int) -> Op[set[bytes]]:
    """The IDs of active tasks whose lease is over: their worker is gone."""
    reply = yield from call("ZRANGEBYSCORE", lease_key(queue), "-inf", now_s)
    return set(items_of(reply))


def list_servers(now_ns: int) -> Op[list[bytes]]:
    """The encoded ServerInfos of the servers that are alive."""
    reply = yield from call("ZRANGEBYSCORE", SERVERS, now_ns // NANOSECONDS, "+inf")
    keys = items_of(reply)
    if not keys:
        return []
    replies = yield Exchange([("GET", key) for key in keys])
    return [info for reply in replies if isinstance(info := checked(reply), bytes)]


def list_workers(now_ns: int) -> Op[list[bytes]]:
    """The encoded WorkerInfos of the tasks at work."""
    reply = yield from call("ZRANGEBYSCORE", WORKERS, now_ns // NANOSECONDS, "+inf")
    keys = items_of(reply)
    if not keys:
        return []
    replies = yield Exchange([("HVALS", key) for key in keys])
    return [info for reply in replies for info in items_of(checked(reply))]


def items_of(reply: Reply) -> list[Any]:
    """A reply that is a list, or a set.

    Raises:
        WireError: It is something else.
    """
    if isinstance(reply, (set, frozenset)):
        return list(reply)
    if not isinstance(reply, list):
        raise WireError(f"Redis answered {reply!r} where a list was due")
    return reply


def scored_of(reply: Reply) -> list[tuple[bytes, bytes | float]]:
    """A reply that is members with their scores.

    Raises:
        WireError: It is something else.
    """
    items = items_of(reply)
    if items and isinstance(items[0], list):  # a ready client that speaks RESP3
        return [(member, score) for member, score in items]
    return list(zip(items[::2], items[1::2], strict=True))


def _optional(value: object) -> bytes | None:
    return value if isinstance(value, bytes) else None


def text_of(name: bytes) -> str:
    """A name or an ID, also one that is no text."""
    return name.decode("utf-8", "backslashreplace")


def score_s(score: bytes | float | None) -> int:
    """The Unix seconds of a score; 0 where there is none that means something."""
    try:
        return int(score) if score else 0
    except ValueError:  # with a fraction, or infinite
        number = float(score or 0)
        return int(number) if isfinite(number) else 0
    except OverflowError:
        return 0


def _number(value: object) -> int:
    try:
        return int(value) if isinstance(value, (bytes, int)) else 0
    except ValueError:
        return 0
