"""Acting on queues and tasks: run, archive, delete, pause, remove. Strict: what is not as it
is said to be is refused, and nothing changed.

What acts on many does so in pieces, so that Redis serves others in between; what is in the
state when it begins is moved, and what comes later is not waited for.

Source: asynq v0.26.0, internal/rdb/inspect.go.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

from asynq_py.broker.op import Arg, Op, call
from asynq_py.broker.quarantine import delete_quarantined
from asynq_py.broker.reading import LISTS, check_queue, groups, read_task, source_key
from asynq_py.broker.scripts import (
    DELETE_QUEUE,
    MOVE_TASK,
    MOVE_TASKS,
    TRIM_ARCHIVE,
    UPDATE_PAYLOAD,
    evaluate,
)
from asynq_py.errors import (
    BrokerError,
    QueueNotEmptyError,
    QueueStateError,
    TaskNotFoundError,
    TaskStateError,
    WireError,
)
from asynq_py.wire.keys import (
    CANCEL,
    QUEUES,
    active_key,
    aggregation_sets_key,
    archived_key,
    completed_key,
    failed_key,
    groups_key,
    lease_key,
    ledger_key,
    paused_key,
    pending_key,
    processed_key,
    quarantine_key,
    queue_prefix,
    retry_key,
    scheduled_key,
    task_key,
    terms_key,
)
from asynq_py.wire.message import TaskState, decode, encode

#: How many tasks one script call moves: some milliseconds of Redis.
CHUNK_TASKS = 500
#: How many archived tasks Asynq keeps (one less, in fact), and for how long: 90 days.
ARCHIVE_SIZE = 10_000
ARCHIVE_AGE_S = 90 * 24 * 3600

#: Told how many tasks have been moved so far.
Progress: TypeAlias = Callable[[int], None]

#: Where tasks can be moved to: "pending", "archived", or "" to delete them.
RUN, ARCHIVE, DELETE = "pending", "archived", ""
_WORDS = {RUN: "run", ARCHIVE: "archive", DELETE: "delete"}


def move_task(queue: str, task_id: str, target: str, now_s: int) -> Op[None]:
    """Makes one task pending, archives it, or deletes it.

    Raises:
        QueueNotFoundError: There is no such queue.
        TaskNotFoundError: There is no such task.
        TaskStateError: It is active, or there already, or damaged. Nothing was changed.
    """
    yield from check_queue(queue)
    keys = [task_key(queue, task_id), pending_key(queue), archived_key(queue), groups_key(queue)]
    args: list[Arg] = [task_id, target, queue_prefix(queue), now_s]
    code = yield from evaluate(MOVE_TASK, keys, args)
    what = f'{_WORDS[target]} "{task_id}" of "{queue}"'
    if code == 1:
        if target == ARCHIVE:
            yield from _trim(queue, now_s)
        return
    if code == 0:
        raise TaskNotFoundError(f"{what}: there is no such task", queue=queue, task_id=task_id)
    why = {
        -1: "it is active; cancel it instead",
        -2: f"it is {target} already",
        -3: "it has no hash with a state that is known; see asynq-py doctor",
        -4: "it is not where its state says; see asynq-py doctor",
        -5: "its hash has no message; see asynq-py doctor",
    }
    if code not in why:
        raise BrokerError(f"{what}: move_task.lua answered {code!r}")
    raise TaskStateError(f"{what}: {why[int(str(code))]}", queue=queue, task_id=task_id)


def move_all(
    queue: str,
    state: TaskState,
    group: str | None,
    target: str,
    now_s: int,
    progress: Progress | None = None,
) -> Op[int]:
    """Moves all tasks of a state, oldest first; returns how many there were.

    Raises:
        QueueNotFoundError: There is no such queue.
    """
    yield from check_queue(queue)
    source = source_key(queue, state, group)
    is_list = state in LISTS
    size = yield from call("LLEN" if is_list else "ZCARD", source)
    left = size if isinstance(size, int) else 0
    moved = 0
    keys = [source, pending_key(queue), archived_key(queue), groups_key(queue)]
    kind = "list" if is_list else "zset"
    while left > 0:
        most = min(CHUNK_TASKS, left)
        args: list[Arg] = [kind, target, most, queue_prefix(queue), now_s, group or ""]
        reply = yield from evaluate(MOVE_TASKS, keys, args)
        match reply:
            case [int(taken), int(done)]:
                moved += done
            case _:
                raise WireError(f"move_tasks.lua answered {reply!r}")
        if target == ARCHIVE:
            yield from _trim(queue, now_s)
        if progress is not None:
            progress(moved)
        left = left - taken if taken else 0
    return moved


def update_payload(queue: str, task_id: str, payload: bytes) -> Op[None]:
    """Gives a scheduled task another payload; its uniqueness lock stays as it is.

    Raises:
        QueueNotFoundError: There is no such queue.
        TaskNotFoundError: There is no such task.
        TaskStateError: It is not scheduled, or somebody else changed it. Nothing was changed.
        WireError: Its message cannot be read.
    """
    found = yield from read_task(queue, task_id)
    what = f'update "{task_id}" of "{queue}"'
    if found is None:
        raise TaskNotFoundError(f"{what}: there is no such task", queue=queue, task_id=task_id)
    if found.state != TaskState.SCHEDULED.encode():
        raise TaskStateError(f"{what}: it is not scheduled", queue=queue, task_id=task_id)
    before = found.message or b""
    message = decode(before)
    message.payload = payload
    args: list[Arg] = [before, encode(message)]
    code = yield from evaluate(UPDATE_PAYLOAD, [task_key(queue, task_id)], args)
    if code == 0:
        raise TaskNotFoundError(f"{what}: there is no such task", queue=queue, task_id=task_id)
    if code != 1:
        why = "it is not scheduled" if code == -1 else "somebody else changed it meanwhile"
        raise TaskStateError(f"{what}: {why}", queue=queue, task_id=task_id)


def cancel(task_id: str) -> Op[None]:
    """Asks whoever runs a task of this ID to stop; nobody answers."""
    yield from call("PUBLISH", CANCEL, task_id)


def pause_queue(queue: str, now_s: int) -> Op[None]:
    """Has workers take nothing from a queue, which need not exist yet.

    Raises:
        QueueStateError: It is paused already.
    """
    if (yield from call("SETNX", paused_key(queue), now_s)) != 1:
        raise QueueStateError(f'queue "{queue}" is already paused', queue=queue)


def unpause_queue(queue: str) -> Op[None]:
    """Has workers take from a queue again.

    Raises:
        QueueStateError: It is not paused.
    """
    if (yield from call("DEL", paused_key(queue))) != 1:
        raise QueueStateError(f'queue "{queue}" is not paused', queue=queue)


def delete_queue(
    queue: str,
    days: Sequence[str],
    *,
    force: bool,
    now_s: int,
    progress: Progress | None = None,
) -> Op[None]:
    """Removes a queue with all that belongs to it; with its tasks, if it is forced.

    Args:
        queue: Its name.
        days: Those that may have counters, UTC.
        force: Whether its tasks are deleted; not the active ones.
        now_s: Unix seconds.
        progress: Told how many tasks have been deleted.

    Raises:
        QueueNotFoundError: There is no such queue.
        QueueNotEmptyError: It has tasks (if it is forced: active ones). Forced, tasks of other
            states may have been deleted; otherwise nothing was changed.
    """
    yield from check_queue(queue)
    deleted = 0

    def told(count: int) -> None:
        if progress is not None:
            progress(deleted + count)

    if force:
        if (yield from call("LLEN", active_key(queue))) != 0:
            raise QueueNotEmptyError(f'queue "{queue}" has active tasks', queue=queue)
        for state in (
            TaskState.PENDING,
            TaskState.SCHEDULED,
            TaskState.RETRY,
            TaskState.ARCHIVED,
            TaskState.COMPLETED,
        ):
            deleted += yield from move_all(queue, state, None, DELETE, now_s, told)
        deleted += yield from _delete_groups(queue, now_s, told)
        deleted += yield from delete_quarantined(queue, now_s, told)
    keys = [
        pending_key(queue),
        active_key(queue),
        scheduled_key(queue),
        retry_key(queue),
        archived_key(queue),
        completed_key(queue),
        groups_key(queue),
        aggregation_sets_key(queue),
        quarantine_key(queue),
        lease_key(queue),
        paused_key(queue),
        processed_key(queue),
        failed_key(queue),
        ledger_key(queue),
        terms_key(queue),
        *(key(queue, day) for day in days for key in (processed_key, failed_key)),
    ]
    if (yield from evaluate(DELETE_QUEUE, keys, [])) != 1:
        raise QueueNotEmptyError(f'queue "{queue}" is not empty', queue=queue)
    yield from call("SREM", QUEUES, queue)


def _delete_groups(queue: str, now_s: int, progress: Progress) -> Op[int]:
    """Deletes the tasks of all groups, also of those being aggregated."""
    deleted = 0

    def told(count: int) -> None:
        progress(deleted + count)

    for name, _ in (yield from groups(queue)):
        deleted += yield from move_all(queue, TaskState.AGGREGATING, name, DELETE, now_s, told)
        yield from call("SREM", groups_key(queue), name)
    sets = yield from call("ZRANGE", aggregation_sets_key(queue), 0, -1)
    prefix = f"{queue_prefix(queue)}g:"
    for key in sets if isinstance(sets, list) else ():
        name = key.decode("utf-8", "backslashreplace").removeprefix(prefix)
        deleted += yield from move_all(queue, TaskState.AGGREGATING, name, DELETE, now_s, told)
        yield from call("ZREM", aggregation_sets_key(queue), key)
    return deleted


def _trim(queue: str, now_s: int) -> Op[None]:
    """Deletes what is too much in the archive, bit by bit."""
    args: list[Arg] = [now_s - ARCHIVE_AGE_S, ARCHIVE_SIZE, CHUNK_TASKS, queue_prefix(queue)]
    while (yield from evaluate(TRIM_ARCHIVE, [archived_key(queue)], args)) == CHUNK_TASKS:
        pass
