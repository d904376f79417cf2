"""Showing who is there: a scheduler's entries and its history, as Go's tools list them.

Source: asynq v0.26.0, internal/rdb.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from asynq_py.broker.op import Arg, Command, Exchange, Op, Reply, call, checked
from asynq_py.broker.scripts import (
    RECORD_ENQUEUE_EVENT,
    WRITE_SCHEDULER_ENTRIES,
    evaluate,
    is_unknown_script,
    whole,
)
from asynq_py.clock import NANOSECONDS, ceil_s
from asynq_py.errors import WireError
from asynq_py.wire.keys import SCHEDULERS, scheduler_history_key, scheduler_key
from asynq_py.wire.presence import (
    SchedulerEnqueueEvent,
    SchedulerEntry,
    read,
    readable,
    scheduler_enqueue_event,
)

#: How many runs an entry's history keeps.
HISTORY_SIZE = 1000
#: How long a history outlives its last run: 30 days.
HISTORY_TTL_S = 30 * 24 * 3600


def write_scheduler_entries(
    scheduler_id: str, entries: Sequence[SchedulerEntry], *, ttl_s: int, now_ns: int
) -> Op[None]:
    """Publishes a scheduler's entries for ``ttl_s`` seconds, in the order of their next run.

    Redis: ZADD asynq:schedulers, then lua/write_scheduler_entries.lua; two slots.
    """
    key = scheduler_key(scheduler_id)
    (reply,) = yield Exchange([("ZADD", SCHEDULERS, ceil_s(now_ns) + ttl_s, key)])
    checked(reply)
    args: list[Arg] = [ttl_s, *(entry.SerializeToString() for entry in entries)]
    yield from evaluate(WRITE_SCHEDULER_ENTRIES, [key], args)


def prolong_scheduler_entries(scheduler_ids: Sequence[str], *, ttl_s: int, now_ns: int) -> Op[None]:
    """Keeps what schedulers published for ``ttl_s`` seconds more."""
    keys = [scheduler_key(scheduler_id) for scheduler_id in scheduler_ids]
    until_s = ceil_s(now_ns) + ttl_s
    scores: list[Arg] = [arg for key in keys for arg in (until_s, key)]
    commands: list[Command] = [("ZADD", SCHEDULERS, *scores)]
    commands += [("EXPIRE", key, ttl_s) for key in keys]
    for reply in (yield Exchange(commands)):
        checked(reply)


def clear_scheduler_entries(scheduler_ids: Sequence[str]) -> Op[None]:
    """Takes what schedulers published back."""
    keys = [scheduler_key(scheduler_id) for scheduler_id in scheduler_ids]
    commands: list[Command] = [("ZREM", SCHEDULERS, *keys)]
    commands += [("DEL", key) for key in keys]
    for reply in (yield Exchange(commands)):
        checked(reply)


class EnqueueEvent(NamedTuple):
    """A run of an entry."""

    entry_id: str
    task_id: str
    #: Unix nanoseconds.
    at_ns: int
    #: Whether the history is trimmed and its life prolonged, too; not needed every time.
    trims: bool = True


def record_enqueue_events(events: Sequence[EnqueueEvent]) -> Op[None]:
    """Adds runs to the histories of entries."""
    commands: list[Command] = []
    for entry_id, task_id, at_ns, trims in events:
        key = scheduler_history_key(entry_id)
        event = scheduler_enqueue_event(task_id, at_ns).SerializeToString()
        if trims:
            args: list[Arg] = [at_ns // NANOSECONDS, event, HISTORY_SIZE, HISTORY_TTL_S]
            commands.append(RECORD_ENQUEUE_EVENT.cached([key], args))
        else:
            commands.append(("ZADD", key, at_ns // NANOSECONDS, event))
    replies = yield Exchange(commands)
    # Adding the same event twice changes nothing, so those that failed may be sent again.
    lost = [c for c, reply in zip(commands, replies, strict=True) if is_unknown_script(reply)]
    if lost:
        again = yield Exchange([whole(RECORD_ENQUEUE_EVENT, command) for command in lost])
        replies = [r for r in replies if not is_unknown_script(r)] + again
    for reply in replies:
        checked(reply)


class PublishedEntries(NamedTuple):
    """What schedulers show of themselves."""

    #: In the order of their lists.
    entries: list[SchedulerEntry]
    #: How many elements of the lists could not be read.
    unreadable: int


def list_schedulers(now_ns: int) -> Op[list[str]]:
    """Gives the keys of the lists of entries that are in force, the first to expire first.

    Those that have expired stay where they are: removing them is the writers' business.
    """
    reply = yield from call("ZRANGEBYSCORE", SCHEDULERS, now_ns // NANOSECONDS, "+inf")
    return [key.decode() for key in _elements(reply)]


def read_scheduler_entries(keys: Sequence[str]) -> Op[PublishedEntries]:
    """Reads the entries that the schedulers of these keys show; an element that cannot be
    read is left out, as in Go, and counted."""
    commands: list[Command] = [("LRANGE", key, 0, -1) for key in keys]
    replies = (yield Exchange(commands)) if commands else []
    elements = [data for reply in replies for data in _elements(checked(reply))]
    entries = readable(SchedulerEntry, elements)
    return PublishedEntries(entries, len(elements) - len(entries))


def read_enqueue_events(entry_id: str, start: int, count: int) -> Op[list[SchedulerEnqueueEvent]]:
    """Reads runs from an entry's history, newest first: ``count`` after the first ``start``.

    Raises:
        WireError: One of them cannot be read.

    Source: asynq v0.26.0, rdb.ListSchedulerEnqueueEvents.
    """
    if count < 1:
        return []
    key = scheduler_history_key(entry_id)
    reply = yield from call("ZREVRANGE", key, start, start + count - 1)
    return [read(SchedulerEnqueueEvent, data) for data in _elements(reply)]


def _elements(reply: Reply) -> list[bytes]:
    if not isinstance(reply, list) or not all(isinstance(item, bytes) for item in reply):
        raise WireError(f"Redis answered {reply!r} where a list was due")
    return reply
