"""Groups: tasks that wait for each other, to be made one.

Source: asynq v0.26.0, rdb: ListGroups, AggregationCheck, ReadAggregationSet,
DeleteAggregationSet, ReclaimStaleAggregationSets.
"""

from __future__ import annotations

from typing import NamedTuple
from uuid import uuid4

from asynq_py.broker.op import Exchange, Op, call, checked
from asynq_py.broker.reading import items_of, score_s, scored_of
from asynq_py.broker.scripts import (
    DELETE_AGGREGATION_SET,
    GATHER_GROUP,
    RECLAIM_AGGREGATION_SET,
    evaluate,
)
from asynq_py.clock import NANOSECONDS
from asynq_py.wire.keys import aggregation_sets_key, group_prefix, groups_key, task_prefix

#: How long aggregating a set may take before its tasks go back to their group, seconds.
AGGREGATION_S = 120
#: How many tasks one script call deletes.
CHUNK = 500


class When(NamedTuple):
    """When a group is aggregated; whole seconds, 0 for never, and a size, 0 for any."""

    grace_s: int
    longest_s: int = 0
    size: int = 0


class Member(NamedTuple):
    """A task that is to be aggregated."""

    task_id: bytes
    #: The encoded message; None if its hash has none.
    data: bytes | None


def groups_of(queue: str) -> Op[list[bytes]]:
    """The names of the groups that have tasks waiting, in a certain order."""
    return sorted(items_of((yield from call("SMEMBERS", groups_key(queue)))))


def gather_group(queue: str, group: bytes, when: When, now_ns: int) -> Op[bytes | None]:
    """Takes the tasks of a group out if it is time; returns the key of the set they are in."""
    now_s = now_ns // NANOSECONDS
    key = group_prefix(queue).encode() + group
    set_key = key + b":" + str(uuid4()).encode()
    keys: list[str | bytes] = [key, set_key, aggregation_sets_key(queue), groups_key(queue)]
    args = (now_s, when.grace_s, when.longest_s, when.size, now_s + AGGREGATION_S, group)
    taken = yield from evaluate(GATHER_GROUP, keys, args)
    return set_key if taken else None


def next_gathering(queue: str, when: When) -> Op[int | None]:
    """When it is time for the first group of a queue, Unix seconds; None if there is none. What
    size says is not looked at."""
    prefix = group_prefix(queue).encode()
    moments: list[int] = []
    for group in (yield from groups_of(queue)):
        ends = [("ZRANGE", prefix + group, end, end, "WITHSCORES") for end in (0, -1)]
        oldest, newest = [scored_of(checked(reply)) for reply in (yield Exchange(ends))]
        moments += [score_s(score) + when.grace_s for _, score in newest]
        if when.longest_s:
            moments += [score_s(score) + when.longest_s for _, score in oldest]
    return min(moments, default=None)


def read_aggregation_set(queue: str, set_key: bytes) -> Op[list[Member]]:
    """The tasks of a set, the oldest first."""
    ids = items_of((yield from call("ZRANGE", set_key, 0, -1)))
    prefix = task_prefix(queue).encode()
    found: list[Member] = []
    for start in range(0, len(ids), CHUNK):
        page = ids[start : start + CHUNK]
        replies = yield Exchange([("HGET", prefix + task_id, "msg") for task_id in page])
        for task_id, reply in zip(page, replies, strict=True):
            found.append(Member(task_id, reply if isinstance(reply, bytes) else None))
    return found


def delete_aggregation_set(queue: str, set_key: bytes) -> Op[None]:
    """Deletes the tasks of a set: they have been made one."""
    keys: list[str | bytes] = [set_key, aggregation_sets_key(queue)]
    while (yield from evaluate(DELETE_AGGREGATION_SET, keys, [CHUNK, task_prefix(queue)])) != 0:
        pass


def reclaim_stale_sets(queue: str, now_ns: int) -> Op[int]:
    """Gives tasks back to their groups that nobody aggregated in time; returns how many."""
    now_s = now_ns // NANOSECONDS
    sets_key = aggregation_sets_key(queue)
    (reply,) = yield Exchange([("ZRANGEBYSCORE", sets_key, "-inf", now_s)])
    prefix = group_prefix(queue).encode()
    given_back = 0
    for set_key in items_of(checked(reply)):
        group_key, _, _ = set_key.rpartition(b":")
        group = group_key.removeprefix(prefix)
        keys = [set_key, sets_key, group_key, groups_key(queue)]
        count = yield from evaluate(RECLAIM_AGGREGATION_SET, keys, [now_s, group])
        given_back += int(str(count))
    return given_back
