"""What both inspectors do: operations that answer in the words users see."""

from __future__ import annotations

from binascii import crc_hqx
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta

from asynq_py.broker import listing, presence, reading, steering
from asynq_py.broker.listing import Placed
from asynq_py.broker.op import Op, call
from asynq_py.clock import NANOSECONDS, from_unix_ns
from asynq_py.errors import ConfigError, TaskNotFoundError, WireError
from asynq_py.info import TaskInfo
from asynq_py.inspector.info import (
    ClusterNode,
    DailyStats,
    EnqueueEvent,
    GroupInfo,
    QueueInfo,
    QueueSizes,
    SchedulerEntryInfo,
    ServerInfo,
    WorkerInfo,
)
from asynq_py.options import check_text
from asynq_py.wire import presence as wire
from asynq_py.wire.keys import pending_key
from asynq_py.wire.message import TaskState, decode

#: The days that may have counters: as long as Asynq keeps them.
COUNTER_DAYS = 92

#: Where the score is when the task is due.
_DUE = frozenset((TaskState.SCHEDULED, TaskState.RETRY))
_DAY = timedelta(days=1)


def check_state(state: object) -> TaskState:
    """The state that a member or its word names."""
    try:
        return TaskState(state)  # type: ignore[arg-type]
    except ValueError:
        words = ", ".join(TaskState)
        raise ConfigError(f"state must be one of {words}, not {state!r}") from None


def check_group(state: TaskState, group: str | None) -> str | None:
    """The group, which is to be named for AGGREGATING, and only then."""
    if (state is TaskState.AGGREGATING) != (group is not None):
        raise ConfigError("group must be named for aggregating tasks, and only for them")
    return None if group is None else check_text("group", group)


def check_target(state: TaskState, target: str) -> None:
    """What is active or there already cannot be moved there."""
    if state is TaskState.ACTIVE or state.value == target:
        verb = {steering.RUN: "run", steering.ARCHIVE: "archived"}.get(target, "deleted")
        raise ConfigError(f"{state.value} tasks cannot be {verb}")


def check_page(page: int, size: int) -> int:
    """How many tasks come before a page (the first is 1)."""
    for name, number in (("page", page), ("size", size)):
        if not isinstance(number, int) or isinstance(number, bool) or number < 1:
            raise ConfigError(f"{name} must be 1 or more, not {number!r}")
    return (page - 1) * size


def check_payload(payload: object) -> bytes:
    """Bytes, or what is like them."""
    if not isinstance(payload, (bytes, bytearray, memoryview)):
        raise ConfigError(f"payload must be bytes, not {type(payload).__name__}")
    return bytes(payload)


def days(now_ns: int, count: int) -> list[str]:
    """The last days, today first; UTC."""
    today = from_unix_ns(now_ns).date()
    return [(today - n * _DAY).isoformat() for n in range(count)]


