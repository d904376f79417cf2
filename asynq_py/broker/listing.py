"""A page of the tasks of a state.

Which tasks are in it is seen in one moment. Their hashes are then read in batches, so Redis
serves others in between, and one batch is worked on while the next one comes.

Source: asynq v0.26.0, rdb.listMessages, rdb.listZSetEntries; there it is one script.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeAlias, TypeVar

from asynq_py.broker.op import Command, Commands, Exchange, Op, Reply, Stream, checked
from asynq_py.broker.reading import LISTS, check_known, items_of, scored_of, source_key
from asynq_py.wire.keys import QUEUES, task_prefix
from asynq_py.wire.message import TaskState

T = TypeVar("T")
#: A task's ID, and in a sorted set its score.
Placed: TypeAlias = tuple[bytes, bytes | float | None]
#: Makes something of a task: of its place, its message (or 1: its hash has none, 0: it has no
#: hash), and its result.
Make: TypeAlias = Callable[[Placed, bytes | int, bytes | None], T]

#: How many hashes are read at a time.
BATCH = 100


def list_tasks(
    queue: str, state: TaskState, group: str | None, start: int, count: int, make: Make[T]
) -> Op[list[T]]:
    """What ``make`` gives for each task of a page: the next to run, or to go, first.

    Args:
        queue: Its name.
        state: Which tasks.
        group: Which group, for AGGREGATING.
        start: How many to leave out.
        count: How many to read.
        make: Called with each task once, in no certain order.

    Raises:
        QueueNotFoundError: There is no such queue.
    """
    page = _page(source_key(queue, state, group), state, start, count)
    known, reply = yield Exchange([("SISMEMBER", QUEUES, queue), page])
    check_known(known, queue)
    placed = _placed(reply, state)
    prefix = task_prefix(queue).encode()
    #: By their place in the page.
    made: dict[int, T] = {}
    numbered = iter(enumerate(placed))

    def batches() -> Iterator[Commands]:
        for first in range(0, len(placed), BATCH):
            yield [_read(prefix + task_id) for task_id, _ in placed[first : first + BATCH]]

    def answered(replies: list[Reply]) -> None:
        for reply in replies:
            index, place = next(numbered)
            if isinstance(reply, list) and reply[0] is not None:
                made[index] = make(place, *reply)

    yield Stream("HMGET", batches(), answered)
    unread = [index for index in range(len(placed)) if index not in made]
    if not unread:
        return list(made.values())
    # Damaged, or taken from the page between the two looks: then they are left out.
    commands = [page]
    for index in unread:
        key = prefix + placed[index][0]
        commands += [("EXISTS", key), _read(key)]
    reply, *replies = yield Exchange(commands)
    still = {task_id for task_id, _ in _placed(reply, state)}
    for index, exists, values in zip(unread, replies[::2], replies[1::2], strict=True):
        if placed[index][0] not in still:
            continue
        message, result = values if isinstance(values, list) else (0, None)  # no hash at all
        if message is None:
            message = 1 if exists else 0
        made[index] = make(placed[index], message, result)
    return [made[index] for index in sorted(made)]


def _page(source: str, state: TaskState, start: int, count: int) -> Command:
    if state in LISTS:
        # Lists have the oldest on the right.
        return ("LRANGE", source, -start - count, -start - 1)
    return ("ZRANGE", source, start, start + count - 1, "WITHSCORES")


def _placed(reply: Reply, state: TaskState) -> list[Placed]:
    """The tasks of a page in its order."""
    if state in LISTS:
        return [(task_id, None) for task_id in reversed(items_of(checked(reply)))]
    return list(scored_of(checked(reply)))


def _read(key: bytes) -> Command:
    return ("HMGET", key, "msg", "result")
