"""Acting on queues and tasks: run, archive, delete, pause, remove. Strict: what is not as it
is said to be is refused, and nothing changed.

What acts on many does so in pieces, so that Redis serves others in between; what is in the
state when it begins is moved, and what comes later is not waited for.

Source: asynq v0.26.0, internal/rdb/inspect.go.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeAlias

from asynq_py.broker.op import Arg, Op, Reply, call
from asynq_py.broker.reading import LISTS, RawTask, check_queue, read_task, source_key
from asynq_py.broker.scripts import DELETE_QUEUE, MOVE_TASKS, UPDATE_PAYLOAD, evaluate
from asynq_py.errors import (
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
    group_prefix,
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


class _Source(NamedTuple):
    """Where tasks are taken from."""

    key: str
    is_list: bool
    #: The group whose key it is.
    group: str = ""


def move_task(queue: str, task_id: str, target: str, now_s: int) -> Op[None]:
    """Makes one task pending, archives it, or deletes it.

    Raises:
        QueueNotFoundError: There is no such queue.
        TaskNotFoundError: There is no such task.
        TaskStateError: It is active, or there already, or damaged. Nothing was changed.
    """
    what = f'{_WORDS[target]} "{task_id}" of "{queue}"'
    missed: RawTask | None = None
    while True:
        task = yield from read_task(queue, task_id)
        if task is None:
            raise TaskNotFoundError(f"{what}: there is no such task", queue=queue, task_id=task_id)
        source = _source_of(queue, task)
        if source is None:
            why = "it has no hash with a state that is known; see asynq-py doctor"
        elif task.state == TaskState.ACTIVE.encode():
            why = "it is active; cancel it instead"
        elif task.state == target.encode():
            why = f"it is {target} already"
        elif target == RUN and task.message is None:
            # Workers would never let go of it.
            why = "its hash has no message; see asynq-py doctor"
        elif task == missed:
            why = "it is not where its state says; see asynq-py doctor"
        else:
            # Whoever takes its ID away has the task. Nobody can if it has just moved: look again.
            taken, done = yield from _take(queue, source, target, now_s, only=task_id)
            if taken:
                break
            missed = task
            continue
        raise TaskStateError(f"{what}: {why}", queue=queue, task_id=task_id)
    if not done:
        raise TaskNotFoundError(f"{what}: its hash has just gone", queue=queue, task_id=task_id)
    if target == ARCHIVE:
        yield from trim_archive(queue, now_s)


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
    source = _Source(source_key(queue, state, group), state in LISTS, group or "")
    return (yield from _take_all(queue, source, target, now_s, progress))


def trim_archive(queue: str, now_s: int) -> Op[int]:
    """Deletes archived tasks that are too old or too many, oldest first; returns how many."""
    archive = _Source(archived_key(queue), is_list=False)
    until_s = now_s - ARCHIVE_AGE_S
    trimmed = 0
    while True:
        taken, _ = yield from _take(
            queue, archive, DELETE, now_s, until_s=until_s, keep=ARCHIVE_SIZE - 1
        )
        trimmed += taken
        if taken < CHUNK_TASKS:
            return trimmed


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
        aside = _Source(quarantine_key(queue), is_list=False)
        deleted += yield from _take_all(queue, aside, DELETE, now_s, told)
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
    prefix = group_prefix(queue)
    names = _names((yield from call("SMEMBERS", groups_key(queue))))
    # Sets that are being aggregated are like groups whose names have one more part.
    sets = _names((yield from call("ZRANGE", aggregation_sets_key(queue), 0, -1)))
    sources = [_Source(prefix + name, is_list=False, group=name) for name in names]
    sources += [_Source(key, is_list=False) for key in sets if key.startswith(prefix)]
    deleted = 0

    def told(count: int) -> None:
        progress(deleted + count)

    for source in sources:
        deleted += yield from _take_all(queue, source, DELETE, now_s, told)
    if sets:
        yield from call("ZREM", aggregation_sets_key(queue), *map(_bytes_of, sets))
    return deleted


def _source_of(queue: str, task: RawTask) -> _Source | None:
    """Where a task is by its hash; None if that is not known."""
    try:
        state = TaskState((task.state or b"").decode())
    except ValueError:
        return None
    if state is not TaskState.AGGREGATING:
        return _Source(source_key(queue, state, None), state in LISTS)
    if task.group is None:
        return None
    (group,) = _names([task.group])
    return _Source(source_key(queue, state, group), is_list=False, group=group)


def _take_all(
    queue: str, source: _Source, target: str, now_s: int, progress: Progress | None
) -> Op[int]:
    """Moves all tasks that a source has now, in pieces; returns how many there were."""
    size = yield from call("LLEN" if source.is_list else "ZCARD", _bytes_of(source.key))
    left = size if isinstance(size, int) else 0
    moved = 0
    while True:
        # Also where there are none: a group that is empty is none afterwards.
        taken, done = yield from _take(queue, source, target, now_s, most=min(CHUNK_TASKS, left))
        if taken and target == ARCHIVE:
            yield from trim_archive(queue, now_s)
        moved += done
        left -= taken
        if taken and progress is not None:
            progress(moved)
        if not taken or left <= 0:
            return moved


def _take(
    queue: str,
    source: _Source,
    target: str,
    now_s: int,
    *,
    only: str = "",
    most: int = CHUNK_TASKS,
    until_s: int | str = "+inf",
    keep: int = 0,
) -> Op[tuple[int, int]]:
    """Moves one task, or some of the oldest: how many IDs were taken, and how many had a task.

    Redis: lua/move_tasks.lua, which tells of the arguments.
    """
    names = [source.key, pending_key(queue), archived_key(queue), groups_key(queue)]
    kind = "list" if source.is_list else "zset"
    prefix, group = _bytes_of(queue_prefix(queue)), _bytes_of(source.group)
    args: list[Arg] = [kind, target, prefix, now_s, group, only, most, until_s, keep]
    match (yield from evaluate(MOVE_TASKS, [*map(_bytes_of, names)], args)):
        case [int(taken), int(done)]:
            return taken, done
        case reply:
            raise WireError(f"move_tasks.lua answered {reply!r}")


def _names(reply: Reply) -> list[str]:
    """Names that may be no UTF-8, as Python keeps such: :func:`_bytes_of` gives them back."""
    found = reply if isinstance(reply, (list, set, frozenset)) else ()
    return [name.decode("utf-8", "surrogateescape") for name in found]


def _bytes_of(name: str) -> bytes:
    return name.encode("utf-8", "surrogateescape")