def queue_info(queue: str, now_ns: int, *, with_memory: bool) -> Op[QueueInfo]:
    """See Inspector.queue_info."""
    check_text("queue", queue)
    raw = yield from reading.queue_info(queue, days(now_ns, 1)[0])
    memory = (yield from reading.memory_usage(queue, raw.aggregating)) if with_memory else 0
    states = (raw.pending, raw.active, raw.scheduled, raw.retry, raw.archived, raw.completed)
    waiting_ns = max(0, now_ns - raw.oldest_ns) if raw.oldest_ns else 0
    return QueueInfo(
        queue=queue,
        memory_usage=memory,
        latency=timedelta(microseconds=waiting_ns // 1000),
        size=sum(states) + raw.aggregating,
        groups=raw.groups,
        pending=raw.pending,
        active=raw.active,
        scheduled=raw.scheduled,
        retry=raw.retry,
        archived=raw.archived,
        completed=raw.completed,
        aggregating=raw.aggregating,
        processed=raw.processed,
        failed=raw.failed,
        processed_total=raw.processed_total,
        failed_total=raw.failed_total,
        paused=bool(raw.paused),
        timestamp=from_unix_ns(now_ns),
    )


def queue_sizes(queues: Iterable[str] | None) -> Op[list[QueueSizes]]:
    """See Inspector.queue_sizes."""
    names = (yield from reading.queue_names()) if queues is None else list(queues)
    found = yield from reading.queue_sizes(names)
    return [
        QueueSizes(
            queue=name,
            size=sum(raw[:6]),
            groups=raw.groups,
            pending=raw.pending,
            active=raw.active,
            scheduled=raw.scheduled,
            retry=raw.retry,
            archived=raw.archived,
            completed=raw.completed,
            processed_total=raw.processed_total,
            failed_total=raw.failed_total,
            paused=bool(raw.paused),
        )
        for name, raw in zip(names, found, strict=True)
    ]


def history(queue: str, count: int, now_ns: int) -> Op[list[DailyStats]]:
    """See Inspector.history."""
    check_text("queue", queue)
    if not isinstance(count, int) or count < 1:
        raise ConfigError(f"days must be 1 or more, not {count!r}")
    names = days(now_ns, count)
    counts = yield from reading.history(queue, names)
    return [
        DailyStats(queue, datetime.fromisoformat(day).replace(tzinfo=UTC), processed, failed)
        for day, (processed, failed) in zip(names, counts, strict=True)
    ]


def groups(queue: str) -> Op[list[GroupInfo]]:
    """See Inspector.groups."""
    check_text("queue", queue)
    return [GroupInfo(name, size) for name, size in (yield from reading.groups(queue))]


def list_tasks(
    queue: str, state: TaskState, group: str | None, start: int, count: int, now_ns: int
) -> Op[list[TaskInfo]]:
    """Tasks of a state, ``count`` after the first ``start``."""
    check_text("queue", queue)
    gone: set[bytes] = set()
    if state is TaskState.ACTIVE:
        gone = yield from reading.expired_leases(queue, now_ns // NANOSECONDS)
    always_ns = now_ns if state is TaskState.PENDING else 0
    is_due = state in _DUE

    def make(place: Placed, message: bytes | int, result: bytes | None) -> TaskInfo:
        task_id, score = place
        next_ns = reading.score_s(score) * NANOSECONDS if is_due else always_ns
        return _task_info(queue, task_id, message, state, next_ns, result, task_id in gone)

    return (yield from listing.list_tasks(queue, state, group, start, count, make))


def get_task(queue: str, task_id: str, now_ns: int) -> Op[TaskInfo]:
    """See Inspector.get_task."""
    check_text("queue", queue)
    check_text("task_id", task_id)
    raw = yield from reading.read_task(queue, task_id)
    if raw is None:
        raise TaskNotFoundError(
            f'there is no task "{task_id}" in "{queue}"', queue=queue, task_id=task_id
        )
    try:
        state = TaskState((raw.state or b"").decode("utf-8", "replace"))
    except ValueError:
        why = "it has no hash with a state" if raw.state is None else f"its state is {raw.state!r}"
        return TaskInfo.damaged(queue, task_id, TaskState.ARCHIVED, why)
    next_ns = now_ns if state is TaskState.PENDING else 0
    if state in _DUE:
        next_ns = reading.score_s(raw.score) * NANOSECONDS
    message = 1 if raw.message is None else raw.message
    return _task_info(queue, task_id.encode(), message, state, next_ns, raw.result, False)


def move_all(
    queue: str,
    state: TaskState | str,
    group: str | None,
    target: str,
    now_s: int,
    progress: steering.Progress | None,
) -> Op[int]:
    """See Inspector.run_all, archive_all and delete_all."""
    check_text("queue", queue)
    which = check_state(state)
    named = check_group(which, group)
    check_target(which, target)
    return (yield from steering.move_all(queue, which, named, target, now_s, progress))


def servers(now_ns: int) -> Op[list[ServerInfo]]:
    """See Inspector.servers."""
    workers: dict[str, list[WorkerInfo]] = {}
    for worker in wire.readable(wire.WorkerInfo, (yield from reading.list_workers(now_ns))):
        workers.setdefault(worker.server_id, []).append(
            WorkerInfo(
                worker.task_id,
                worker.task_type,
                worker.task_payload,
                worker.queue,
                _moment(worker.start_time),
                _moment(worker.deadline),
            )
        )
    found = [
        ServerInfo(
            id=server.server_id,
            host=server.host,
            pid=server.pid,
            concurrency=server.concurrency,
            queues=dict(sorted(server.queues.items())),
            strict_priority=server.strict_priority,
            started_at=_moment(server.start_time),
            status=server.status,
            active_workers=tuple(
                sorted(workers.get(server.server_id, ()), key=lambda worker: worker.task_id)
            ),
        )
        for server in wire.readable(wire.ServerInfo, (yield from reading.list_servers(now_ns)))
    ]
    return sorted(found, key=lambda server: (server.host, server.pid, server.id))


def scheduler_entries(now_ns: int) -> Op[list[SchedulerEntryInfo]]:
    """See Inspector.scheduler_entries."""
    keys = yield from presence.list_schedulers(now_ns)
    published = yield from presence.read_scheduler_entries(keys)
    return [
        SchedulerEntryInfo(
            id=entry.id,
            spec=entry.spec,
            type=entry.task_type,
            payload=entry.task_payload,
            options=tuple(entry.enqueue_options),
            next_run=_moment(entry.next_enqueue_time),
            previous_run=_moment(entry.prev_enqueue_time),
        )
        for entry in published.entries
    ]


def scheduler_history(entry_id: str, start: int, count: int) -> Op[list[EnqueueEvent]]:
    """See Inspector.scheduler_history."""
    check_text("entry_id", entry_id)
    events = yield from presence.read_enqueue_events(entry_id, start, count)
    return [EnqueueEvent(e.task_id, _moment(e.enqueue_time)) for e in events]


def server_facts(command: str) -> Op[Mapping[str, str]]:
    """What INFO or CLUSTER INFO say, by name."""
    reply = yield from call(*command.split())
    if isinstance(reply, Mapping):  # redis-py has read it, for a cluster
        return {str(name): str(value) for name, value in reply.items()}
    if not isinstance(reply, bytes):
        raise WireError(f"Redis answered {command} with {reply!r}")
    lines = (line.partition(":") for line in reply.decode().splitlines() if ":" in line)
    return {name: value for name, _, value in lines if not name.startswith("#")}


def keyslot(queue: str) -> int:
    """The hash slot of all keys of a queue in a cluster."""
    check_text("queue", queue)
    key = pending_key(queue).encode()
    tag = key[key.index(b"{") + 1 :].partition(b"}")[0]
    # An empty tag is none.
    return crc_hqx(tag or key, 0) % 16384


def matches(
    *, type: str | None, older_than: datetime | None, error: str | None
) -> Callable[[TaskInfo], bool]:
    """Whether a task is wanted; damaged ones only where nothing is asked of them."""
    if older_than is not None and (
        not isinstance(older_than, datetime) or older_than.utcoffset() is None
    ):
        raise ConfigError(f"older_than must be an aware datetime, not {older_than!r}")
    for name, text in (("type", type), ("error", error)):
        if text is not None and not isinstance(text, str):
            raise ConfigError(f"{name} must be a str, not {text!r}")

    def match(task: TaskInfo) -> bool:
        if type is not None and not _fits(task.type, type):
            return False
        if error is not None and error.lower() not in task.last_error.lower():
            return False
        if older_than is not None:
            moment = task.completed_at or task.last_failed_at or task.next_process_at
            return moment is not None and moment < older_than
        return True

    return match


def _fits(text: str, pattern: str) -> bool:
    from fnmatch import fnmatchcase

    return fnmatchcase(text, pattern)


def _task_info(
    queue: str,
    task_id: bytes,
    message: bytes | int,
    state: TaskState,
    next_ns: int,
    result: bytes | None,
    is_orphaned: bool,
) -> TaskInfo:
    if not isinstance(message, bytes):
        why = "its hash has no message" if message else "it has no hash"
        return TaskInfo.damaged(queue, reading.text_of(task_id), state, why)
    try:
        return TaskInfo(message, state, next_ns, result or None, is_orphaned, decode(message))
    except WireError as error:
        return TaskInfo.damaged(queue, reading.text_of(task_id), state, str(error))


def _moment(value: wire.Timestamp) -> datetime | None:
    ns = wire.timestamp_ns(value)
    return None if ns is None else from_unix_ns(ns)


def cluster_nodes(reply: object, slot: int) -> list[ClusterNode]:
    """The nodes that hold a slot, by what CLUSTER SLOTS answered."""
    for entry in reply if isinstance(reply, list) else ():
        first, last, *nodes = entry
        if first <= slot <= last:
            return [ClusterNode(_text(node[2]), f"{_text(node[0])}:{node[1]}") for node in nodes]
    return []


def _text(value: object) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
