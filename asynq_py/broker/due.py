"""What is due: scheduled tasks and retries become pending, what was kept long enough is deleted.

Source: asynq v0.26.0, rdb: ForwardIfReady, DeleteExpiredCompletedTasks.
"""

from __future__ import annotations

from collections.abc import Sequence

from asynq_py.broker.op import Exchange, Op, checked
from asynq_py.broker.reading import score_s, scored_of
from asynq_py.broker.scripts import DELETE_EXPIRED, FORWARD, evaluate
from asynq_py.clock import NANOSECONDS
from asynq_py.wire.keys import (
    completed_key,
    groups_key,
    pending_key,
    queue_prefix,
    retry_key,
    scheduled_key,
    task_prefix,
)

#: How many tasks one script call moves.
CHUNK = 100


def forward(queue: str, now_ns: int) -> Op[int]:
    """Makes all tasks of a queue pending that are due; returns how many there were."""
    moved = 0
    for key in (scheduled_key, retry_key):
        keys = [key(queue), pending_key(queue), groups_key(queue)]
        while True:
            args = (now_ns // NANOSECONDS, now_ns, CHUNK, queue_prefix(queue))
            count = yield from evaluate(FORWARD, keys, args)
            moved += int(str(count))
            if count != CHUNK:
                break
    return moved


def next_due(queues: Sequence[str]) -> Op[int | None]:
    """When the first scheduled task or retry of these queues is due, Unix seconds; None if there
    is none."""
    keys = [key(queue) for queue in queues for key in (scheduled_key, retry_key)]
    if not keys:
        return None
    replies = yield Exchange([("ZRANGE", key, 0, 0, "WITHSCORES") for key in keys])
    scores = [score for reply in replies for _, score in scored_of(checked(reply))]
    return min(map(score_s, scores), default=None)


def delete_expired(queue: str, now_ns: int, batch: int = CHUNK) -> Op[int]:
    """Deletes completed tasks whose retention is over; returns how many there were."""
    deleted = 0
    while True:
        args = (now_ns // NANOSECONDS, batch, task_prefix(queue))
        count = yield from evaluate(DELETE_EXPIRED, [completed_key(queue)], args)
        deleted += int(str(count))
        if count != batch:
            return deleted
