"""Who is there, as it stands in Redis: a scheduler's entries and its enqueue events, a worker
server and what it is at.

Timestamps are always written, also when empty: readers older than asynq v0.26 fail on a
missing one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import TypeVar

from google.protobuf.message import DecodeError
from google.protobuf.timestamp_pb2 import Timestamp

from asynq_py.clock import NANOSECONDS
from asynq_py.errors import WireError
from asynq_py.wire.asynq_pb2 import (
    SchedulerEnqueueEvent,
    SchedulerEntry,
    ServerInfo,
    WorkerInfo,
)

__all__ = [
    "SchedulerEnqueueEvent",
    "SchedulerEntry",
    "ServerInfo",
    "Timestamp",
    "WorkerInfo",
    "read",
    "readable",
    "scheduler_enqueue_event",
    "scheduler_entry",
]

M = TypeVar("M", SchedulerEnqueueEvent, SchedulerEntry, ServerInfo, WorkerInfo)

# Go's zero time, 0001-01-01T00:00:00Z.
_ZERO_TIME_S = -62135596800


def timestamp(ns: int | None) -> Timestamp:
    """Unix nanoseconds as a Timestamp; None is Go's zero time."""
    if ns is None:
        return Timestamp(seconds=_ZERO_TIME_S)
    return Timestamp(seconds=ns // NANOSECONDS, nanos=ns % NANOSECONDS)


def timestamp_ns(value: Timestamp) -> int | None:
    """The inverse of :func:`timestamp`."""
    if value.seconds == _ZERO_TIME_S and value.nanos == 0:
        return None
    return value.seconds * NANOSECONDS + value.nanos


def scheduler_entry(
    entry_id: str,
    spec: str,
    task_type: str,
    payload: bytes,
    options: Sequence[str],
    *,
    next_ns: int | None,
    previous_ns: int | None,
) -> SchedulerEntry:
    """An entry as Go's tools list it; times in Unix nanoseconds, None for never."""
    return SchedulerEntry(
        id=entry_id,
        spec=spec,
        task_type=task_type,
        task_payload=payload,
        enqueue_options=options,
        next_enqueue_time=timestamp(next_ns),
        prev_enqueue_time=timestamp(previous_ns),
    )


def scheduler_enqueue_event(task_id: str, enqueued_ns: int) -> SchedulerEnqueueEvent:
    """A run as Go's tools list it; the time in Unix nanoseconds."""
    return SchedulerEnqueueEvent(task_id=task_id, enqueue_time=timestamp(enqueued_ns))


def read(kind: type[M], data: bytes) -> M:
    """Reads a message of a kind.

    Raises:
        WireError: The bytes are none.
    """
    try:
        return kind.FromString(data)
    except DecodeError as error:
        raise WireError(f"no {kind.__name__}: {error}") from error


def readable(kind: type[M], items: Iterable[bytes]) -> list[M]:
    """Those of a kind that can be read; the others are left out, as in Go."""
    found = []
    for data in items:
        with suppress(WireError):
            found.append(read(kind, data))
    return found
