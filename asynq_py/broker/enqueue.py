"""Putting tasks into queues: now, later or in a group, with or without a lock.

Source: asynq v0.26.0, internal/rdb and client.go. Where Go leaks a lock on an ID conflict
or never lists again a queue that was removed by someone else, this does not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, TypeAlias

from asynq_py.broker.op import Arg, Command, Exchange, Op, Reply, call, checked
from asynq_py.broker.scripts import ENQUEUE, is_unknown_script, whole
from asynq_py.clock import NANOSECONDS
from asynq_py.errors import (
    AsynqError,
    BrokerError,
    ConflictError,
    DuplicateTaskError,
    OverlapError,
    RejectedError,
    RunsExhaustedError,
    TaskIDConflictError,
    TickTakenError,
)
from asynq_py.wire.keys import (
    QUEUES,
    group_key,
    groups_key,
    ledger_key,
    pending_key,
    scheduled_key,
    task_prefix,
    terms_key,
)
from asynq_py.wire.message import TaskMessage, TaskState, decode

#: How long a queue's entry in asynq:queues is believed to last.
ANNOUNCE_EVERY_NS = 30 * NANOSECONDS
#: What became of a task: None (stored), or why not.
Outcome: TypeAlias = AsynqError | None
#: When this process last announced a queue, Unix nanoseconds by name.
Announced: TypeAlias = dict[str, int]

# Looking a member up in its enum takes as long as the rest of a line.
_PENDING = TaskState.PENDING
_SCHEDULED = TaskState.SCHEDULED


class Tick(NamedTuple):
    """What the ledger is told of a task that is the tick of a scheduler's entry."""

    #: The entry's field in the ledger.
    field: str
    #: A number that grows from tick to tick: Unix seconds, mostly.
    number: int
    #: Whether it is left out while the entry's last task is not done.
    unless_undone: bool = False
    #: How many tasks the entry may enqueue at most; 0 for no limit.
    max_runs: int = 0


class Fence(NamedTuple):
    """In whose name ticks are enqueued: a term that is not the latest is refused."""

    group: str = ""
    #: 0 without leader election.
    term: int = 0


class Draft(NamedTuple):
    """A task on its way into its queue."""

    queue: str
    task_id: str
    #: The encoded TaskMessage.
    data: bytes
    #: PENDING, SCHEDULED or AGGREGATING.
    state: TaskState
    #: When to run (SCHEDULED) or when it joins the group (AGGREGATING); Unix seconds.
    at_s: int = 0
    #: The group it joins, if AGGREGATING.
    group: str = ""
    #: The key of the uniqueness lock, "" for none, and the lock's life in seconds.
    lock: str = ""
    lock_ttl_s: int = 0
    #: Of which tick this is the task; without ``data`` the tick is noted, nothing is enqueued.
    tick: Tick | None = None

    @property
    def message(self) -> TaskMessage:
        """What ``data`` says, decoded."""
        return decode(self.data)


def enqueue(draft: Draft, *, now_ns: int, announced: Announced) -> Op[None]:
    """Stores one task.

    Raises:
        DuplicateTaskError: The lock is held. Nothing was written.
        TaskIDConflictError: The ID is taken. Nothing was written.
        BrokerError: Redis failed; ``written`` says what is known.

    Redis: lua/enqueue.lua, one hash slot; SADD asynq:queues before it, now and then.
    """
    drafts = [draft]
    command = command_for(drafts, now_ns)
    (outcome,) = yield from store(drafts, command, now_ns, announced)
    if outcome is not None:
        raise outcome


def is_announced(queue: str, now_ns: int, announced: Announced) -> bool:
    """Whether the queue was announced not long ago."""
    last = announced.get(queue)
    return last is not None and 0 <= now_ns - last < ANNOUNCE_EVERY_NS


