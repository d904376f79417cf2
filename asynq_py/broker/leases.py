"""Leases: who works on a task renews it; one that ended long ago tells that its worker is gone.

Source: asynq v0.26.0, rdb: ExtendLease, ListLeaseExpired.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from asynq_py.broker.op import Command, Exchange, Op, checked
from asynq_py.broker.reading import items_of
from asynq_py.broker.take import LEASE_S
from asynq_py.clock import NANOSECONDS
from asynq_py.errors import RejectedError
from asynq_py.wire.keys import active_key, lease_key, task_prefix

#: How many expired leases are looked at, or active tasks, at a time.
PAGE = 100


class Expired(NamedTuple):
    """A task whose worker let its lease end."""

    task_id: bytes
    #: The encoded message; None if its hash has none.
    data: bytes | None
    #: How many workers died of it before.
    crashes: int


def extend_leases(tasks: Mapping[str, Sequence[str]], now_ns: int) -> Op[None]:
    """Renews the leases of tasks by queue; one that is gone does not come back.

    Raises:
        BrokerError: Redis failed; some may be renewed.
    """
    until_s = now_ns // NANOSECONDS + LEASE_S
    commands: list[Command] = []
    for queue, ids in tasks.items():
        for start in range(0, len(ids), 500):
            pairs = [part for task_id in ids[start : start + 500] for part in (until_s, task_id)]
            commands.append(("ZADD", lease_key(queue), "XX", *pairs))
    if commands:
        for reply in (yield Exchange(commands)):
            checked(reply)


def expired_leases(queue: str, cutoff_s: int) -> Op[list[Expired]]:
    """Some of the tasks whose lease ended by then, the oldest first."""
    found = yield Exchange(
        [("ZRANGEBYSCORE", lease_key(queue), "-inf", cutoff_s, "LIMIT", 0, PAGE)]
    )
    ids = items_of(checked(found[0]))
    if not ids:
        return []
    prefix = task_prefix(queue).encode()
    replies = yield Exchange([("HMGET", prefix + each, "msg", "py_crashes") for each in ids])
    expired = []
    for task_id, reply in zip(ids, replies, strict=True):
        # A key of another type is as good as none.
        data, crashes = (None, None) if isinstance(reply, RejectedError) else items_of(reply)
        count = int(crashes) if crashes and crashes.isdigit() else 0
        expired.append(Expired(task_id, data, count))
    return expired


def without_lease(queue: str, start: int) -> Op[tuple[list[bytes], bool]]:
    """Which of the next active tasks have no lease; and whether there are more to look at."""
    (found,) = yield Exchange([("LRANGE", active_key(queue), start, start + PAGE - 1)])
    ids = items_of(checked(found))
    if not ids:
        return [], False
    (scores,) = yield Exchange([("ZMSCORE", lease_key(queue), *ids)])
    leases = items_of(checked(scores))
    return [i for i, score in zip(ids, leases, strict=True) if score is None], len(ids) == PAGE
