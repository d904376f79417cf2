"""A worker's turn: it hands in what it has done and takes what is next, in one round trip.

Source: asynq v0.26.0, rdb.Dequeue and processor.go, one task at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple, TypeAlias

from asynq_py.broker.finish import Finished, by_queue, command_for, results
from asynq_py.broker.op import Command, Op, Reply, checked
from asynq_py.broker.scripts import TAKE, evaluate_all
from asynq_py.clock import NANOSECONDS
from asynq_py.errors import BrokerError, WireError
from asynq_py.wire.keys import active_key, lease_key, paused_key, pending_key, task_prefix

#: How long a task is a worker's before it must renew its lease, seconds.
LEASE_S = 30
#: The most tasks that one script call takes: a few milliseconds of Redis.
MOST = 200
#: Who gives how many: shares a number of free slots out among queues.
Share: TypeAlias = Callable[[Sequence[str], int], Mapping[str, int]]


class Taken(NamedTuple):
    """A task that is ours while its lease lasts."""

    queue: str
    task_id: bytes
    #: The encoded message.
    data: bytes


class Turn(NamedTuple):
    """How a turn went."""

    #: Of each task handed in: whether it was (still) at work and has become what it should, or
    #: that Redis refused.
    handed_in: list[bool | BrokerError]
    taken: list[Taken]
    #: How many IDs without a message were thrown away, by queue.
    ghosts: Mapping[str, int]
    #: Why nothing could be taken from some queues.
    refused: Sequence[BrokerError] = ()


def take_turn(
    finished: Sequence[Finished], queues: Sequence[str], most: int, share: Share, now_ns: int
) -> Op[Turn]:
    """Hands in tasks, and takes others.

    Args:
        finished: What was done.
        queues: Where to take from.
        most: How many to take; what one queue does not have is asked of the others.
        share: Says how many of each queue.
        now_ns: Unix nanoseconds.

    Raises:
        UnavailableError: The connection is lost before anything was answered; what was done is
            not known.
    """
    batches = by_queue(finished) if finished else []
    commands = [command_for(batch, now_ns) for batch in batches]
    turn = Turn([], [], {}, [])
    ghosts: dict[str, int] = {}
    refused: list[BrokerError] = []
    taken: list[Taken] = []
    handed_in: list[bool | BrokerError] = []
    asked = [(queue, min(n, MOST)) for queue, n in share(queues, most).items()] if most else []
    left = list(queues)
    while commands or asked:
        takes = [_command(queue, n, now_ns) for queue, n in asked]
        try:
            replies = yield from evaluate_all([*commands, *takes])
        except BrokerError as error:
            if not taken and (commands or not handed_in):
                raise
            refused.append(error)  # what was taken before is ours all the same
            break
        if commands:
            handed_in = _in_order(finished, batches, replies[: len(commands)])
        for (queue, n), reply in zip(asked, replies[len(commands) :], strict=True):
            found = 0
            try:
                gone, items = _items(reply)
                found = len(items) // 2 + gone
                taken += map(Taken, [queue] * len(items), items[::2], items[1::2])
                if gone:
                    ghosts[queue] = ghosts.get(queue, 0) + gone
            except BrokerError as error:
                refused.append(error)
            if found < n:
                left.remove(queue)
        commands = []
        missing = most - len(taken)
        asked = []
        if missing and left:
            asked = [(queue, min(n, MOST)) for queue, n in share(left, missing).items()]
    return turn._replace(handed_in=handed_in, taken=taken, ghosts=ghosts, refused=refused)


def _in_order(
    finished: Sequence[Finished], batches: Sequence[list[Finished]], replies: Sequence[Reply]
) -> list[bool | BrokerError]:
    if len(batches) == 1:
        return results(batches[0], replies[0])
    by_batch = {
        batch[0].queue: iter(results(batch, reply))
        for batch, reply in zip(batches, replies, strict=True)
    }
    return [next(by_batch[each.queue]) for each in finished]


def _command(queue: str, most: int, now_ns: int) -> Command:
    keys, prefix = _keys(queue)
    return TAKE.cached(keys, [most, now_ns // NANOSECONDS + LEASE_S, prefix])


def _items(reply: Reply) -> tuple[int, list[Any]]:
    match checked(reply):
        case [int(ghosts), *items] if len(items) % 2 == 0:
            return ghosts, items
    raise WireError(f"take.lua answered {reply!r}")


@lru_cache(maxsize=1024)
def _keys(queue: str) -> tuple[tuple[str, ...], str]:
    keys = (pending_key(queue), paused_key(queue), active_key(queue), lease_key(queue))
    return keys, task_prefix(queue)
