"""When the tasks came, by what Redis has.

The moment that a task carries (`pending_since`) is the client's own, taken before it waits for
a connection and for Redis. So a task is also said to have arrived when the list of pending
tasks was first seen to be long enough to hold it; that list is looked at every few
milliseconds, and nobody takes anything from it.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import cast

from redis import Redis

from asynq_py.clock import NANOSECONDS
from asynq_py.wire.keys import pending_key, task_key
from asynq_py.wire.message import TaskMessage, decode

QUEUE = "default"
#: How often the length of the list is looked at, seconds.
LOOK_EVERY = 0.002
#: After so many seconds without a new task none is expected: Go's client has given up on those
#: that waited for one of its connections.
QUIET = 6.0
#: How long before the first task looking begins, seconds.
EARLY = 0.3
SCHEDULED_FOR = "asynq-scheduled-for"
CHUNK = 1000


@dataclass(frozen=True, slots=True)
class Arrival:
    """A task: the number in its payload, and moments in Unix nanoseconds."""

    number: int
    due_ns: int
    stamped_ns: int
    arrived_ns: int


def watch(redis: Redis, n: int, first_s: float, last_s: float, end_s: float) -> list[int]:
    """Watches tasks come, until there are `n` or no more are to be expected.

    Args:
        redis: Where they come.
        n: How many are wanted.
        first_s: When the first is due, Unix seconds.
        last_s: When the last is due.
        end_s: When to end in any case.

    Returns:
        When each task arrived, Unix nanoseconds, in their order.
    """
    moments: list[int] = []
    quiet_since = last_s
    time.sleep(max(0.0, first_s - EARLY - time.time()))
    while len(moments) < n:
        length = redis.llen(pending_key(QUEUE))
        now_ns = time.time_ns()
        now = now_ns / NANOSECONDS
        if length > len(moments):
            moments += [now_ns] * (length - len(moments))
            quiet_since = max(last_s, now)
        if now > min(end_s, quiet_since + QUIET):
            break
        time.sleep(LOOK_EVERY)
    return moments


def read(redis: Redis, moments: Sequence[int], due_s: Callable[[int], int]) -> list[Arrival]:
    """Reads the tasks that were watched; of each entry, its first.

    Args:
        redis: Where they are.
        moments: What `watch` gave.
        due_s: Tells of a number when its task is due, unless the task itself does.
    """
    found = cast("list[bytes]", redis.lrange(pending_key(QUEUE), -len(moments), -1))
    ids = [task_id.decode() for task_id in found]
    first: dict[int, Arrival] = {}
    # New ones are put to the left of the list.
    for (message, stamped), arrived_ns in zip(_tasks(redis, ids[::-1]), moments, strict=True):
        number = json.loads(message.payload)["n"]
        told = message.headers.get(SCHEDULED_FOR)
        due = datetime.fromisoformat(told).timestamp() if told else due_s(number)
        due_ns = int(due * NANOSECONDS)
        first.setdefault(number, Arrival(number, due_ns, stamped, arrived_ns))
    return list(first.values())


def _tasks(redis: Redis, ids: Sequence[str]) -> Iterator[tuple[TaskMessage, int]]:
    for start in range(0, len(ids), CHUNK):
        pipeline = redis.pipeline(transaction=False)
        for task_id in ids[start : start + CHUNK]:
            pipeline.hmget(task_key(QUEUE, task_id), "msg", "pending_since")
        for message, stamped in pipeline.execute():
            yield decode(message), int(stamped)


def percentile(values: Sequence[float], share: float) -> float:
    """The least value that is not below `share` of all."""
    ranked = sorted(values)
    return ranked[max(0, math.ceil(share * len(ranked)) - 1)]
