"""Putting tasks into queues: now, later or in a group, with or without a lock.

Source: asynq v0.26.0, internal/rdb and client.go. Where Go leaks a lock on an ID conflict
or never lists again a queue that was removed by someone else, this does not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple, TypeAlias

from asynq_py.broker.op import Arg, Command, Exchange, Op, Reply, call, checked
from asynq_py.broker.scripts import ENQUEUE, is_unknown_script, whole
from asynq_py.clock import NANOSECONDS
from asynq_py.errors import (
    AsynqError,
    BrokerError,
    DuplicateTaskError,
    RejectedError,
    TaskIDConflictError,
    UnavailableError,
)
from asynq_py.wire.keys import (
    QUEUES,
    group_key,
    groups_key,
    pending_key,
    scheduled_key,
    task_prefix,
)
from asynq_py.wire.message import TaskMessage, TaskState, decode

#: How long a queue's entry in asynq:queues is believed to last.
ANNOUNCE_EVERY_NS = 30 * NANOSECONDS
#: The most tasks, and about the most bytes, that one script call stores: a few
#: milliseconds in which Redis serves nobody else.
CHUNK_TASKS = 100
CHUNK_BYTES = 1 << 20

#: What became of a task: None (stored), or why not.
Outcome: TypeAlias = AsynqError | None
#: When this process last announced a queue, Unix nanoseconds by name.
Announced: TypeAlias = dict[str, int]

# Looking a member up in its enum takes as long as the rest of a line.
_PENDING = TaskState.PENDING
_SCHEDULED = TaskState.SCHEDULED


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
    command = _command(draft.queue, drafts, now_ns)
    (outcome,) = yield from _store(drafts, command, now_ns, announced)
    if outcome is not None:
        raise outcome


def enqueue_all(drafts: Iterable[Draft], *, now_ns: int, announced: Announced) -> Op[list[Outcome]]:
    """Stores many tasks as if one after another; the outcomes are in their order.

    Tasks of one queue keep their order; each goes its own way, so some may be stored and
    others not. Once the connection is lost nothing more is sent. ``drafts`` is read bit by
    bit, while Redis works on what was sent before.
    """
    outcomes: dict[int, Outcome] = {}
    lost = False
    chunks = _chunks(drafts, now_ns)
    chunk = next(chunks, None)
    following: list[_Chunk | None] = []
    while chunk is not None:
        results: list[Outcome]
        if lost:
            results = [_not_sent(draft) for draft in chunk.drafts]
        else:
            try:
                results = yield from _store(
                    chunk.drafts,
                    chunk.command,
                    now_ns,
                    announced,
                    meanwhile=lambda: following.append(next(chunks, None)),
                )
            except BrokerError as error:
                lost = isinstance(error, UnavailableError)
                results = [error] * len(chunk.drafts)
        outcomes.update(zip(chunk.indices, results, strict=True))
        chunk = following.pop() if following else next(chunks, None)
    return [outcomes[index] for index in range(len(outcomes))]


class _Chunk(NamedTuple):
    """Tasks of one queue that go in one script call."""

    #: Where the tasks stand in the whole batch.
    indices: list[int]
    drafts: list[Draft]
    command: Command


def _chunks(drafts: Iterable[Draft], now_ns: int) -> Iterator[_Chunk]:
    """The tasks by queue, in pieces that are not too many and not too large."""
    filling: dict[str, tuple[list[int], list[Draft]]] = {}
    sizes: dict[str, int] = {}
    for index, draft in enumerate(drafts):
        queue = draft.queue
        if queue not in filling:
            filling[queue] = ([], [])
            sizes[queue] = 0
        indices, members = filling[queue]
        indices.append(index)
        members.append(draft)
        sizes[queue] += len(draft.data)
        if len(members) >= CHUNK_TASKS or sizes[queue] >= CHUNK_BYTES:
            del filling[queue]
            yield _Chunk(indices, members, _command(queue, members, now_ns))
    for queue, (indices, members) in filling.items():
        yield _Chunk(indices, members, _command(queue, members, now_ns))


def _store(
    drafts: list[Draft],
    command: Command,
    now_ns: int,
    announced: Announced,
    *,
    meanwhile: Callable[[], None] | None = None,
) -> Op[list[Outcome]]:
    """Stores tasks of one queue by one command, and now and then announces the queue."""
    queue = drafts[0].queue
    last = announced.get(queue)
    if last is None:
        # As in Go: a queue that cannot be announced gets no tasks.
        try:
            yield from call("SADD", QUEUES, queue)
        except BrokerError as error:
            error.written = False
            raise
        announced[queue] = last = now_ns
    if not 0 <= now_ns - last < ANNOUNCE_EVERY_NS:
        # Somebody may have removed the queue meanwhile; Go would never list it again.
        announced.pop(queue, None)
        reply, stored = yield Exchange([("SADD", QUEUES, queue), command], meanwhile)
        if not isinstance(reply, AsynqError):
            announced[queue] = now_ns
    else:
        (stored,) = yield Exchange([command], meanwhile)
    if is_unknown_script(stored):
        (stored,) = yield Exchange([whole(ENQUEUE, command)])
    return _outcomes(drafts, checked(stored))


def _outcomes(drafts: list[Draft], codes: Reply) -> list[Outcome]:
    """What became of the tasks of a chunk, from the script's reply."""
    if not isinstance(codes, list) or len(codes) != len(drafts):
        raise BrokerError(f"enqueue.lua answered {codes!r} for {len(drafts)} tasks")
    return [
        None if code == 1 else _refusal(draft, code)
        for draft, code in zip(drafts, codes, strict=True)
    ]


def _command(queue: str, drafts: Sequence[Draft], now_ns: int) -> Command:
    keys = [pending_key(queue)]
    args: list[Arg] = [now_ns]
    prefix = task_prefix(queue)
    for _, task_id, data, state, at_s, group, lock, lock_ttl_s in drafts:
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


def _not_sent(draft: Draft) -> UnavailableError:
    return UnavailableError(
        f"{_what(draft)}: not sent, the connection was lost before", written=False
    )


def _what(draft: Draft) -> str:
    return f'enqueue "{draft.task_id}" on "{draft.queue}"'


def _refusal(draft: Draft, code: object) -> AsynqError:
    match code:
        case 0:
            return TaskIDConflictError(
                f"{_what(draft)}: the ID is taken", queue=draft.queue, task_id=draft.task_id
            )
        case -1:
            return DuplicateTaskError(
                f'{_what(draft)}: another task holds the lock "{draft.lock}"',
                queue=draft.queue,
                task_id=draft.task_id,
            )
        case bytes():
            text = code.decode("utf-8", "replace")
            return RejectedError(f"{_what(draft)}: {text}", code=text.split(" ", 1)[0])
        case _:
            return BrokerError(f"{_what(draft)}: enqueue.lua answered {code!r}")
