"""What becomes of tasks that were at work. Many at a time, and of each it is known how it went.

Source: asynq v0.26.0, rdb: Done, MarkAsComplete, Retry, Archive, Requeue.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from functools import lru_cache
from typing import NamedTuple

from asynq_py.broker.op import Arg, Command, Op, Reply, checked
from asynq_py.broker.scripts import FINISH, WRITE_RESULT, evaluate, evaluate_all
from asynq_py.clock import NANOSECONDS, from_unix_ns
from asynq_py.errors import BrokerError
from asynq_py.wire.keys import (
    active_key,
    archived_key,
    completed_key,
    failed_key,
    lease_key,
    pending_key,
    processed_key,
    retry_key,
    task_key,
    task_prefix,
)

#: How long the counters of a day are kept: 90 days.
COUNTERS_S = 90 * 24 * 3600
#: Counters begin again after it, lest Go reads a number it has no type for.
_LIMIT = 2**63 - 1


class Outcome(StrEnum):
    """What becomes of a task; the value is the script's word."""

    #: It is deleted.
    DONE = "done"
    #: It is kept for its retention.
    COMPLETE = "complete"
    #: It failed and is tried again.
    RETRY = "retry"
    #: It is tried again; that does not count as a failure.
    POSTPONE = "postpone"
    #: It is tried again, since its worker died; that is counted in the field ``py_crashes``.
    CRASH = "crash"
    #: It failed for good.
    ARCHIVE = "archive"
    #: It is the next to run, as if it had never been taken.
    REQUEUE = "requeue"


class Finished(NamedTuple):
    """A task that was at work."""

    queue: str
    task_id: str
    outcome: Outcome
    #: The encoded message that it shall have; b"" for DONE and REQUEUE.
    data: bytes = b""
    #: When it is tried again, was archived, or is deleted; Unix seconds.
    score: int = 0
    #: The key of the uniqueness lock to let go of; "" for none.
    lock: str = ""
    #: Left alone if its lease is longer (somebody renewed it meanwhile); Unix seconds.
    lease_at_most: int | None = None


def finish(finished: Sequence[Finished], now_ns: int) -> Op[list[bool | BrokerError]]:
    """Hands in tasks; tells of each whether it was (still) at work, and has become what it
    should; or that Redis refused."""
    batches = by_queue(finished)
    replies = yield from evaluate_all([command_for(batch, now_ns) for batch in batches])
    found: dict[Finished, bool | BrokerError] = {}
    for batch, reply in zip(batches, replies, strict=True):
        found.update(zip(batch, results(batch, reply), strict=True))
    return [found[each] for each in finished]


def by_queue(finished: Sequence[Finished]) -> list[list[Finished]]:
    """The tasks of each queue, in their order."""
    if len(finished) == 1:
        return [list(finished)]
    batches: dict[str, list[Finished]] = {}
    for each in finished:
        batches.setdefault(each.queue, []).append(each)
    return list(batches.values())


def command_for(batch: Sequence[Finished], now_ns: int) -> Command:
    """The script call for tasks of one queue."""
    queue = batch[0].queue
    now_s = now_ns // NANOSECONDS
    args: list[Arg] = [task_prefix(queue), now_s + COUNTERS_S, _LIMIT]
    for _, task_id, outcome, data, score, lock, longest in batch:
        args += (task_id, outcome.value, data, score, lock, "" if longest is None else longest)
    return FINISH.cached(_keys(queue, now_s // 86400), args)


def results(batch: Sequence[Finished], reply: Reply) -> list[bool | BrokerError]:
    """How it went, from the script's reply."""
    try:
        codes = checked(reply)
    except BrokerError as error:
        return [error] * len(batch)
    if not isinstance(codes, list) or len(codes) != len(batch):
        return [BrokerError(f"finish.lua answered {codes!r} for {len(batch)} tasks")] * len(batch)
    return [code == 1 for code in codes]


def write_result(queue: str, task_id: str, result: bytes) -> Op[bool]:
    """Keeps the result of a task at work; returns whether it still was."""
    return (yield from evaluate(WRITE_RESULT, [task_key(queue, task_id)], [result])) == 1


@lru_cache(maxsize=1024)
def _keys(queue: str, day_number: int) -> tuple[str, ...]:
    day = from_unix_ns(day_number * 86400 * NANOSECONDS).date().isoformat()
    return (
        active_key(queue),
        lease_key(queue),
        pending_key(queue),
        retry_key(queue),
        archived_key(queue),
        completed_key(queue),
        processed_key(queue),
        failed_key(queue),
        processed_key(queue, day),
        failed_key(queue, day),
    )
