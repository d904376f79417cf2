"""What is enqueued, and assertions about it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from types import EllipsisType
from typing import TypedDict, Unpack

from asynq_py.clock import NANOSECONDS, SYSTEM_CLOCK, Clock, from_unix_ns
from asynq_py.codec import JSON, Codec
from asynq_py.errors import ConfigError, WireError
from asynq_py.info import TaskInfo
from asynq_py.inspector.sync import Inspector
from asynq_py.options import Duration, duration_ns, moment_ns
from asynq_py.testing.where import Where, redis_argument
from asynq_py.wire.message import TaskState

#: A task waits to be run in one of these.
_WAITING = (TaskState.PENDING, TaskState.SCHEDULED, TaskState.RETRY)
#: How many tasks a failure shows.
_SHOWN = 20


class Expected(TypedDict, total=False):
    """What a task must be like; what is not given may be anything."""

    #: The payload: bytes, or a value that ``codec`` gives the same data for (a dict, a dataclass,
    #: a model); or a function that is given the decoded payload and says whether it fits.
    payload: object
    #: What reads the payload: ``JSON``.
    codec: Codec
    queue: str | None
    task_id: str | None
    group: str | None
    max_retry: int | None
    #: Headers that it has, among others.
    headers: Mapping[str, str] | None
    #: "pending", "scheduled", "retry" or "aggregating".
    state: TaskState | str | None
    #: When it is due, give or take ``tolerance``.
    process_at: datetime | None
    #: The same, from now on.
    process_in: Duration | None
    #: How far off it may be due: 5 seconds.
    tolerance: Duration
    #: Says what "now" is; the machine's clock.
    clock: Clock


def enqueued(redis: Where, type: str | None = None, *, queue: str | None = None) -> list[TaskInfo]:
    """The tasks that wait to be run: pending, scheduled, to be tried again, or in a group.

    Args:
        redis: A URL, a RedisConfig, a ready client, or a server of this package.
        type: Only of this type; "*" and "?" stand for anything.
        queue: Only of this queue; of all by default.

    Returns:
        Queue by queue; of each, those that are due first come first.

    Example::

        assert [task.queue for task in enqueued(redis, "email:*")] == ["critical", "default"]
    """
    return _enqueued(redis, type, queue, SYSTEM_CLOCK)


def assert_enqueued(
    redis: Where, type: str, *, count: int | None = None, **expected: Unpack[Expected]
) -> list[TaskInfo]:
    """Asserts that a task waits to be run.

    Args:
        redis: A URL, a RedisConfig, a ready client, or a server of this package.
        type: Its type.
        count: How many there must be that fit; one or more by default.
        **expected: What it must be like, see :class:`Expected`.

    Returns:
        Those that fit, in the order of :func:`enqueued`.

    Raises:
        AssertionError: There is none, or another number; the text shows what there is instead.
        ConfigError: A value can never work.

    Example::

        assert_enqueued(redis, "email:welcome", payload={"user_id": 42}, queue="critical")
        assert_enqueued(redis, "report", process_in=timedelta(hours=1), count=1)
    """
    __tracebackhide__ = True
    look = _Look(type, **expected)
    found = _enqueued(redis, None, None, expected.get("clock", SYSTEM_CLOCK))
    fitting = [task for task in found if not look.differences(task)]
    if len(fitting) != count if count is not None else not fitting:
        raise AssertionError(_failure(look, found, len(fitting), count))
    return fitting


def assert_not_enqueued(redis: Where, type: str, **expected: Unpack[Expected]) -> None:
    """Asserts that no such task waits to be run; as :func:`assert_enqueued` with ``count=0``.

    Example::

        assert_not_enqueued(redis, "email:welcome", payload=lambda p: p["user_id"] == 7)
    """
    __tracebackhide__ = True
    assert_enqueued(redis, type, count=0, **expected)


def _enqueued(redis: Where, type: str | None, queue: str | None, clock: Clock) -> list[TaskInfo]:
    with Inspector(redis_argument(redis), clock=clock) as inspector:
        queues = inspector.queues()
        if queue is not None:
            queues = [queue] if queue in queues else []
        return [task for each in queues for task in _waiting(inspector, each, type)]


def _waiting(inspector: Inspector, queue: str, type: str | None) -> Iterator[TaskInfo]:
    for state in _WAITING:
        yield from inspector.iter_tasks(queue, state, type=type)
    for group in inspector.groups(queue):
        yield from inspector.iter_tasks(queue, TaskState.AGGREGATING, group=group.group, type=type)


class _Look:
    """What is looked for."""

    def __init__(
        self,
        type: str,
        *,
        payload: object | EllipsisType = ...,
        codec: Codec = JSON,
        headers: Mapping[str, str] | None = None,
        process_at: datetime | None = None,
        process_in: Duration | None = None,
        tolerance: Duration = 5,
        clock: Clock = SYSTEM_CLOCK,
        **equal: object,
    ) -> None:
        unknown = equal.keys() - Expected.__annotations__.keys()
        if unknown:
            raise ConfigError(f"unknown: {', '.join(sorted(unknown))}")
        self._type = type
        self._payload = payload
        self._codec = codec
        self._headers = headers or {}
        self._equal = {name: value for name, value in equal.items() if value is not None}
        self._tolerance = timedelta(seconds=duration_ns("tolerance", tolerance) / NANOSECONDS)
        self._due: datetime | None = None
        if process_at is not None:
            self._due = from_unix_ns(moment_ns("process_at", process_at))
        elif process_in is not None:
            self._due = from_unix_ns(clock.now_ns() + duration_ns("process_in", process_in))
        self._wanted: object = payload
        if not isinstance(payload, EllipsisType | bytes) and not callable(payload):
            # What goes in as a dataclass or a tuple comes out as a dict or a list.
            self._wanted = codec.decode(codec.encode(payload))

    def differences(self, task: TaskInfo) -> list[str]:
        """In what a task is not what is looked for, in words."""
        if task.type != self._type:
            return ["type"]
        found = [name for name, value in self._equal.items() if _value(task, name) != value]
        if not self._fits_payload(task):
            found.append("payload")
        if not self._headers.items() <= task.headers.items():
            found.append("headers")
        if self._due is not None:
            due = task.next_process_at
            if due is None or abs(due - self._due) > self._tolerance:
                found.append("when it is due")
        return found

    def _fits_payload(self, task: TaskInfo) -> bool:
        if self._payload is ...:
            return True
        if isinstance(self._payload, bytes):
            return task.payload == self._payload
        try:
            data = self._codec.decode(task.payload)
        except WireError:
            return False
        if callable(self._payload):
            return bool(self._payload(data))
        return bool(data == self._wanted)

    def __str__(self) -> str:
        wanted = [f"{name} {value!s}" for name, value in self._equal.items()]
        if callable(self._payload):
            wanted.append(f"a payload that fits {getattr(self._payload, '__name__', 'a function')}")
        elif self._payload is not ...:
            wanted.append(f"payload {self._payload!r}")
        if self._headers:
            wanted.append(f"headers {dict(self._headers)!r}")
        if self._due is not None:
            wanted.append(f"due at {self._due:%Y-%m-%d %H:%M:%S} UTC")
        return f'"{self._type}"' + (f" with {', '.join(wanted)}" if wanted else "")


def _failure(look: _Look, found: Sequence[TaskInfo], fitting: int, count: int | None) -> str:
    wanted = "a task" if count is None else f"{count} tasks"
    lines = [f"{wanted} {look} must be enqueued, but there are {fitting}"]
    if not found:
        return lines[0] + "; nothing at all is enqueued"
    # Those that fit best tell most.
    told = sorted(
        ((look.differences(task), task) for task in found),
        key=lambda each: (each[0] == ["type"], len(each[0])),
    )
    lines[0] += ". What is enqueued:"
    for differences, task in told[:_SHOWN]:
        note = "fits" if not differences else f"other {', '.join(differences)}"
        lines.append(f"  {_line(task)}   <- {note}")
    if len(told) > _SHOWN:
        lines.append(f"  and {len(told) - _SHOWN} more")
    return "\n".join(lines)


def _value(task: TaskInfo, name: str) -> object:
    return task.id if name == "task_id" else getattr(task, name)


def _line(task: TaskInfo) -> str:
    try:
        payload = task.payload.decode() or "(no payload)"
    except UnicodeDecodeError:
        payload = repr(task.payload)
    if len(payload) > 100:
        payload = payload[:97] + "..."
    due = f" due at {task.next_process_at:%Y-%m-%d %H:%M:%S} UTC" if _is_later(task) else ""
    group = f" in group {task.group!r}" if task.group else ""
    return f"{task.type!r} {payload} queue={task.queue} {task.state}{due}{group}"


def _is_later(task: TaskInfo) -> bool:
    return task.state in (TaskState.SCHEDULED, TaskState.RETRY)
