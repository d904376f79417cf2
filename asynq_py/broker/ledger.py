"""The ledger: which tick of which entry was the last, in the hash slot of its queue.

A task that is a tick goes through lua/enqueue.lua, which compares it with the ledger and
notes it in the same step. So each tick is enqueued once at most, however many schedulers
believe that they lead, and the ledger says where a new leader is to go on.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from asynq_py.broker.op import Command, Exchange, Op, checked
from asynq_py.broker.scripts import FIRST_SEEN, is_unknown_script, whole
from asynq_py.errors import WireError
from asynq_py.wire.keys import ledger_key

#: The most entries that one script call reads.
CHUNK_FIELDS = 500


class Noted(NamedTuple):
    """What the ledger has of an entry."""

    #: The last tick that was enqueued or left out; ticks after it count.
    tick: int
    #: How many tasks were enqueued.
    runs: int
    #: The ID of the last one, "" if there was none.
    task_id: str


def first_seen(fields: Sequence[tuple[str, str]], *, baseline_s: int) -> Op[list[Noted]]:
    """Reads the ledger; entries that are not in it are noted with a baseline first.

    Args:
        fields: Of each entry its queue and its field.
        baseline_s: Unix seconds; the first tick of a new entry is after it.
    """
    noted: dict[tuple[str, str], Noted] = {}
    chunks = list(_chunks(fields))
    for start in range(0, len(chunks), 8):
        some = chunks[start : start + 8]
        commands = [
            FIRST_SEEN.cached([ledger_key(queue)], [baseline_s, *names]) for queue, names in some
        ]
        for (queue, names), reply in zip(some, (yield from _evaluated(commands)), strict=True):
            if not isinstance(reply, list) or len(reply) != len(names):
                raise WireError(f"first_seen.lua answered {reply!r} for {len(names)} entries")
            for name, value in zip(names, reply, strict=True):
                noted[queue, name] = _read(value)
    return [noted[field] for field in fields]


def _evaluated(commands: Sequence[Command]) -> Op[list[object]]:
    replies = yield Exchange(commands)
    for index, reply in enumerate(replies):
        if is_unknown_script(reply):
            (replies[index],) = yield Exchange([whole(FIRST_SEEN, commands[index])])
    return [checked(reply) for reply in replies]


def _chunks(fields: Sequence[tuple[str, str]]) -> list[tuple[str, list[str]]]:
    by_queue: dict[str, list[str]] = {}
    for queue, name in fields:
        by_queue.setdefault(queue, []).append(name)
    return [
        (queue, names[start : start + CHUNK_FIELDS])
        for queue, names in by_queue.items()
        for start in range(0, len(names), CHUNK_FIELDS)
    ]


def _read(value: object) -> Noted:
    try:
        assert isinstance(value, bytes)
        tick, runs, task_id = value.decode().split(" ", 2)
        return Noted(int(tick), int(runs), task_id)
    except (AssertionError, ValueError) as error:
        raise WireError(f"the ledger of ticks holds {value!r}") from error
