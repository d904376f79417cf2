"""What callers are shown of tasks."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import NamedTuple

from asynq_py.clock import from_unix_ns, from_unix_s
from asynq_py.errors import AsynqError
from asynq_py.wire.message import TaskMessage, TaskState, decode

_FIELDS = (
    "id",
    "queue",
    "type",
    "payload",
    "headers",
    "state",
    "max_retry",
    "retried",
    "last_error",
    "last_failed_at",
    "timeout",
    "deadline",
    "group",
    "next_process_at",
    "is_orphaned",
    "retention",
    "completed_at",
    "result",
)


class TaskInfo:
    """A task as it stood in Redis at one moment; a view of its encoded message, read-only.

    Times are aware (UTC) or None where there is none; ``timeout`` and ``retention`` are
    None where they are not set.
    """

    __slots__ = (
        "_damage",
        "_data",
        "_decoded",
        "_is_orphaned",
        "_next_process_ns",
        "_result",
        "_state",
    )

    def __init__(
        self,
        data: bytes,
        state: TaskState,
        next_process_ns: int = 0,
        result: bytes | None = None,
        is_orphaned: bool = False,
        message: TaskMessage | None = None,
    ) -> None:
        # Decoded when somebody looks, if it is not yet: most producers never do.
        self._data = data
        self._decoded = message
        self._state = state
        self._next_process_ns = next_process_ns
        self._result = result
        self._is_orphaned = is_orphaned
        self._damage = ""

    @classmethod
    def damaged(cls, queue: str, task_id: str, state: TaskState, damage: str) -> TaskInfo:
        """A task of which only the place is known; ``damage`` says why."""
        info = cls(TaskMessage(id=task_id, queue=queue).SerializeToString(), state)
        info._damage = damage
        return info

    @property
    def damage(self) -> str:
        """What is wrong with the task in Redis, "" for nothing; then only ID, queue and state
        mean anything."""
        return self._damage

    @property
    def _message(self) -> TaskMessage:
        if self._decoded is None:
            self._decoded = decode(self._data)
        return self._decoded

    @property
    def id(self) -> str:
        """Unique in its queue."""
        return self._message.id

    @property
    def queue(self) -> str:
        """The queue's name."""
        return self._message.queue

    @property
    def type(self) -> str:
        """What to do."""
        return self._message.type

    @property
    def payload(self) -> bytes:
        """The encoded payload; no payload and an empty one look the same here."""
        return self._message.payload

    @property
    def headers(self) -> Mapping[str, str]:
        """A copy of the headers."""
        return dict(self._message.headers)

    @property
    def state(self) -> TaskState:
        """Where the task stands."""
        return self._state

    @property
    def max_retry(self) -> int:
        """How often a failed task is tried again at most."""
        return self._message.retry

    @property
    def retried(self) -> int:
        """How often the task was tried again so far."""
        return self._message.retried

    @property
    def last_error(self) -> str:
        """Text of the last failure, "" if there was none."""
        return self._message.error_msg

    @property
    def last_failed_at(self) -> datetime | None:
        """When it failed last."""
        return _moment(self._message.last_failed_at)

    @property
    def timeout(self) -> timedelta | None:
        """How long one run may take."""
        return _span(self._message.timeout)

    @property
    def deadline(self) -> datetime | None:
        """When it must be done."""
        return _moment(self._message.deadline)

    @property
    def group(self) -> str:
        """The group's name, "" for none."""
        return self._message.group_key

    @property
    def next_process_at(self) -> datetime | None:
        """When the task is due; None while it waits in a group, runs or is done."""
        return from_unix_ns(self._next_process_ns) if self._next_process_ns else None

    @property
    def retention(self) -> timedelta | None:
        """How long the task is kept after it succeeded."""
        return _span(self._message.retention)

    @property
    def completed_at(self) -> datetime | None:
        """When it succeeded."""
        return _moment(self._message.completed_at)

    @property
    def is_orphaned(self) -> bool:
        """Whether this is an active task whose worker is gone."""
        return self._is_orphaned

    @property
    def result(self) -> bytes | None:
        """What the handler left as the result."""
        return self._result

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, TaskInfo):
            return NotImplemented
        mine = all(getattr(self, name) == getattr(other, name) for name in _FIELDS)
        return mine and self._damage == other._damage

    def __hash__(self) -> int:
        return hash((self.queue, self.id, self.state))

    def __repr__(self) -> str:
        set_fields = ((name, getattr(self, name)) for name in (*_FIELDS, "damage"))
        shown = ", ".join(
            f"{n}={v!s}" if n == "state" else f"{n}={v!r}" for n, v in set_fields if v
        )
        return f"TaskInfo({shown})"

    def __reduce__(self) -> tuple[object, ...]:
        if self._damage:
            return TaskInfo.damaged, (self.queue, self.id, self._state, self._damage)
        view = (self._state, self._next_process_ns, self._result, self._is_orphaned)
        return TaskInfo, (self._data, *view)


class EnqueueResult(NamedTuple):
    """What became of one task of a batch: ``info`` if it was stored, else ``error``."""

    info: TaskInfo | None = None
    error: AsynqError | None = None

    @property
    def ok(self) -> bool:
        """Whether the task was stored."""
        return self.error is None


def _moment(seconds: int) -> datetime | None:
    return from_unix_s(seconds) if seconds else None


def _span(seconds: int) -> timedelta | None:
    return timedelta(seconds=seconds) if seconds else None