def store(
    drafts: list[Draft], command: Command, now_ns: int, announced: Announced
) -> Op[list[Outcome]]:
    """Stores tasks of one queue by one command, and now and then announces the queue.

    Raises:
        BrokerError: None of them was stored, or ``written`` is None.
    """
    queue = drafts[0].queue
    if queue not in announced:
        # As in Go: a queue that cannot be announced gets no tasks.
        try:
            yield from call("SADD", QUEUES, queue)
        except BrokerError as error:
            error.written = False
            raise
        announced[queue] = now_ns
    if not is_announced(queue, now_ns, announced):
        # Somebody may have removed the queue meanwhile; Go would never list it again.
        announced.pop(queue, None)
        reply, stored = yield Exchange([("SADD", QUEUES, queue), command])
        if not isinstance(reply, AsynqError):
            announced[queue] = now_ns
    else:
        (stored,) = yield Exchange([command])
    if is_unknown_script(stored):
        (stored,) = yield Exchange([whole(ENQUEUE, command)])
    return outcomes(drafts, checked(stored))


def outcomes(drafts: list[Draft], codes: Reply) -> list[Outcome]:
    """What became of the tasks of a chunk, from the script's reply."""
    if not isinstance(codes, list) or len(codes) != len(drafts):
        raise BrokerError(f"enqueue.lua answered {codes!r} for {len(drafts)} tasks")
    return [
        None if code == 1 else _refusal(draft, code)
        for draft, code in zip(drafts, codes, strict=True)
    ]


def command_for(drafts: Sequence[Draft], now_ns: int, fence: Fence | None = None) -> Command:
    """The script call that stores tasks of one queue; with a fence all of them are ticks."""
    queue = drafts[0].queue
    keys = [pending_key(queue), ledger_key(queue), terms_key(queue)]
    args: list[Arg] = [now_ns, "", ""] if fence is None else [now_ns, fence.term, fence.group]
    prefix = task_prefix(queue)
    for _, task_id, data, state, at_s, group, lock, lock_ttl_s, tick in drafts:
        if tick is not None:
            field, number, unless_undone, max_runs = tick
            args += (field, number, "1" if unless_undone else "0", max_runs)
            if not data:
                args.append("skip")
                continue
        keys.append(prefix + task_id)
        args += (state, lock_ttl_s or "0", task_id, data)
        if lock:
            keys.append(lock)
        if state is _PENDING:
            continue
        if state is _SCHEDULED:
            keys.append(scheduled_key(queue))
            args.append(at_s)
        else:
            keys += (group_key(queue, group), groups_key(queue))
            args += (at_s, group)
    return ENQUEUE.cached(keys, args)


def describe(draft: Draft) -> str:
    """What is tried, for messages."""
    return f'enqueue "{draft.task_id}" on "{draft.queue}"'


#: What the script's results say, beside 1 (stored).
_REFUSALS: Mapping[int, tuple[type[ConflictError], str]] = {
    0: (TaskIDConflictError, "the ID is taken"),
    -1: (DuplicateTaskError, "another task holds the lock"),
    -2: (TickTakenError, "the ledger has this tick, or a later one"),
    2: (TickTakenError, "the ledger has this tick with this ID"),
    -3: (OverlapError, "the entry's last task is not done"),
    -4: (RunsExhaustedError, "the entry has run as often as it may"),
}


def _refusal(draft: Draft, code: object) -> AsynqError:
    if isinstance(code, bytes):
        text = code.decode("utf-8", "replace")
        return RejectedError(f"{describe(draft)}: {text}", code=text.split(" ", 1)[0])
    if not isinstance(code, int) or code not in _REFUSALS:
        return BrokerError(f"{describe(draft)}: enqueue.lua answered {code!r}")
    kind, why = _REFUSALS[code]
    if kind is DuplicateTaskError:
        why = f'{why} "{draft.lock}"'
    error = kind(f"{describe(draft)}: {why}", queue=draft.queue, task_id=draft.task_id)
    if isinstance(error, TickTakenError):
        error.same_id = code == 2
    return error
